// Data that a package ships as a JavaScript literal (`module.exports={name:"a",on:!0}`): parsed as text, never run. Objects,
// lists, strings, numbers, true, false, null and the minifier's !0, !1 and void 0; nothing else is an expression here.

import { InputError } from '../core/errors.ts'

const MAX_DEPTH = 200

/** The literal that starts at `start`. */
export function parseLiteral(text: string, start: number, where: string): unknown {
  let i = start
  const fail = (expected: string): never => {
    throw new InputError(
      `${where}: expected ${expected} at character ${i}, got ${JSON.stringify(text.slice(i, i + 12))}`,
    )
  }
  const skip = (): void => {
    while (/\s/.test(text[i] ?? '')) i++
  }
  const word = /[A-Za-z_$][\w$]*/y
  const number = /-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = i
    const m = pattern.exec(text)?.[0]
    if (m !== undefined) i += m.length
    return m
  }
  const string = (): string => {
    const quote = text[i]!
    const end = i + 1
    // The common case, a shard of megabytes: no escape before the closing quote.
    const close = text.indexOf(quote, end)
    if (close === -1) fail('a closing quote')
    const plain = text.slice(end, close)
    if (!plain.includes('\\')) {
      i = close + 1
      return plain
    }
    let at = end
    while (text[at] !== quote) {
      if (at >= text.length) fail('a closing quote')
      at += text[at] === '\\' ? 2 : 1
    }
    const body = text.slice(end, at)
    i = at + 1
    try {
      // JSON knows all escapes that a minifier writes but \' and \x.
      return JSON.parse(
        `"${body
          .replace(/\\'/g, "'")
          .replace(/\\x([0-9a-fA-F]{2})/g, '\\u00$1')
          .replace(/(^|[^\\])"/g, '$1\\"')}"`,
      ) as string
    } catch {
      return fail('a plain string')
    }
  }
  const value = (depth: number): unknown => {
    if (depth > MAX_DEPTH) fail(`at most ${MAX_DEPTH} levels`)
    skip()
    const c = text[i]
    if (c === '"' || c === "'") return string()
    if (c === '{') {
      const entries: [string, unknown][] = []
      i++
      for (skip(); text[i] !== '}'; skip()) {
        const key =
          text[i] === '"' || text[i] === "'" ? string() : (match(word) ?? match(number) ?? fail('a key'))
        skip()
        if (text[i++] !== ':') fail(':')
        entries.push([key, value(depth + 1)])
        skip()
        if (text[i] === ',') i++
        else if (text[i] !== '}') fail(', or }')
      }
      i++
      return Object.fromEntries(entries)
    }
    if (c === '[') {
      const items: unknown[] = []
      i++
      for (skip(); text[i] !== ']'; skip()) {
        items.push(value(depth + 1))
        skip()
        if (text[i] === ',') i++
        else if (text[i] !== ']') fail(', or ]')
      }
      i++
      return items
    }
    if (text.startsWith('!0', i) || text.startsWith('!1', i)) {
      i += 2
      return text[i - 1] === '0'
    }
    if (text.startsWith('void 0', i)) {
      i += 6
      return null
    }
    const n = match(number)
    if (n !== undefined) return Number(n)
    const w = match(word)
    if (w === 'true' || w === 'false') return w === 'true'
    if (w === 'null' || w === 'undefined') return null
    return fail('data')
  }
  return value(0)
}

/** What `.exports=` is set to in a bundle's text. */
export function exportedLiteral(text: string, where: string): unknown {
  const at = text.indexOf('.exports=', text.indexOf('{1:['))
  if (at === -1) throw new InputError(`${where}: expected a bundle that exports data`)
  return parseLiteral(text, at + '.exports='.length, where)
}
