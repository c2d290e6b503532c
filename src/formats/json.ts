// Checked reading of JSON that a stranger wrote: every access names the path it took, what it expected and what it saw.

import { InputError } from '../core/errors.ts'

const seen = (v: unknown): string => {
  if (v === undefined) return 'nothing'
  // Not by JSON.stringify: a stranger's value can be nested deeper than the stack is.
  if (Array.isArray(v)) return v.length ? `a list of ${v.length}` : 'an empty list'
  if (typeof v === 'object' && v !== null)
    return `an object (${Object.keys(v).slice(0, 4).join(', ').slice(0, 50)})`
  const text = JSON.stringify(v)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** An object of a JSON document and the path to it, for messages. */
export class JsonObject {
  readonly value: Readonly<Record<string, unknown>>
  readonly where: string

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new InputError(`${where}: expected an object, got ${seen(value)}`)
    this.value = value as Record<string, unknown>
    this.where = where
  }

  /** Whether the key holds anything but null. */
  has(key: string): boolean {
    return this.raw(key) != null
  }

  raw(key: string): unknown {
    return Object.hasOwn(this.value, key) ? this.value[key] : undefined
  }

  private fail(key: string, expected: string): never {
    throw new InputError(`${this.where}.${key}: expected ${expected}, got ${seen(this.raw(key))}`)
  }

  object(key: string): JsonObject {
    return new JsonObject(this.raw(key), `${this.where}.${key}`)
  }

  list(key: string): readonly unknown[] {
    const v = this.raw(key)
    return Array.isArray(v) ? v : this.fail(key, 'a list')
  }

  objects(key: string): JsonObject[] {
    return this.list(key).map((v, i) => new JsonObject(v, `${this.where}.${key}[${i}]`))
  }

  string(key: string, absent?: string): string {
    const v = this.raw(key) ?? absent
    return typeof v === 'string' ? v : this.fail(key, 'a text')
  }

  number(key: string, absent?: number): number {
    const v = this.raw(key) ?? absent
    return typeof v === 'number' ? v : this.fail(key, 'a number')
  }

  /** A whole number of at least `least`. */
  count(key: string, absent?: number, least = 0): number {
    const v = this.raw(key) ?? absent
    return typeof v === 'number' && Number.isSafeInteger(v) && v >= least
      ? v
      : this.fail(key, `a whole number of at least ${least}`)
  }

  boolean(key: string, absent?: boolean): boolean {
    const v = this.raw(key) ?? absent
    return typeof v === 'boolean' ? v : this.fail(key, 'true or false')
  }

  integers(key: string): number[] {
    const v = this.raw(key)
    return Array.isArray(v) && v.every((x) => Number.isSafeInteger(x)) ? v : this.fail(key, 'whole numbers')
  }
}

/** Largest JSON document that is parsed, in bytes: topologies are small, weights lie beside them. */
export const MAX_JSON = 256 * 2 ** 20

export function parseJson(bytes: Uint8Array, where: string): JsonObject {
  if (bytes.length > MAX_JSON)
    throw new InputError(`${where}: ${bytes.length} bytes of JSON, expected at most ${MAX_JSON}`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (e) {
    throw new InputError(`${where}: not JSON: ${(e as Error).message}`)
  }
  return new JsonObject(value, where)
}
