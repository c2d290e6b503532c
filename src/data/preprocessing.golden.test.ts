// Whole preprocessing documents held to the pipelines of torchvision, Keras and TensorFlow.

import { expect } from 'vitest'
import { goldenBytes, goldenJson, goldenTest } from '../../test/golden.ts'
import type { Tensor } from '../core/tensor.ts'
import { readNpz } from './npz.ts'
import type { Preprocessing, Step } from './preprocessing.ts'
import { preset } from './presets.ts'
import { applyPreprocessing } from './steps.ts'

type Case = {
  file: string
  key: string
  shape: number[]
  op?: string
  layer?: string
  [option: string]: unknown
}

const casesOf = (folder: string): Case[] =>
  (goldenJson(`resize/${folder}/index.json`) as { cases: Case[] }).cases
const files = new Map<string, Map<string, Tensor>>()
const wanted = (folder: string, file: string, key: string): Tensor => {
  const path = `resize/${folder}/${file}`
  if (!files.has(path)) files.set(path, readNpz(goldenBytes(path), path))
  return files.get(path)!.get(key)!
}
const run = (name: string, ...steps: Step[]): Tensor =>
  applyPreprocessing({ steps }, { kind: 'file', name, bytes: goldenBytes(`resize/inputs/${name}`) })

function maxDifference(got: Tensor, want: Tensor): number {
  expect(got.data.length).toBe(want.data.length)
  let max = 0
  for (let i = 0; i < got.data.length; i++) {
    const d = Math.abs(Number(got.data[i]) - Number(want.data[i]))
    if (!(d <= max)) max = d
  }
  return max
}

/** Every n-th row and column of [1, C, H, W]. */
function thinned(t: Tensor, n: number): number[] {
  const [, channels, height, width] = t.shape as [number, number, number, number]
  const out: number[] = []
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y += n) {
      for (let x = 0; x < width; x += n) out.push(Number(t.data[(c * height + y) * width + x]))
    }
  }
  return out
}

const asFloat: Step = { do: 'cast', dtype: 'float32' }
const float: Step = { do: 'scale', multiply: 1 }

goldenTest("torchvision's ImageNet evaluation of a JPEG file is exact to 1e-6 in every value", () => {
  const p: Preprocessing = preset('torchvision', { size: [224, 224], layout: 'NCHW' })
  const got = applyPreprocessing(p, {
    kind: 'file',
    name: 'large.jpg',
    bytes: goldenBytes('resize/inputs/large.jpg'),
  })
  expect(got.shape).toEqual([1, 3, 224, 224])
  expect(
    maxDifference(got, wanted('torch', 'classification_full.npz', 'imagenet_bilinear_normalised')),
  ).toBeLessThan(1e-6)
})

goldenTest('Resize and CenterCrop of torchvision are exact for every published size', () => {
  let count = 0
  for (const c of casesOf('torch')) {
    if (c.file !== 'classification.npz' || !c.op?.startsWith('Resize + CenterCrop')) continue
    count++
    const crop = c.crop as number
    const got = run(
      'large.jpg',
      { do: 'resize', library: 'pillow', filter: c.interpolation as 'bilinear', short: c.resize as number },
      { do: 'crop', size: [crop, crop] },
      { do: 'layout', to: 'NCHW' },
    )
    const want = wanted('torch', c.file, c.key)
    const kept = thinned(got, c.op.includes('every 3rd') ? 3 : 1)
    const n = want.shape[0]! * want.shape[1]!
    expect(kept.length, c.key).toBe(want.data.length)
    expect(
      kept.every((v, i) => v === Number(want.data[(i % n) * 3 + Math.floor(i / n)])),
      c.key,
    ).toBe(true)
  }
  expect(count).toBe(5)
})

goldenTest("torchvision's presets on tensors are exact to 1e-6", () => {
  let count = 0
  for (const c of casesOf('torch')) {
    if (!c.op?.startsWith('weights.transforms()')) continue
    count++
    const crop = c.crop as number
    const got = run(
      'large.jpg',
      {
        do: 'resize',
        library: 'torch',
        mode: c.key.includes('bicubic') ? 'bicubic' : 'bilinear',
        antialias: true,
        short: c.resize as number,
      },
      { do: 'crop', size: [crop, crop] },
      { do: 'scale', divide: 255 },
      { do: 'normalize', mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
      { do: 'layout', to: 'NCHW' },
    )
    const want = wanted('torch', c.file, c.key).data
    const kept = thinned(got, 7)
    expect(kept.length, c.key).toBe(want.length)
    const off = kept.map((v, i) => Math.abs(v - Number(want[i])))
    expect(Math.max(...off), c.key).toBeLessThan(1e-6)
  }
  expect(count).toBe(5)
})

goldenTest('Resize of the shorter side and CenterCrop, also of images too small, are exact', () => {
  for (const c of casesOf('torch')) {
    if (!c.op?.startsWith('torchvision Resize(short') && !c.op?.startsWith('torchvision CenterCrop')) continue
    const steps: Step[] = c.op.includes('CenterCrop')
      ? [{ do: 'crop', size: c.size as [number, number] }]
      : [
          {
            do: 'resize',
            library: 'pillow',
            filter: 'bilinear',
            short: c.size as unknown as number,
            ...(c.max_size ? { longest: c.max_size as number } : {}),
          },
        ]
    expect(maxDifference(run('photo.png', ...steps), wanted('torch', c.file, c.key)), c.key).toBe(0)
  }
})

goldenTest("Keras: Resizing with each way to keep proportions, CenterCrop, load_img's size", () => {
  let count = 0
  for (const c of casesOf('keras')) {
    const size = c.size as [number, number]
    const options = (c.options ?? {}) as {
      crop_to_aspect_ratio?: boolean
      pad_to_aspect_ratio?: boolean
      antialias?: boolean
    }
    if (c.layer === 'Resizing') {
      count++
      const got = run('small.png', float, {
        do: 'resize',
        library: 'tensorflow',
        method: c.interpolation as 'bilinear',
        size,
        fit: options.crop_to_aspect_ratio ? 'crop' : options.pad_to_aspect_ratio ? 'pad' : 'stretch',
        fill: 7,
        antialias: options.antialias ?? false,
      })
      expect(maxDifference(got, wanted('keras', c.file, c.key)), c.key).toBeLessThan(1e-3)
    } else if (c.layer === 'CenterCrop') {
      const got = run('small.png', float, { do: 'crop', size, library: 'keras' })
      expect(maxDifference(got, wanted('keras', c.file, c.key)), c.key).toBeLessThan(1e-3)
    } else if (c.op?.startsWith('keras.utils.load_img')) {
      const filter = c.interpolation as 'bilinear'
      const got = run('photo.png', { do: 'resize', library: 'pillow', filter, size: [32, 24] })
      expect(maxDifference(got, wanted('keras', c.file, c.key)), c.key).toBe(0)
    }
  }
  expect(count).toBe(60)
})

goldenTest(
  "Keras' preprocess_input of every application, Rescaling and Normalization agree to float32 rounding",
  () => {
    const normal = (mean: number[], std: number[]): Step => ({ do: 'normalize', mean, std })
    const unit: Step = { do: 'scale', divide: 255 }
    const rules: Record<string, Step[]> = {
      tf: [{ do: 'scale', divide: 127.5, add: -1 }],
      torch: [unit, normal([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])],
      caffe: [{ do: 'channels', order: 'bgr' }, normal([103.939, 116.779, 123.68], [1])],
      none: [],
    }
    const families: Record<string, string> = {
      mobilenet: 'tf',
      mobilenet_v2: 'tf',
      mobilenet_v3: 'none',
      resnet: 'caffe',
      resnet_v2: 'tf',
      efficientnet: 'none',
      efficientnet_v2: 'none',
      densenet: 'torch',
      inception_v3: 'tf',
      vgg16: 'caffe',
      xception: 'tf',
      nasnet: 'tf',
      convnext: 'none',
    }
    let count = 0
    for (const c of casesOf('keras')) {
      if (!c.op?.includes('preprocess_input') || c.data_format === 'channels_first') continue
      count++
      const rule = rules[(c.mode as string | undefined) ?? families[c.op.split('.')[2]!]!]!
      expect(
        maxDifference(run('small.png', ...rule, asFloat), wanted('keras', c.file, c.key)),
        c.key,
      ).toBeLessThan(1e-5)
    }
    expect(count).toBe(16)
    const rescaled = run('small.png', { do: 'scale', multiply: 0.00784313725490196, add: -1 })
    expect(maxDifference(rescaled, wanted('keras', 'crop_norm.npz', 'rescaling'))).toBeLessThan(1e-6)
    const { mean, variance } = casesOf('keras').find((c) => c.key === 'normalization_adapted') as unknown as {
      mean: number[]
      variance: number[]
    }
    const adapted = run('small.png', normal(mean, variance.map(Math.sqrt)))
    expect(maxDifference(adapted, wanted('keras', 'crop_norm.npz', 'normalization_adapted'))).toBeLessThan(
      1e-5,
    )
  },
)

goldenTest('tf.image: letterbox, crop or pad, preserved proportions, central crop, standardization', () => {
  let count = 0
  for (const c of casesOf('tensorflow')) {
    const size = c.size as [number, number]
    const bilinear = { do: 'resize', library: 'tensorflow', method: 'bilinear', size } as const
    const op = c.op?.replace('tf.image.', '')
    const steps: Step[] | undefined =
      op === 'resize_with_pad'
        ? [{ ...bilinear, fit: 'letterbox' }]
        : op === 'resize preserve_aspect_ratio'
          ? [{ ...bilinear, fit: 'inside' }]
          : op === 'resize_with_crop_or_pad'
            ? [{ do: 'crop', size, library: 'tensorflow' }]
            : op === 'central_crop'
              ? [{ do: 'crop', fraction: c.fraction as number }]
              : op === 'per_image_standardization'
                ? [{ do: 'standardize' }]
                : undefined
    if (!steps) continue
    count++
    const input = op?.includes('crop') ? 'photo.png' : 'small.png'
    const limit = op?.includes('crop') ? 0 : op === 'per_image_standardization' ? 1e-5 : 1e-3
    expect(
      maxDifference(run(input, ...steps), wanted('tensorflow', c.file, c.key)),
      c.key,
    ).toBeLessThanOrEqual(limit)
  }
  expect(count).toBe(10)
})
