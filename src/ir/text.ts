// The text form of a graph: written in tests, docs and bug reports. `parse(print(g))` is g.
//
//   graph net(x: float32[batch, 3]) -> (y) {
//     w: float32[3, 2] = [1, 2, 3, 4, 5, 6]
//     y: float32[batch, 2] = matMul(x, w) {} "dense/MatMul" from ["dense"]
//   }
//
// Constants of at most `inline` elements are written out; larger ones as `digest("…")`, which `parse` asks its `weights` for.

import { type DType, dtypes, isBig } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { digest } from '../core/hash.ts'
import { at, bytesOfTensor, sizeOf, type Tensor, tensorOf } from '../core/tensor.ts'
import {
  type Attribute,
  type Attributes,
  type Dim,
  type Graph,
  isGraph,
  isTensorAttribute,
  type Node,
  type Quantization,
  type Shape,
  type Type,
  type Value,
} from './types.ts'

export type PrintOptions = {
  /** Largest constant written out, in elements. Default 64; Infinity writes everything. */
  readonly inline?: number
}

const word = /^[A-Za-z_][\w.]*$/
const name = (s: string): string => (word.test(s) ? s : JSON.stringify(s))

/** Prints a number so that it parses back to the same float64. */
const number = (v: number): string =>
  Number.isNaN(v)
    ? 'nan'
    : v === Infinity
      ? 'inf'
      : v === -Infinity
        ? '-inf'
        : Object.is(v, -0)
          ? '-0'
          : String(v)

const shapeText = (s: Shape): string =>
  s === null
    ? '[*]'
    : `[${s.map((d) => (d === null ? '?' : typeof d === 'number' ? String(d) : name(d))).join(', ')}]`

const typeText = (t: Type): string =>
  t.kind === 'tensor' ? `${t.dtype}${shapeText(t.shape)}` : `${t.kind}<${typeText(t.element)}>`

const element = (t: Tensor, i: number): string =>
  t.dtype === 'string' ? JSON.stringify(t.data[i]) : isBig(t.dtype) ? String(t.data[i]) : number(at(t, i))

function contentText(t: Tensor, inline: number): string {
  if (t.data.length > inline && t.dtype !== 'string') return `digest("${digest(bytesOfTensor(t))}")`
  return `[${Array.from({ length: t.data.length }, (_, i) => element(t, i)).join(', ')}]`
}

function attributeText(a: Attribute, options: Required<PrintOptions>, indent: string): string {
  if (typeof a === 'number') return number(a)
  if (typeof a === 'bigint') return `${a}n`
  if (typeof a === 'string') return JSON.stringify(a)
  if (typeof a === 'boolean') return String(a)
  if (Array.isArray(a))
    return `[${a.map((x) => (typeof x === 'number' ? number(x) : JSON.stringify(x))).join(', ')}]`
  if (isGraph(a as Attribute)) return graphText(a as Graph, options, indent)
  const t = a as Tensor
  return `${t.dtype}${shapeText(t.shape)} ${contentText(t, options.inline)}`
}

const attributesText = (a: Attributes, options: Required<PrintOptions>, indent: string): string =>
  `{${Object.entries(a)
    .map(([k, v]) => `${k}: ${attributeText(v, options, indent)}`)
    .join(', ')}}`

const quantizationText = (q: Quantization | undefined): string =>
  q
    ? ` quantized(${q.axis}, [${q.scale.map(number).join(', ')}], [${q.zeroPoint.map(number).join(', ')}])`
    : ''

function graphText(g: Graph, options: Required<PrintOptions>, indent: string): string {
  const value = (i: number): string => name(g.values[i]!.name)
  const declared = (i: number): string => {
    const v = g.values[i]!
    return `${name(v.name)}: ${typeText(v.type)}${quantizationText(v.quantization)}`
  }
  const inner = `${indent}  `
  const lines: string[] = []
  g.values.forEach((v, i) => {
    if (v.constant) lines.push(`${inner}${declared(i)} = ${contentText(v.constant, options.inline)}`)
  })
  for (const n of g.nodes) {
    const left = n.outputs.map(declared).join(', ')
    const right = `${n.op}(${n.inputs.map((v) => (v === null ? '_' : value(v))).join(', ')})`
    const from =
      n.origin.length === 1 && n.origin[0] === n.name
        ? ''
        : ` from [${n.origin.map((o) => JSON.stringify(o)).join(', ')}]`
    lines.push(
      `${inner}${left} = ${right} ${attributesText(n.attributes, options, inner)} ${JSON.stringify(n.name)}${from}`,
    )
  }
  return `graph ${name(g.name)}(${g.inputs.map(declared).join(', ')}) -> (${g.outputs.map(value).join(', ')}) {\n${lines.join('\n')}${lines.length ? '\n' : ''}${indent}}`
}

export const printGraph = (g: Graph, options: PrintOptions = {}): string =>
  graphText(g, { inline: options.inline ?? 64 }, '')

export type ParseOptions = {
  /** Gives a constant's tensor by the digest of its bytes. */
  readonly weights?: (digest: string, dtype: DType, shape: readonly number[]) => Tensor | undefined
}

/** The digests and tensors that `printGraph` with the same `inline` leaves out: what `parse` will ask for. */
export function weightsOf(g: Graph, options: PrintOptions = {}): Map<string, Tensor> {
  const inline = options.inline ?? 64
  const all = new Map<string, Tensor>()
  const visit = (t: Tensor): void => {
    if (t.data.length > inline && t.dtype !== 'string') all.set(digest(bytesOfTensor(t)), t)
  }
  for (const v of g.values) if (v.constant) visit(v.constant)
  for (const n of g.nodes) {
    for (const a of Object.values(n.attributes)) {
      if (isGraph(a)) for (const [k, t] of weightsOf(a, options)) all.set(k, t)
      else if (isTensorAttribute(a)) visit(a)
    }
  }
  return all
}

const tokenPattern =
  /\s+|(->)|("(?:[^"\\]|\\.)*")|(-?(?:inf\b|nan\b|\d+n\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?))|([A-Za-z_][\w.]*)|([(){}[\]<>,:=?*])/y

/** Graphs in attributes of graphs, and types in types: more is no network. */
const MAX_DEPTH = 100

/** Parses a graph's text form. */
export function parseGraph(text: string, options: ParseOptions = {}): Graph {
  const tokens: string[] = []
  const places: number[] = []
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < text.length) {
    const at = tokenPattern.lastIndex
    const m = tokenPattern.exec(text)
    if (!m)
      throw new InputError(
        `graph text: line ${lineOf(at)}: unexpected ${JSON.stringify(text.slice(at, at + 12))}`,
      )
    if (m[0].trim()) {
      tokens.push(m[0])
      places.push(at)
    }
  }
  function lineOf(offset: number): number {
    return text.slice(0, offset).split('\n').length
  }
  let i = 0
  const fail = (expected: string): never => {
    throw new InputError(
      `graph text: line ${lineOf(places[i] ?? text.length)}: expected ${expected}, got ${tokens[i] ?? 'the end'}`,
    )
  }
  const peek = (t: string): boolean => tokens[i] === t
  const accept = (t: string): boolean => {
    if (!peek(t)) return false
    i++
    return true
  }
  const expect = (t: string): void => {
    if (!accept(t)) fail(t)
  }
  const unquoted = (t: string): string => {
    try {
      const v: unknown = JSON.parse(t)
      if (typeof v === 'string') return v
    } catch {}
    return fail(`a JSON string (${t.slice(0, 40)} is none)`)
  }
  let depth = 0
  const nested = <T>(part: () => T): T => {
    if (++depth > MAX_DEPTH) fail(`at most ${MAX_DEPTH} levels of nesting`)
    const result = part()
    depth--
    return result
  }
  const nameToken = (): string => {
    const t = tokens[i]
    if (t === undefined) return fail('a name')
    if (t.startsWith('"')) {
      i++
      return unquoted(t)
    }
    if (!/^[A-Za-z_]/.test(t)) return fail('a name')
    i++
    return t
  }
  const isNumber = (t: string | undefined): boolean => t !== undefined && /^-?(?:\d|inf$|nan$)/.test(t)
  const numeric = (t: string): number =>
    t === 'inf' ? Infinity : t === '-inf' ? -Infinity : t === 'nan' || t === '-nan' ? NaN : Number(t)
  const list = <T>(close: string, item: () => T): T[] => {
    const out: T[] = []
    while (!accept(close)) {
      out.push(item())
      if (!peek(close)) expect(',')
    }
    return out
  }
  const numberToken = (): number => {
    if (!isNumber(tokens[i])) fail('a number')
    return numeric(tokens[i++]!)
  }
  const shape = (): Shape => {
    expect('[')
    if (accept('*')) {
      expect(']')
      return null
    }
    return list(']', (): Dim => (accept('?') ? null : isNumber(tokens[i]) ? numberToken() : nameToken()))
  }
  const type = (): Type => {
    const t = nameToken()
    if (t === 'sequence' || t === 'optional') {
      expect('<')
      const element = nested(type)
      expect('>')
      return { kind: t, element }
    }
    if (!(dtypes as readonly string[]).includes(t)) fail('a type')
    return { kind: 'tensor', dtype: t as DType, shape: shape() }
  }
  const content = (dtype: DType, dims: Shape): Tensor => {
    if (!dims?.every((d) => typeof d === 'number')) fail('a constant of known shape')
    const fixed = dims as readonly number[]
    if (accept('digest')) {
      expect('(')
      const key = nameToken()
      expect(')')
      const t = options.weights?.(key, dtype, fixed)
      if (!t) throw new InputError(`graph text: no weights for digest ${key}`)
      return t
    }
    expect('[')
    const items = list(']', () => tokens[i++] ?? fail('a value'))
    if (items.length !== sizeOf(fixed))
      fail(`${sizeOf(fixed)} values for shape [${fixed}], got ${items.length}`)
    return tensorOf(
      dtype,
      fixed,
      items.map((t) =>
        dtype === 'string'
          ? unquoted(t)
          : !isBig(dtype)
            ? isNumber(t)
              ? numeric(t)
              : fail(`a number (${t} is none)`)
            : /^-?\d+$/.test(t)
              ? BigInt(t)
              : fail(`a whole number (${t} is none)`),
      ),
    )
  }
  const attribute = (): Attribute => {
    const t = tokens[i] ?? fail('a value')
    if (t === 'graph') return nested(graph)
    if (t === 'true' || t === 'false') {
      i++
      return t === 'true'
    }
    if (t.startsWith('"')) return nameToken()
    if (isNumber(t)) {
      i++
      return /^-?\d+n$/.test(t) ? BigInt(t.slice(0, -1)) : numeric(t)
    }
    if (accept('['))
      return list(']', () => (isNumber(tokens[i]) ? numberToken() : nameToken())) as number[] | string[]
    const of = type()
    return of.kind === 'tensor' ? content(of.dtype, of.shape) : fail('a tensor')
  }
  function graph(): Graph {
    expect('graph')
    const graphName = nameToken()
    const values: Value[] = []
    const index = new Map<string, number>()
    const declare = (): number => {
      const valueName = nameToken()
      if (index.has(valueName)) fail(`a new name (${valueName} is taken)`)
      expect(':')
      const t = type()
      let quantization: Quantization | undefined
      if (accept('quantized')) {
        expect('(')
        const axis = numberToken()
        expect(',')
        expect('[')
        const scale = list(']', numberToken)
        expect(',')
        expect('[')
        const zeroPoint = list(']', numberToken)
        expect(')')
        quantization = { axis, scale, zeroPoint }
      }
      index.set(valueName, values.length)
      values.push({ name: valueName, type: t, ...(quantization && { quantization }) })
      return values.length - 1
    }
    const use = (): number => {
      const valueName = nameToken()
      return index.get(valueName) ?? fail(`a value made above (${valueName} is not)`)
    }
    expect('(')
    const inputs = list(')', declare)
    expect('->')
    expect('(')
    // Outputs are named before they are made: resolved at the end.
    const outputNames = list(')', nameToken)
    expect('{')
    const nodes: Node[] = []
    while (!accept('}')) {
      const made = [declare()]
      while (accept(',')) made.push(declare())
      expect('=')
      if (peek('[') || peek('digest')) {
        const v = values[made[0]!]!
        if (v.type.kind !== 'tensor') fail('a tensor')
        values[made[0]!] = {
          ...v,
          constant: content((v.type as { dtype: DType }).dtype, (v.type as { shape: Shape }).shape),
        }
        continue
      }
      const op = nameToken()
      expect('(')
      const args = list(')', () => (accept('_') ? null : use()))
      const attributes: Record<string, Attribute> = {}
      if (accept('{')) {
        list('}', () => {
          const key = nameToken()
          expect(':')
          attributes[key] = attribute()
        })
      }
      const nodeName = tokens[i]?.startsWith('"') ? nameToken() : `${op}_${nodes.length}`
      let origin = [nodeName]
      if (accept('from')) {
        expect('[')
        origin = list(']', nameToken)
      }
      nodes.push({ op, name: nodeName, inputs: args, outputs: made, attributes, origin })
    }
    const outputs = outputNames.map((n) => index.get(n) ?? fail(`output ${n} to be made`))
    return { name: graphName, values, nodes, inputs, outputs }
  }
  const result = graph()
  if (i !== tokens.length) fail('the end')
  return result
}
