// The inputs that a model is tried on: from the user's data through its preprocessing, else random.

import { encode } from 'fast-png'
import type { DType } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { rng } from '../core/rng.ts'
import type { Tensor } from '../core/tensor.ts'
import { isZip } from '../core/zip.ts'
import { type DataSet, type FileSystem, type Sample, subset } from '../data/dataset.ts'
import { guessPreprocessing } from '../data/guess.ts'
import { isImage } from '../data/images.ts'
import { inputRange } from '../data/input-range.ts'
import { isNpy, readNpy } from '../data/npy.ts'
import { readNpz } from '../data/npz.ts'
import { openData } from '../data/open.ts'
import type { DecodedImage } from '../data/pixels.ts'
import { isPng } from '../data/png.ts'
import { describePreprocessing, type Preprocessing, parsePreprocessing } from '../data/preprocessing.ts'
import { preset } from '../data/presets.ts'
import { applyPreprocessing } from '../data/steps.ts'
import { isWav } from '../data/wav.ts'
import type { Model } from '../formats/open.ts'
import { specialize } from '../ir/specialize.ts'
import { type Graph, isStatic, type TensorType, type Value } from '../ir/types.ts'
import type { CheckData } from './check.ts'
import { randomInputs } from './inputs.ts'

export type SampleOptions = {
  /** What `--data` names; random inputs where absent. */
  readonly data?: string
  readonly files: FileSystem
  /** A document, or the name of a preset; guessed from the model where absent. */
  readonly preprocessing?: unknown
  /** At most so many, drawn without replacement where there are more. Default: 200, and 8 random ones. */
  readonly samples?: number
  /** Of the draw and of random inputs. Default 1. */
  readonly seed?: number
}

const mostSamples = 200
const randomSamples = 8
/** Larger pictures are left out of the report. */
const mostPictureBytes = 400_000

/** Reads, draws and preprocesses. The graph's inputs must have known types. */
export async function samplesFor(model: Model, options: SampleOptions): Promise<CheckData> {
  const seed = options.seed ?? 1
  const { graph } = model
  if (options.data === undefined) {
    const open = graph.inputs.some((v) => !isStatic(typeOfInput(graph.values[v]!).shape))
    const sized = open ? atOne(graph) : graph
    return {
      source: 'random inputs',
      samples: randomInputs(sized, options.samples ?? randomSamples, seed),
      preprocessing: null,
      preprocessingSays: 'none',
      seed,
    }
  }
  const exact = await exactInputs(graph, options.data, options.files)
  if (exact) {
    return {
      source: options.data,
      samples: [exact],
      preprocessing: null,
      preprocessingSays: 'none: the arrays are the inputs',
      seed: null,
    }
  }
  const all = await openData(options.data, options.files)
  if (all.size === 0) throw new InputError(`${options.data}: no samples`)
  const set = draw(all, Math.min(all.size, options.samples ?? mostSamples), seed)
  const items = await Promise.all(Array.from({ length: set.size }, (_, i) => set.item(i)))
  const { preprocessing, says } = preprocessingFor(model, options, items[0]!)
  const samples = items.map((s) => inputsOf(graph, s, preprocessing))
  return {
    source: options.data,
    samples,
    ...(set.labels && { labels: Array.from(set.labels) }),
    ...(set.classes && { classes: set.classes }),
    preprocessing,
    preprocessingSays: says,
    seed: set.size < all.size ? seed : null,
    picture: (i) => pictureOf(items[i]!),
  }
}

/** With 1 for every open dimension: which sizes the model can have, its file doesn't say. */
function atOne(graph: Graph): Graph {
  try {
    return specialize(graph, { open: 1 })
  } catch (e) {
    if (!(e instanceof InputError)) throw e
    const names = graph.inputs.flatMap((v) => typeOfInput(graph.values[v]!).shape ?? [])
    const symbols = [...new Set(names.filter((d) => typeof d === 'string'))]
    const fix =
      symbols.length > 0
        ? `Give their sizes (--dims ${symbols[0]}=N)`
        : 'Give inputs of a size that fits (--data)'
    throw new InputError(`${e.message}. That is with 1 for the open dimensions. ${fix}.`)
  }
}

function typeOfInput(v: Value): TensorType {
  if (v.type.kind !== 'tensor')
    throw new InputError(
      `input ${v.name}: a ${v.type.kind}, expected a tensor. Such models can't be run on data yet.`,
    )
  return v.type
}

/** In order of the set, so that the same draw reads the same whatever the order of drawing. */
function draw(set: DataSet, count: number, seed: number): DataSet {
  if (count === set.size) return set
  const r = rng(seed)
  const indices = Array.from({ length: set.size }, (_, i) => i)
  for (let i = 0; i < count; i++) {
    const j = i + r.below(indices.length - i)
    ;[indices[i], indices[j]] = [indices[j]!, indices[i]!]
  }
  return subset(
    set,
    indices.slice(0, count).sort((a, b) => a - b),
  )
}

/** One sample, where an array (or an archive with an array for every input) fits the inputs as it is. */
async function exactInputs(graph: Graph, path: string, files: FileSystem): Promise<Tensor[] | undefined> {
  if (await files.list(path)) return undefined
  const bytes = await files.read(path)
  const inputs = graph.inputs.map((v) => graph.values[v]!)
  let arrays: (Tensor | undefined)[]
  if (isNpy(bytes)) arrays = [readNpy(bytes, path)]
  else if (isZip(bytes)) {
    const archive = readNpz(bytes, path)
    arrays = inputs.map((v) => archive.get(v.name))
  } else return undefined
  const whole = arrays.length === inputs.length && inputs.every((v, i) => arrays[i] && fits(arrays[i], v))
  return whole ? (arrays as Tensor[]) : undefined
}

/** An open dimension takes any number but in front, where many samples may lie: there only 1. */
function fits(t: Tensor, v: Value): boolean {
  const { dtype, shape } = typeOfInput(v)
  if (t.dtype !== dtype) return false
  if (shape === null) return false
  return (
    shape.length === t.shape.length &&
    shape.every((d, i) => (typeof d === 'number' ? d : i === 0 ? 1 : t.shape[i]) === t.shape[i])
  )
}

function preprocessingFor(
  model: Model,
  options: SampleOptions,
  sample: Sample,
): { preprocessing: Preprocessing | null; says: string } {
  const { graph } = model
  const given = options.preprocessing
  if (given !== undefined && typeof given !== 'string') {
    const p = parsePreprocessing(given, 'preprocessing')
    return { preprocessing: p, says: describePreprocessing(p) }
  }
  if (sample.kind === 'tensors') return { preprocessing: null, says: 'none: the arrays are the inputs' }
  const id = graph.inputs.find((v) => graph.values[v]!.type.kind === 'tensor')
  const input = id === undefined ? undefined : graph.values[id]
  if (id === undefined || !input) throw new InputError(`${model.name}: no input to feed the data to`)
  const { dtype, shape } = typeOfInput(input)
  const sides = (shape ?? []).map((d) => (typeof d === 'number' ? d : -1))
  if (typeof given === 'string') {
    const guess = pictureForm(sides)
    if (!guess)
      throw new InputError(
        `--preprocessing ${given}: the input ${input.name} is no picture. Give a JSON document instead.`,
      )
    const p = preset(given, guess)
    return { preprocessing: p, says: describePreprocessing(p) }
  }
  const q = input.quantization
  const range = inputRange(graph, id)
  const { preprocessing, reason } = guessPreprocessing({
    inputName: input.name,
    shape: sides,
    dtype: dtype as DType,
    format: model.format,
    model: model.name,
    sound: sample.kind === 'sound' || (sample.kind === 'file' && isWav(sample.bytes)),
    ...(range && { range }),
    ...(q && { quantization: { scale: q.scale[0]!, zeroPoint: q.zeroPoint[0] ?? 0 } }),
  })
  return { preprocessing, says: `${reason}\n${describePreprocessing(preprocessing)}` }
}

function pictureForm(
  s: readonly number[],
): { size: readonly [number, number]; layout: 'NHWC' | 'NCHW'; channels: 1 | 3 } | undefined {
  if (s.length !== 4) return undefined
  const [, a, b, c] = s as [number, number, number, number]
  const side = (d: number): number => (d > 0 ? d : 224)
  if (c === 1 || c === 3) return { size: [side(a), side(b)], layout: 'NHWC', channels: c }
  if (a === 1 || a === 3) return { size: [side(b), side(c)], layout: 'NCHW', channels: a }
  return undefined
}

function inputsOf(graph: Graph, sample: Sample, preprocessing: Preprocessing | null): Tensor[] {
  if (sample.kind === 'tensors') {
    return graph.inputs.map((v) => {
      const { name } = graph.values[v]!
      const t = sample.tensors.get(name)
      if (!t)
        throw new InputError(
          `${sample.name}: no array for input ${name}, expected one of that name, got ${[...sample.tensors.keys()].join(', ')}`,
        )
      return t
    })
  }
  if (graph.inputs.length !== 1) {
    const names = graph.inputs.map((v) => graph.values[v]!.name).join(', ')
    throw new InputError(
      `${sample.name}: one input, expected ${graph.inputs.length} (${names}). Give an .npz with an array for each.`,
    )
  }
  return [preprocessing ? applyPreprocessing(preprocessing, sample) : (sample as { tensor: Tensor }).tensor]
}

const base64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

/** The picture as a data: URL, where it is one and small enough to stand in a report. */
function pictureOf(sample: Sample): string | undefined {
  if (sample.kind === 'image') {
    const png = pngOf(sample.image)
    return png && `data:image/png;base64,${base64(png)}`
  }
  if (sample.kind !== 'file' || !isImage(sample.bytes) || sample.bytes.length > mostPictureBytes)
    return undefined
  const kind = isPng(sample.bytes) ? 'png' : sample.bytes[0] === 0xff ? 'jpeg' : undefined
  return kind && `data:image/${kind};base64,${base64(sample.bytes)}`
}

function pngOf({ width, height, channels, data }: DecodedImage): Uint8Array | undefined {
  if (!(data instanceof Uint8Array) || width * height > 512 * 512) return undefined
  return encode({ width, height, channels: channels as 1 | 2 | 3 | 4, depth: 8, data })
}
