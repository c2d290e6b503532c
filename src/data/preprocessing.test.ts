import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { digest } from '../core/hash.ts'
import { bytesOfTensor, tensorOf } from '../core/tensor.ts'
import type { Sample } from './dataset.ts'
import { guessPreprocessing } from './guess.ts'
import type { Colours } from './pixels.ts'
import { describePreprocessing, parsePreprocessing, type Step, verbs } from './preprocessing.ts'
import { deltannPreset, preset, presets } from './presets.ts'
import { applyPreprocessing } from './steps.ts'

const file = (name: string): Sample => ({
  kind: 'file',
  name,
  bytes: new Uint8Array(readFileSync(`test/assets/data/${name}`)),
})
const image = (
  height: number,
  width: number,
  colours: Colours,
  channels: number,
  values: number[],
): Sample => ({
  kind: 'image',
  name: 'picture',
  image: { height, width, channels, colours, orientation: 1, data: Uint8Array.from(values) },
})
const rgb = image(1, 2, 'rgb', 3, [0, 51, 102, 153, 204, 255])
const run = (s: Sample, ...steps: Step[]) => applyPreprocessing({ steps }, s)

test('without steps a picture is NHWC bytes', () => {
  expect(run(rgb)).toEqual(tensorOf('uint8', [1, 1, 2, 3], [0, 51, 102, 153, 204, 255]))
})

test('channels, scale, normalize and layout follow each other in float32', () => {
  const got = run(
    rgb,
    { do: 'channels', order: 'bgr' },
    { do: 'scale', divide: 255 },
    { do: 'normalize', mean: [0.5], std: [0.25] },
    { do: 'layout', to: 'NCHW' },
  )
  expect([got.dtype, got.shape]).toEqual(['float32', [1, 3, 1, 2]])
  const want = [-0.4, 2, -1.2, 1.2, -2, 0.4]
  expect(Math.max(...want.map((x, i) => Math.abs(x - Number(got.data[i]))))).toBeLessThan(1e-6)
})

test('NCWH swaps height and width', () => {
  const gray = image(2, 2, 'gray', 1, [1, 2, 3, 4])
  expect([...run(gray, { do: 'layout', to: 'NCWH' }).data]).toEqual([1, 3, 2, 4])
})

test('gray becomes three equal channels when RGB is asked for, alpha is dropped', () => {
  expect([...run(image(1, 1, 'gray', 1, [9]), { do: 'channels', order: 'rgb' }).data]).toEqual([9, 9, 9])
  expect([...run(image(1, 1, 'rgba', 4, [1, 2, 3, 4]), { do: 'channels', order: 'bgr' }).data]).toEqual([
    3, 2, 1,
  ])
})

test('upright turns a picture by its EXIF orientation', () => {
  expect(run(file('exif6.jpg'), { do: 'decode' }).shape).toEqual([1, 24, 40, 3])
  expect(run(file('exif6.jpg'), { do: 'decode', upright: true }).shape).toEqual([1, 40, 24, 3])
})

test('a JPEG decodes to known samples by either transform', () => {
  const sum = (jpeg: 'accurate' | 'fast'): string =>
    digest(bytesOfTensor(run(file('j420_q75.jpg'), { do: 'decode', jpeg })))
  expect([sum('accurate'), sum('fast')]).toMatchInlineSnapshot(`
    [
      "ac74884228339f24b56676f78148f85a",
      "3f358ae599b9bebbab083f782b4b8649",
    ]
  `)
})

test('each library resizes a picture in its own way', () => {
  const size: [number, number] = [8, 11]
  const got = [
    run(file('small.png'), { do: 'resize', library: 'pillow', filter: 'bicubic', size }),
    run(file('small.png'), { do: 'resize', library: 'opencv', method: 'cubic', size }),
    run(file('small.png'), { do: 'resize', library: 'torch', mode: 'bicubic', size, antialias: true }),
    run(file('small.png'), { do: 'resize', library: 'tensorflow', method: 'nearest', size }),
  ]
  expect(got.map((t) => digest(bytesOfTensor(t)))).toMatchInlineSnapshot(`
    [
      "9ad93b12a17ca9a6fde5579d0960a5df",
      "c66cb3eed97e1254dec9006d62947f7e",
      "2b8e8e225a0631de8fad0a15528c6813",
      "a238ed940bcd60e84f75062f46db474f",
    ]
  `)
  expect(new Set(got.map((t) => digest(bytesOfTensor(t)))).size).toBe(4)
})

test('a quantised input is rounded with halves to even and clipped', () => {
  const steps: Step[] = [
    { do: 'scale', divide: 2 },
    { do: 'quantize', dtype: 'int8', scale: 1, zeroPoint: -3 },
  ]
  expect([...run(image(1, 4, 'gray', 1, [1, 3, 5, 255]), ...steps).data]).toEqual([-3, -1, -1, 125])
  expect([...run(rgb, { do: 'quantize', dtype: 'int8', scale: 1, zeroPoint: 0 }).data]).toEqual([
    0, 51, 102, 127, 127, 127,
  ])
})

test('a tensor passes as it is, but for type and shape', () => {
  const sample: Sample = { kind: 'tensor', name: 't', tensor: tensorOf('float32', [1, 4], [1, 2, 3, 4]) }
  const got = run(
    sample,
    { do: 'scale', divide: 255 },
    { do: 'cast', dtype: 'int64' },
    { do: 'shape', to: [1, 2, -1] },
  )
  expect(got).toEqual(tensorOf('int64', [1, 2, 2], [1, 2, 3, 4]))
})

test('a sound is made mono, resampled, cut and turned into features', () => {
  const stereo: Sample = {
    kind: 'sound',
    name: 's',
    sound: { rate: 8000, channels: 2, data: Float32Array.from({ length: 1600 }, (_, i) => Math.sin(i / 9)) },
  }
  expect(run(stereo).shape).toEqual([1, 800, 2])
  expect(run(stereo, { do: 'mono' }, { do: 'resample', rate: 16000, method: 'torchaudio' }).shape).toEqual([
    1, 1600,
  ])
  const steps: Step[] = [
    { do: 'mono' },
    { do: 'resample', rate: 16000, method: 'scipy-poly' },
    { do: 'length', samples: 16000 },
    { do: 'features', convention: 'speech-commands', kind: 'mfcc' },
    { do: 'shape', to: [1, 49, 10, 1] },
  ]
  expect(run(stereo, ...steps).shape).toEqual([1, 49, 10, 1])
  expect(run(file('ulaw8k.wav'), { do: 'features', convention: 'kaldi', kind: 'log-mel' }).shape).toEqual([
    1, 18, 23,
  ])
})

test.each<[string, Sample, Step[], RegExp]>([
  [
    'an image step on a sound',
    file('ulaw8k.wav'),
    [{ do: 'crop', size: [1, 1] }],
    /ulaw8k.wav: the step crop needs an image, got a sound/,
  ],
  ['a sound step on an image', rgb, [{ do: 'mono' }], /the step mono needs a sound, got an image/],
  [
    'means of another number',
    rgb,
    [{ do: 'normalize', mean: [1, 2], std: [1] }],
    /2 means and 1 deviations, expected 1 or 3/,
  ],
  ['a deviation of 0', rgb, [{ do: 'normalize', mean: [1], std: [0] }], /deviation of 0/],
  [
    'a shape that does not fit',
    rgb,
    [{ do: 'shape', to: [4, -1] }],
    /6 elements do not fit the shape \[4, -1\]/,
  ],
  [
    'a resize without a size',
    rgb,
    [{ do: 'resize', library: 'opencv', method: 'area' }],
    /needs `size` or `short`/,
  ],
  [
    'a sound too short',
    file('ulaw8k.wav'),
    [{ do: 'features', convention: 'tensorflow', kind: 'mel', window: 4000 }],
    /fewer than one window/,
  ],
  [
    'a band beyond the rate',
    file('ulaw8k.wav'),
    [{ do: 'features', convention: 'librosa', kind: 'mel', high: 8000 }],
    /do not fit together/,
  ],
])('%s is an input error', (_, sample, steps, message) => {
  expect(() => run(sample, ...steps)).toThrow(InputError)
  expect(() => run(sample, ...steps)).toThrow(message)
})

test('a document is checked, and the message names the step', () => {
  expect(parsePreprocessing({ steps: [{ do: 'decode' }] }, 'p.json')).toEqual({ steps: [{ do: 'decode' }] })
  const message = (document: unknown): string => {
    try {
      parsePreprocessing(document, 'p.json')
      return ''
    } catch (e) {
      return e instanceof InputError ? e.message : 'another error'
    }
  }
  expect(message({ steps: [{ do: 'resise' }] })).toMatch(
    /p\.json: not a preprocessing document: steps\.0: expected a step that does one of decode, .*got "resise"/,
  )
  expect(message({ steps: [{ do: 'decode' }, { do: 'crop', sise: 3 }] })).toMatch(/steps\.1: .*sise/)
  expect(message({ steps: [{ do: 'resize', library: 'gimp' }] })).toMatch(/steps\.0.*(library|resize)/)
  expect(message({ step: [] })).toMatch(/steps: /)
  expect(message('x')).toMatch(/the document: /)
})

test('every preset prints, parses back from JSON, and gives a tensor of the right shape', () => {
  for (const [name, { says }] of Object.entries(presets)) {
    const p = preset(name, { size: [20, 24], layout: 'NCHW' })
    expect(parsePreprocessing(JSON.parse(JSON.stringify(p)), name)).toEqual(p)
    expect(describePreprocessing(p).split('\n')).toHaveLength(p.steps.length + 1)
    expect(says.length).toBeGreaterThan(10)
    expect(applyPreprocessing(p, file('small.png')).shape, name).toEqual([
      1,
      name === 'mnist' ? 1 : 3,
      20,
      24,
    ])
  }
  expect(() => preset('imagenet', { size: [1, 1], layout: 'NHWC' })).toThrow(
    /not known, expected one of raw, unit/,
  )
})

test('a description is one line a step', () => {
  expect(
    describePreprocessing(preset('torchvision', { size: [224, 224], layout: 'NCHW' })),
  ).toMatchInlineSnapshot(`
    "torchvision:
      1. decode (accurate integer JPEG transform, as stored, EXIF ignored)
      2. channels in the order rgb
      3. resize to a shorter side of 256 by pillow bilinear
      4. crop the middle 224×224
      5. scale: x / 255
      6. normalize: (x − [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
      7. layout NCHW"
  `)
  expect(describePreprocessing({ steps: [] })).toBe('preprocessing: none, the data is the input')
})

test('DeltaNN chooses its rule by the source library and by name', () => {
  expect(deltannPreset('torch', 'resnet101')).toBe('deltann-torch')
  expect(deltannPreset('tflite', 'MobileNetV2')).toBe('deltann-mobilenet')
  expect(deltannPreset('tf', 'InceptionV3')).toBe('deltann-inception')
  expect(() => deltannPreset('tf', 'vit')).toThrow(InputError)
})

test('a guess follows type, layout, origin and name, and gives its reason', () => {
  const guess = (shape: number[], more: Partial<Parameters<typeof guessPreprocessing>[0]> = {}) =>
    guessPreprocessing({ inputName: 'input', shape, dtype: 'float32', ...more })
  const name = (g: ReturnType<typeof guess>) => g.preprocessing.name
  expect(name(guess([1, 224, 224, 3]))).toBe('signed (a guess)')
  expect(name(guess([-1, 3, 224, 224]))).toBe('torchvision (a guess)')
  expect(name(guess([1, 3, 224, 224], { producer: 'tf2onnx', model: 'resnet50' }))).toBe(
    'keras-caffe (a guess)',
  )
  expect(name(guess([1, 224, 224, 3], { dtype: 'uint8' }))).toBe('raw (a guess)')
  expect(name(guess([1, 224, 224, 3], { format: 'tfjs', model: 'nsfw-mobilenet' }))).toBe('unit (a guess)')
  expect(name(guess([1, 28, 28, 1]))).toBe('unit (a guess)')
  expect(name(guess([1, 1, 28, 28]))).toBe('unit (a guess)')
  expect(name(guess([1, 128]))).toBe('none')
  expect(guess([1, 224, 224, 3]).reason).toBe(
    'a guess: input is a NHWC picture of 224×224 with 3 channels, channels last as in TensorFlow, where most networks take −1 to 1',
  )
  const int8 = (scale: number, zeroPoint: number) =>
    guess([1, 3, 32, 32], { dtype: 'int8', quantization: { scale, zeroPoint } })
  expect(int8(0.0078125, -1).preprocessing.steps.at(-1)).toEqual({
    do: 'quantize',
    dtype: 'int8',
    scale: 0.0078125,
    zeroPoint: -1,
  })
  const spans: [number, number][] = [
    [0.0078125, 0],
    [1 / 255, -128],
    [1, -128],
    [0.0187, -14],
    [0.5, 0],
  ]
  expect(spans.map((q) => name(int8(...q))?.split(' ')[0])).toEqual([
    'signed',
    'unit',
    'raw',
    'torchvision',
    'torchvision',
  ])
  expect(int8(1 / 255, -128).reason).toMatch(/quantised over 0 to 1$/)
  expect(name(guess([1, 3, 224, 224], { range: 'bytes' }))).toBe('raw (a guess)')
})

test('for sound a guess gives samples, cepstra or mel bands of the right shape', () => {
  const guess = (shape: number[]) =>
    guessPreprocessing({ inputName: 'audio', shape, dtype: 'float32', sound: true })
  for (const shape of [
    [1, 16000],
    [1, 1, 8000],
    [1, 49, 10, 1],
    [1, 98, 40],
    [1, 1, 101, 64],
  ]) {
    const { preprocessing, reason } = guess(shape)
    expect(applyPreprocessing(preprocessing, file('ulaw8k.wav')).shape, reason).toEqual(shape)
    expect(reason).toMatch(/^a guess: the data is sound/)
  }
  expect(guess([-1, 49, 10, 1]).preprocessing.name).toBe('mfcc (a guess)')
  expect(guess([1, 49, 40, 1]).preprocessing.name).toBe('log-mel (a guess)')
  expect(guess([1, 3, 224, 224]).preprocessing.steps).toEqual([])
})

test('every preset takes every kind of picture, down to one pixel', () => {
  const kinds: [Colours, number][] = [
    ['gray', 1],
    ['grayAlpha', 2],
    ['rgb', 3],
    ['rgba', 4],
    ['cmyk', 4],
  ]
  for (const [colours, channels] of kinds) {
    for (const [height, width] of [
      [1, 1],
      [1, 9],
      [7, 2],
      [40, 3],
    ] as const) {
      const values = Array.from({ length: height * width * channels }, (_, i) => (i * 37) % 256)
      const sample = image(height, width, colours, channels, values)
      for (const name of Object.keys(presets)) {
        const got = applyPreprocessing(preset(name, { size: [5, 6], layout: 'NHWC' }), sample)
        expect(got.shape, `${name} ${colours} ${height}×${width}`).toEqual([
          1,
          5,
          6,
          name === 'mnist' ? 1 : 3,
        ])
      }
    }
  }
})

test('the page on preprocessing shows documents that work, and names every step and preset', () => {
  const page = readFileSync('docs/preprocessing.md', 'utf8')
  const blocks = [...page.matchAll(/```json\n(.*?)```/gs)].map((m) => m[1]!)
  expect(blocks).toHaveLength(2)
  const [picture, speech] = blocks.map((b) => parsePreprocessing(JSON.parse(b), 'docs/preprocessing.md'))
  expect(picture).toEqual(preset('torchvision', { size: [224, 224], layout: 'NCHW' }))
  expect(applyPreprocessing(speech!, file('ulaw8k.wav')).shape).toEqual([1, 49, 10, 1])
  for (const name of [...Object.keys(presets), ...verbs]) expect(page).toContain(`\`${name}\``)
})
