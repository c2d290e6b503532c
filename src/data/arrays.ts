// Data sets in .npy and .npz files: the first axis counts the samples.

import { bytesOf } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { bytesOfTensor, integers, sizeOf, type Tensor, tensor } from '../core/tensor.ts'
import { checkIndex, type DataSet, digestOf, imageSet } from './dataset.ts'

/** Names of arrays that hold labels, not inputs, in the archives that people publish. */
const labelNames = /^(y|labels?|targets?|y_(test|val|train)|(test|val|train)_labels?)$/i
const inputNames = /^(x|images?|inputs?|data|features?|x_(test|val|train)|(test|val|train)_(images?|data))$/i

/** One array: 8-bit [n, h, w] or [n, h, w, 1 | 3 | 4] are images, anything else the network's input as it is. */
export function arraySet(name: string, t: Tensor, labels?: Int32Array): DataSet {
  const [size, height, width, channels = 1] = t.shape as [number, number, number, number?]
  if (size === undefined)
    throw new InputError(`${name}: a single number, expected an array whose first axis counts samples`)
  if (labels && labels.length !== size)
    throw new InputError(`${name}: ${size} samples, but ${labels.length} labels`)
  const picture =
    t.dtype === 'uint8' && (t.shape.length === 3 || (t.shape.length === 4 && [1, 3, 4].includes(channels)))
  if (picture && height > 0 && width > 0) {
    return imageSet(name, bytesOfTensor(t), { height, width, channels: channels as 1 | 3 | 4 }, labels)
  }
  return {
    name,
    size,
    ...(labels ? { labels } : {}),
    item: async (i) => {
      checkIndex(name, i, size)
      return { kind: 'tensor', name: `${name} #${i}`, tensor: row(t, i) }
    },
    digest: () => digestOf([contentOf(t)], labels),
  }
}

/** An archive: one or more inputs with the same first axis, and perhaps labels. */
export function archiveSet(name: string, arrays: ReadonlyMap<string, Tensor>): DataSet {
  const labelled = [...arrays].find(([key, t]) => labelNames.test(key) && isLabels(t))
  const labels = labelled && Int32Array.from(integers(labelled[1]))
  const rest = [...arrays].filter(([key]) => key !== labelled?.[0])
  const named = rest.filter(([key]) => inputNames.test(key))
  // Train and test splits may share an archive: the arrays that go with the labels are meant.
  const matching = labels && named.length > 1 ? named.filter(([, t]) => t.shape[0] === labels.length) : named
  const inputs = matching.length === 1 ? matching : rest
  if (inputs.length === 0)
    throw new InputError(`${name}: no array of inputs, got ${[...arrays.keys()].join(', ') || 'none'}`)
  if (inputs.length === 1) return arraySet(name, inputs[0]![1], labels)
  const size = inputs[0]![1].shape[0]
  const odd = inputs.find(([, t]) => t.shape[0] !== size || t.shape.length === 0)
  if (odd || size === undefined || (labels && labels.length !== size)) {
    const shapes = [...arrays].map(([key, t]) => `${key} [${t.shape}]`).join(', ')
    throw new InputError(
      `${name}: the arrays differ in their first axis: ${shapes}. Keep one input, or inputs of equal number.`,
    )
  }
  return {
    name,
    size,
    ...(labels ? { labels } : {}),
    item: async (i) => {
      checkIndex(name, i, size)
      return {
        kind: 'tensors',
        name: `${name} #${i}`,
        tensors: new Map(inputs.map(([key, t]) => [key, row(t, i)])),
      }
    },
    digest: () =>
      digestOf(
        inputs.map(([, t]) => contentOf(t)),
        labels,
      ),
  }
}

/** Whole numbers in one axis (or one column). */
const isLabels = (t: Tensor): boolean =>
  /^u?int/.test(t.dtype) && (t.shape.length === 1 || (t.shape.length === 2 && t.shape[1] === 1))

/** Sample i with a first axis of 1. A view. */
function row(t: Tensor, i: number): Tensor {
  const shape = [1, ...t.shape.slice(1)]
  const each = sizeOf(shape)
  const data = Array.isArray(t.data)
    ? t.data.slice(i * each, (i + 1) * each)
    : t.data.subarray(i * each, (i + 1) * each)
  return tensor(t.dtype, shape, data)
}

/** Bytes that tell one array from another, type and shape included. */
function contentOf(t: Tensor): Uint8Array {
  const head = new TextEncoder().encode(`${t.dtype} ${bytesOf(t.dtype)} [${t.shape}]\n`)
  const body = Array.isArray(t.data) ? new TextEncoder().encode(JSON.stringify(t.data)) : bytesOfTensor(t)
  const out = new Uint8Array(head.length + body.length)
  out.set(head)
  out.set(body, head.length)
  return out
}
