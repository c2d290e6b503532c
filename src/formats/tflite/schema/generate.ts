// Makes tables.ts of a schema.fbs as LiteRT publishes it (tflite/converter/schema/schema.fbs of google-ai-edge/LiteRT):
//
//   node src/formats/tflite/schema/generate.ts < schema.fbs > src/formats/tflite/schema/tables.ts
//
// flatc's TypeScript isn't used: it writes enums that Node can't strip, and readers that trust every offset. What a checking
// reader needs is the schema as data.

const scalars: Record<string, string> = {
  bool: 'bool', byte: 'i8', ubyte: 'u8', short: 'i16', ushort: 'u16', int: 'i32', int32: 'i32', uint: 'u32', long: 'i64',
  ulong: 'u64', float: 'f32', double: 'f64', string: 'string',
} // biome-ignore format: a table

const chunks: string[] = []
process.stdin.setEncoding('utf8')
for await (const c of process.stdin) chunks.push(String(c))
const text = chunks.join('').replace(/\/\/.*$/gm, '')

const enums = new Map<string, { type: string; names: Map<number, string> }>()
const unions = new Map<string, string[]>()
for (const [, name, type, body] of text.matchAll(/enum\s+(\w+)\s*:\s*(\w+)\s*\{([^}]*)\}/g)) {
  const names = new Map<number, string>()
  let next = 0
  for (const item of body!.split(',')) {
    const m = /(\w+)\s*(?:=\s*(-?\d+))?/.exec(item)
    if (!m) continue
    if (m[2] !== undefined) next = Number(m[2])
    names.set(next++, m[1]!)
  }
  enums.set(name!, { type: scalars[type!]!, names })
}
for (const [, name, body] of text.matchAll(/union\s+(\w+)\s*\{([^}]*)\}/g))
  unions.set(
    name!,
    [...body!.matchAll(/(\w+)\s*(?:\(deprecated\))?\s*(?:,|$)/g)].map((m) => m[1]!),
  )

const kindOf = (type: string): string => {
  if (type.startsWith('[')) return `[${kindOf(type.slice(1, -1).trim())}]`
  return scalars[type] ?? enums.get(type)?.type ?? type
}
const initialOf = (type: string, text: string | undefined): string | undefined => {
  if (text === undefined) return undefined
  const e = enums.get(type)
  if (e) return String([...e.names].find(([, n]) => n === text)?.[0] ?? text)
  return text === 'true' ? '1' : text === 'false' ? '0' : text
}
const tsOf = (kind: string): string => {
  const vectors: Record<string, string> = {
    u8: 'Uint8Array', i8: 'Int8Array', bool: 'Uint8Array', u16: 'Uint16Array', i32: 'Int32Array', u32: 'Uint32Array',
    i64: 'readonly number[]', u64: 'readonly number[]', f32: 'Float32Array', string: 'readonly string[]',
  } // biome-ignore format: a table
  if (kind.startsWith('[')) return vectors[kind.slice(1, -1)] ?? `readonly ${kind.slice(1, -1)}[]`
  if (kind === 'bool') return 'boolean'
  if (kind === 'string') return 'string'
  return Object.values(scalars).includes(kind) ? 'number' : kind
}

const out: string[] = [
  '// Made by generate.ts of the published TensorFlow Lite schema; not edited by hand.',
  '',
  "import type { Schema } from '../flatbuffer.ts'",
  '',
]
const specs: string[] = []
for (const [, name, body] of text.matchAll(/table\s+(\w+)\s*(?:\([^)]*\))?\s*\{([^}]*)\}/g)) {
  const fields: string[] = []
  const types: string[] = []
  let slot = 0
  for (const line of body!.split(';')) {
    const m = /(\w+)\s*:\s*(\[\s*\w+\s*\]|\w+)\s*(?:=\s*(-?\w+))?\s*(\([^)]*\))?/.exec(line)
    if (!m) continue
    const [, field, type, value, notes] = m as unknown as [string, string, string, string?, string?]
    const members = unions.get(type)
    const at = slot
    slot += members ? 2 : 1
    if (notes?.includes('deprecated') && field !== 'deprecated_builtin_code') continue
    if (members) {
      fields.push(`    { name: '${field}', slot: ${at}, kind: 'union', union: '${type}' },`)
      const known = members.map((u) => `(${u} & { kind: '${u}' })`).join(' | ')
      types.push(`  ${field}: ${type.startsWith('BuiltinOptions') ? 'Options' : known} | undefined`)
      continue
    }
    const kind = kindOf(type)
    const scalar = Object.values(scalars).includes(kind) && kind !== 'string'
    const initial = scalar ? (initialOf(type, value) ?? '0') : undefined
    fields.push(
      `    { name: '${field}', slot: ${at}, kind: '${kind}'${initial === undefined ? '' : `, initial: ${initial}`} },`,
    )
    types.push(`  ${field}: ${tsOf(kind)}${scalar ? '' : ' | undefined'}`)
  }
  if (!name!.endsWith('Options')) out.push(`export type ${name} = {\n${types.join('\n')}\n}`)
  specs.push(fields.length ? `  ${name}: [\n${fields.join('\n')}\n  ],` : `  ${name}: [],`)
}
out.push(
  '/** Any table of an options union, with its name; the caller reads the fields that its operator has. */',
)
out.push('export type Options = { readonly kind: string; readonly [field: string]: unknown }')
for (const name of ['TensorType', 'BuiltinOperator', 'ActivationFunctionType']) {
  const { names } = enums.get(name)!
  out.push(`export const ${name}: Readonly<Record<number, string>> = {`)
  for (const [v, n] of names) out.push(`  ${v}: '${n}',`)
  out.push('}')
}
out.push(
  'export const schema: Schema = {',
  '  tables: {',
  ...specs.map((s) => s.replace(/^/gm, '  ')),
  '  },',
  '  unions: {',
)
for (const [name, members] of unions) out.push(`    ${name}: [${members.map((m) => `'${m}'`).join(', ')}],`)
out.push('  },', '}', '')
console.log(out.join('\n'))
