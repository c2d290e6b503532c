// `run`: a model on one target, every input in turn, the results joined.

import { bytesOf } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { sizeOf, type Tensor, zeros } from '../core/tensor.ts'
import { type Datum, isTensor } from '../ir/types.ts'
import type { Side } from './compare.ts'

export type RunResult = {
  readonly target: string
  /** Over all inputs: joined along the first axis where it is 1 for each input, else along a new one. */
  readonly outputs: readonly { readonly name: string; readonly tensor: Tensor }[]
  /** Median of the runs. */
  readonly ms: number
}

/** More would only exhaust memory. */
const mostBytes = 2 ** 32

export async function runModel(
  side: Side,
  samples: readonly (readonly Tensor[])[],
  options: {
    readonly progress?: (done: number, total: number, what: string) => void
    readonly signal?: AbortSignal
    readonly now?: () => number
  } = {},
): Promise<RunResult> {
  const now = options.now ?? (() => performance.now())
  const parts: Tensor[][] = side.outputs.map(() => [])
  const times: number[] = []
  let bytes = 0
  for (const [i, sample] of samples.entries()) {
    options.signal?.throwIfAborted()
    options.progress?.(i, samples.length, `${side.name}: input ${i + 1} of ${samples.length}`)
    const started = now()
    const out: readonly Datum[] = await side.run(sample)
    times.push(now() - started)
    side.outputs.forEach((v, k) => {
      const t = out[k]
      if (!isTensor(t))
        throw new InputError(`${side.name}: output ${v.name} is no tensor: only tensors can be kept`)
      bytes += t.data.length * bytesOf(t.dtype)
      parts[k]!.push(t)
    })
    if (bytes > mostBytes)
      throw new InputError(`${side.name}: the results take more than 4 GiB. Give fewer inputs (--samples).`)
  }
  options.progress?.(samples.length, samples.length, '')
  times.sort((a, b) => a - b)
  return {
    target: side.name,
    outputs: side.outputs.map((v, k) => ({ name: v.name, tensor: joined(v.name, parts[k]!) })),
    ms: times[times.length >> 1]!,
  }
}

function joined(name: string, parts: readonly Tensor[]): Tensor {
  const first = parts[0]!
  if (parts.length === 1) return first
  if (!parts.every((t) => String(t.shape) === String(first.shape))) {
    const shapes = [...new Set(parts.map((t) => `[${t.shape}]`))].slice(0, 3).join(', ')
    throw new InputError(
      `output ${name}: its shape depends on the input (${shapes}). Run the inputs one by one.`,
    )
  }
  const inner = first.shape[0] === 1 ? first.shape.slice(1) : first.shape
  const out = zeros(first.dtype, [parts.length, ...inner])
  const each = sizeOf(first.shape)
  parts.forEach((t, i) => {
    if (Array.isArray(out.data)) for (let k = 0; k < each; k++) out.data[i * each + k] = t.data[k] as string
    else (out.data as Float64Array).set(t.data as Float64Array, i * each)
  })
  return out
}
