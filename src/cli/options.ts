// Reads the values of options; and the options that several verbs share.

import { readFileSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import type { OptionSpec, Options } from './verb.ts'

/** A whole number from `least` on. */
export const count =
  (least: number) =>
  (text: string): number => {
    const n = Number(text)
    if (!Number.isSafeInteger(n) || n < least)
      throw new InvalidArgumentError(`Expected a whole number from ${least} on, got ${text}.`)
    return n
  }

/** Whole numbers from 1 on, with commas. */
export const counts = (text: string): number[] => text.split(',').map((n) => count(1)(n))

/** `a,b` and repeated options add up. */
export const list = (text: string, previous: unknown): string[] => [
  ...((previous as string[] | undefined) ?? []),
  ...text.split(',').filter(Boolean),
]

/** `batch=1,sequence=128`: dimensions that the file leaves open. */
export function dimensions(text: string, previous: unknown): Record<string, number> {
  const out = { ...(previous as Record<string, number> | undefined) }
  for (const pair of text.split(',').filter(Boolean)) {
    const at = pair.lastIndexOf('=')
    const n = Number(pair.slice(at + 1))
    if (at < 1 || !Number.isSafeInteger(n) || n < 0)
      throw new InvalidArgumentError(`Expected NAME=NUMBER, got ${pair}.`)
    out[pair.slice(0, at)] = n
  }
  return out
}

export const modelArgument = {
  name: '<model>',
  says: 'a model file or folder, or zoo:NAME (strata zoo lists them)',
} as const

export const dataOptions: readonly OptionSpec[] = [
  {
    flags: '--data <path>',
    says: '.npy, .npz, an IDX pair, a folder of images or sounds, or a CSV of paths and labels; random inputs if absent',
  },
  {
    flags: '--preprocessing <file>',
    says: 'JSON that says how pictures or sounds become inputs, or the name of a preset; guessed from the model if absent',
  },
  { flags: '--dims <list>', says: 'sizes for open dimensions: batch=1,sequence=128', parse: dimensions },
  { flags: '--seed <n>', says: 'of random inputs', parse: count(0), default: 1 },
]

export const targetsOption: OptionSpec = {
  flags: '--target <names>',
  says: 'targets, with commas: wasm,onnxruntime:all (strata peers lists them); all that are here if absent',
  parse: list,
}

export const nativeOptions: readonly OptionSpec[] = [
  { flags: '--python <path>', says: 'the Python that native targets run in' },
  { flags: '--trust', says: 'let a native target run the code that a file holds' },
]

export const tunedOption: OptionSpec = {
  flags: '--tuned',
  says: 'use what strata tune found on this machine, on wasm and c',
}

export const dims = (options: Options): Record<string, number> | undefined =>
  options.dims as Record<string, number> | undefined

/** What `--data`, `--preprocessing`, `--samples` and `--seed` say. */
export function sampleOptions(
  options: Options,
  InputError: new (message: string) => Error,
): { data?: string; preprocessing?: unknown; samples?: number; seed?: number } {
  const { data, preprocessing, samples, seed } = options as Record<string, never>
  return {
    ...(data !== undefined && { data }),
    ...(preprocessing !== undefined && { preprocessing: document(preprocessing, InputError) }),
    ...(samples !== undefined && { samples }),
    ...(seed !== undefined && { seed }),
  }
}

/** A file of JSON, else the name of a preset. */
function document(named: string, InputError: new (message: string) => Error): unknown {
  if (!/\.json$/i.test(named)) return named
  let text: string
  try {
    text = readFileSync(named, 'utf8')
  } catch {
    throw new InputError(`--preprocessing ${named}: no such file`)
  }
  try {
    return JSON.parse(text)
  } catch (e) {
    throw new InputError(`--preprocessing ${named}: not JSON: ${(e as Error).message}`)
  }
}

export const subjectOptions = (
  options: Options,
): { names?: readonly string[]; trust?: boolean; python?: string } => {
  const { target, trust, python } = options as Record<string, never>
  return {
    ...(target !== undefined && { names: target }),
    ...(trust !== undefined && { trust }),
    ...(python !== undefined && { python }),
  }
}
