// Spectra: discrete Fourier transforms by definition, windows, the mel filter bank.

import { type DType, dtypes, store } from '../../core/dtype.ts'
import { at, integers, numbers, sizeOf, stridesOf, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, booleanOf, inputType, type Op, stringOf } from '../op.ts'
import { type Attributes, type Dim, tensorType } from '../types.ts'
import { constantIntegers, optionalTensor, outputType, tensorAt } from './elements.ts'

/** cos(2πi/n), exact at quarter turns: sin is the same a quarter turn later. */
function cosine(i: number, n: number): number {
  const quarters = (4 * i) / n
  return Number.isInteger(quarters)
    ? [1, 0, -1, 0][((quarters % 4) + 4) % 4]!
    : Math.cos((2 * Math.PI * i) / n)
}

/** X[k] = Σ x[n] exp(∓2πi kn/N) of N samples, the first `bins` of it. */
function transform(
  re: Float64Array,
  im: Float64Array,
  bins: number,
  inverse: boolean,
): [Float64Array, Float64Array] {
  const n = re.length
  const cos = Float64Array.from({ length: n }, (_, i) => cosine(i, n))
  const sin = Float64Array.from({ length: n }, (_, i) => cosine(i - n / 4, n) * (inverse ? 1 : -1))
  const [outRe, outIm] = [new Float64Array(bins), new Float64Array(bins)]
  for (let k = 0; k < bins; k++) {
    let [a, b] = [0, 0]
    for (let i = 0, angle = 0; i < n; i++, angle = (angle + k) % n) {
      a += re[i]! * cos[angle]! - im[i]! * sin[angle]!
      b += re[i]! * sin[angle]! + im[i]! * cos[angle]!
    }
    outRe[k] = inverse ? a / n : a
    outIm[k] = inverse ? b / n : b
  }
  return [outRe, outIm]
}

/** The inverse of a onesided transform is real. */
const realResult = (a: Attributes): boolean => booleanOf(a, 'inverse') && booleanOf(a, 'onesided')

/** Completes the half of a spectrum that a real signal has: X[n − k] is the conjugate of X[k]. */
function mirror(re: Float64Array, im: Float64Array): void {
  const n = re.length
  im[0] = 0
  if (n % 2 === 0) im[n / 2] = 0
  for (let k = 1; k < n - k; k++) {
    re[n - k] = re[k]!
    im[n - k] = -im[k]!
  }
}

const windows: Record<string, (turn: number) => number> = {
  hann: (t) => 0.5 - 0.5 * Math.cos(t),
  hamming: (t) => 25 / 46 - (21 / 46) * Math.cos(t),
  blackman: (t) => 0.42 - 0.5 * Math.cos(t) + 0.08 * Math.cos(2 * t),
}

const dtypeAttribute = { kind: 'string', oneOf: dtypes, default: 'float32' } as const

export const signal = {
  dft: {
    doc: 'Discrete Fourier transform along an axis (an int64 scalar, the last but one): inputs x [..., 1 or 2: real or complex], length?, axis?; onesided gives (inverse: takes) the half that a real signal has',
    inputs: [1, 3],
    attributes: {
      inverse: { kind: 'boolean', default: false },
      onesided: { kind: 'boolean', default: false },
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2, 1], [1, 2])],
        outputs: [tensorOf('float32', [1, 2, 2], [3, 0, -1, 0])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const given = x.inputs[2] == null ? -2 : constantIntegers(x, 2)?.[0]
      const length = x.inputs[1] == null ? undefined : (constantIntegers(x, 1)?.[0] ?? null)
      if (given === undefined)
        return [
          tensorType(
            t.dtype,
            t.shape.map(() => null),
          ),
        ]
      const axis = axisOf(given, t.shape.length)
      const real = realResult(x.attributes)
      const size = t.shape[axis]!
      const n: Dim = length !== undefined ? length : real && typeof size === 'number' ? 2 * (size - 1) : size
      const half = booleanOf(x.attributes, 'onesided') && !real
      const bins = typeof n === 'number' && half ? Math.floor(n / 2) + 1 : n
      const last = t.shape.length - 1
      return [
        tensorType(
          t.dtype,
          t.shape.map((d, i) => (i === last ? (real ? 1 : 2) : i === axis ? bins : d)),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { dtype, shape } = outputType(x)
      const given = optionalTensor(inputs, 2)
      const axis = axisOf(given ? integers(given)[0]! : -2, t.shape.length)
      const lengthInput = optionalTensor(inputs, 1)
      const real = realResult(x.attributes)
      const size = t.shape[axis]!
      const length = lengthInput ? integers(lengthInput)[0]! : real ? 2 * (size - 1) : size
      const parts = t.shape.at(-1)!
      const [from, to] = [stridesOf(t.shape), stridesOf(shape)]
      const bins = shape[axis]!
      const out = zeros(dtype, shape)
      const xs = numbers(t)
      const lines = shape.map((d, i) => (i === axis || i === shape.length - 1 ? 1 : d))
      const count = sizeOf(lines)
      const lineStrides = stridesOf(lines)
      for (let l = 0; l < count; l++) {
        let [a, b] = [0, 0]
        lines.forEach((d, i) => {
          const k = Math.floor(l / lineStrides[i]!) % d
          a += k * from[i]!
          b += k * to[i]!
        })
        const [re, im] = [new Float64Array(length), new Float64Array(length)]
        for (let i = 0; i < Math.min(length, t.shape[axis]!); i++) {
          re[i] = xs[a + i * from[axis]!]!
          if (parts === 2) im[i] = xs[a + i * from[axis]! + 1]!
        }
        if (real) mirror(re, im)
        const [outRe, outIm] = transform(re, im, bins, booleanOf(x.attributes, 'inverse'))
        for (let k = 0; k < bins; k++) {
          store(dtype, out.data, b + k * to[axis]!, outRe[k]!)
          if (!real) store(dtype, out.data, b + k * to[axis]! + 1, outIm[k]!)
        }
      }
      return [out]
    },
  },
  stft: {
    doc: 'Short-time Fourier transform: inputs signal [N, length, 1 or 2], step, window?, frame length?; gives [N, frames, bins, 2]',
    inputs: [2, 4],
    attributes: { onesided: { kind: 'boolean', default: true } },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 4, 1], [1, 2, 3, 4]),
          tensorOf('int64', [], [2]),
          null,
          tensorOf('int64', [], [2]),
        ],
        outputs: [tensorOf('float32', [1, 2, 2, 2], [3, 0, -1, 0, 7, 0, -1, 0])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const step = constantIntegers(x, 1)?.[0]
      const window = x.inputs[2]
      const frame =
        constantIntegers(x, 3)?.[0] ?? (window?.kind === 'tensor' ? (window.shape?.[0] ?? null) : null)
      const length = t.shape?.[1]
      const bins =
        typeof frame === 'number' && booleanOf(x.attributes, 'onesided') ? Math.floor(frame / 2) + 1 : frame
      const frames =
        typeof length === 'number' && typeof frame === 'number' && step !== undefined
          ? Math.floor((length - frame) / step) + 1
          : null
      return [tensorType(t.dtype, [t.shape?.[0] ?? null, frames, bins, 2])]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { dtype, shape } = outputType(x)
      const [batches, frames, bins] = shape as [number, number, number]
      const step = integers(tensorAt(inputs, 1))[0]!
      const window = optionalTensor(inputs, 2)
      const given = optionalTensor(inputs, 3)
      const frame = given ? integers(given)[0]! : window!.shape[0]!
      const weights = window && numbers(window)
      const [, length, parts] = t.shape as [number, number, number]
      const xs = numbers(t)
      const out = zeros(dtype, shape)
      for (let n = 0; n < batches; n++) {
        for (let f = 0; f < frames; f++) {
          const [re, im] = [new Float64Array(frame), new Float64Array(frame)]
          for (let i = 0; i < frame; i++) {
            const o = (n * length + f * step + i) * (parts ?? 1)
            const w = weights ? weights[i]! : 1
            re[i] = xs[o]! * w
            if (parts === 2) im[i] = xs[o + 1]! * w
          }
          const [outRe, outIm] = transform(re, im, bins, false)
          for (let k = 0; k < bins; k++) {
            const o = ((n * frames + f) * bins + k) * 2
            store(dtype, out.data, o, outRe[k]!)
            store(dtype, out.data, o + 1, outIm[k]!)
          }
        }
      }
      return [out]
    },
  },
  window: {
    doc: 'A window function of a size (an integer scalar), periodic or symmetric',
    inputs: [1, 1],
    attributes: {
      kind: { kind: 'string', oneOf: Object.keys(windows) },
      periodic: { kind: 'boolean', default: true },
      dtype: dtypeAttribute,
    },
    infer: (x) => [
      tensorType(stringOf(x.attributes, 'dtype') as DType, [constantIntegers(x, 0)?.[0] ?? null]),
    ],
    evaluate(_inputs, x) {
      const { dtype, shape } = outputType(x)
      const n = shape[0]!
      const over = booleanOf(x.attributes, 'periodic') ? n : n - 1
      const f = windows[stringOf(x.attributes, 'kind')]!
      return [
        tensorOf(
          dtype,
          shape,
          Array.from({ length: n }, (_, i) => f((2 * Math.PI * i) / over)),
        ),
      ]
    },
    examples: () => [{ inputs: [tensorOf('int64', [], [4])], attributes: { kind: 'hann' } }],
  },
  melWeightMatrix: {
    doc: 'Triangular mel filters [spectrogram bins, mel bins]: inputs mel bins, DFT length, sample rate, lowest and highest frequency in Hz',
    inputs: [5, 5],
    attributes: { dtype: dtypeAttribute },
    examples: () => [
      {
        inputs: [
          tensorOf('int64', [], [2]),
          tensorOf('int64', [], [16]),
          tensorOf('int64', [], [8000]),
          tensorOf('float32', [], [0]),
          tensorOf('float32', [], [4000]),
        ],
      },
    ],
    infer(x) {
      const [mel, length] = [constantIntegers(x, 0)?.[0], constantIntegers(x, 1)?.[0]]
      return [
        tensorType(stringOf(x.attributes, 'dtype') as DType, [
          length === undefined ? null : Math.floor(length / 2) + 1,
          mel ?? null,
        ]),
      ]
    },
    evaluate(inputs, x) {
      const { dtype, shape } = outputType(x)
      const [mels, length, rate, low, high] = [0, 1, 2, 3, 4].map((i) => at(tensorAt(inputs, i), 0)) as [
        number,
        number,
        number,
        number,
        number,
      ]
      const toMel = (hz: number): number => 2595 * Math.log10(1 + hz / 700)
      const step = (toMel(high) - toMel(low)) / (mels + 2)
      const edges = Array.from({ length: mels + 2 }, (_, i) => {
        const hz = 700 * (10 ** ((i * step + toMel(low)) / 2595) - 1)
        return Math.floor(((length + 1) * hz) / rate)
      })
      const out = zeros(dtype, shape)
      for (let m = 0; m < mels; m++) {
        const [left, centre, right] = [edges[m]!, edges[m + 1]!, edges[m + 2]!]
        const put = (bin: number, v: number): void => {
          if (bin >= 0 && bin < shape[0]!) store(dtype, out.data, bin * mels + m, v)
        }
        if (left === centre) put(centre, 1)
        else for (let b = left; b <= centre; b++) put(b, (b - left) / (centre - left))
        for (let b = centre; b < right; b++) put(b, (right - b) / (right - centre))
      }
      return [out]
    },
  },
} satisfies Record<string, Op>
