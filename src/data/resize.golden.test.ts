// Every resize of golden/resize, in the exactness that its README asks for.

import { expect } from 'vitest'
import { goldenBytes, goldenJson, goldenTest } from '../../test/golden.ts'
import type { Tensor } from '../core/tensor.ts'
import { readNpz } from './npz.ts'
import { type Pixels, pixels, type Samples, toGray } from './pixels.ts'
import { decodePng } from './png.ts'
import { type OpencvMethod, resizeOpencv } from './resize-opencv.ts'
import { type PillowFilter, reducePillow, resizePillow } from './resize-pillow.ts'
import { resizeTensorflow, type TensorflowMethod } from './resize-tensorflow.ts'
import { resizeTorch, type TorchMode } from './resize-torch.ts'

type Case = {
  file: string
  key: string
  shape: number[]
  dtype: string
  error?: string
  input: string
  op?: string
  size: [number, number]
  [option: string]: unknown
}

const files = new Map<string, Map<string, Tensor>>()

function expected(folder: string, c: Case): Tensor {
  const path = `resize/${folder}/${c.file}`
  if (!files.has(path)) files.set(path, readNpz(goldenBytes(path), path))
  return files.get(path)!.get(c.key)!
}

const image = (name: string): Pixels => decodePng(goldenBytes(`resize/inputs/${name}`), name)
const casesOf = (folder: string): Case[] =>
  (goldenJson(`resize/${folder}/index.json`) as { cases: Case[] }).cases.filter((c) => c.error === undefined)
const toFloat = (p: Pixels, divisor = 1): Pixels => ({
  ...p,
  data: Float32Array.from(p.data, (x) => x / divisor),
})
/** [height, width, channels] to [channels, height, width]. */
function planar(p: Pixels): Samples {
  const n = p.height * p.width
  return p.data.map((_, i) => p.data[(i % n) * p.channels + Math.floor(i / n)]!)
}

/** Largest difference and how many values differ. */
function difference(got: Samples, want: Tensor): { max: number; share: number } {
  expect(got.length).toBe(want.data.length)
  let max = 0
  let count = 0
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i]! - Number(want.data[i]))
    if (d !== 0) count++
    if (!(d <= max)) max = d
  }
  return { max, share: count / got.length }
}

goldenTest('Pillow resizes 8, 16 and 32-bit images to the bit, by every filter, box and reducing gap', () => {
  let count = 0
  for (const c of casesOf('pillow')) {
    const filter = c.filter as PillowFilter | undefined
    if (c.file === 'exif.npz' || (c.file === 'modes.npz' && !/^(I16|I|F)_/.test(c.key))) continue
    count++
    const p = image(c.input)
    const want = expected('pillow', c)
    if (c.op === 'Image.reduce') {
      const [fx, fy] = [c.factor].flat() as [number, number?]
      expect(difference(reducePillow(p, fx, fy ?? fx).data, want).max, c.key).toBe(0)
      continue
    }
    const data =
      c.mode === 'I' ? Int32Array.from(p.data) : c.mode === 'F' ? Float32Array.from(p.data) : p.data
    const got = resizePillow({ ...p, data }, c.size[0], c.size[1], {
      filter: filter!,
      alpha: p.channels === 4,
      ...(c.box ? { box: c.box as [number, number, number, number] } : {}),
      ...(c.reducing_gap ? { reducingGap: c.reducing_gap as number } : {}),
    })
    // Mode F keeps float32 between the passes: one unit in the last place of values up to 65535.
    expect(difference(got.data, want).max, c.key).toBeLessThanOrEqual(c.mode === 'F' ? 65535 * 2 ** -24 : 0)
  }
  expect(count).toBe(241)
})

goldenTest(
  'OpenCV: 8 bits to the bit but for ties of cubic, 16 bits within one level, float within 1e-5',
  () => {
    const exact = new Set(['NEAREST', 'NEAREST_EXACT', 'LINEAR', 'LINEAR_EXACT', 'AREA', 'LANCZOS4'])
    let count = 0
    for (const c of casesOf('opencv')) {
      if (!c.method) continue
      count++
      const crop = c.input === 'photo_crop48x72'
      let p = image(crop ? 'photo.png' : `${c.input}.png`)
      if (crop) {
        const row = 72 * 3
        const cut = (_: unknown, i: number): number => p.data[Math.floor(i / row) * p.width * 3 + (i % row)]!
        p = pixels(48, 72, 3, Uint8Array.from({ length: 48 * row }, cut))
      }
      const method = c.method as string
      if (c.input_dtype === 'float32') p = toFloat(p, crop ? 1 : 255)
      const want = expected('opencv', c)
      const got = resizeOpencv(p, want.shape[0]!, want.shape[1]!, {
        method: method.toLowerCase().replace('_', '-') as OpencvMethod,
        ...(c.fx ? { factors: { fx: c.fx as number, fy: c.fy as number } } : {}),
      })
      const d = difference(got.data, want)
      const name = `${c.file} ${c.key}`
      if (c.input_dtype === 'float32') expect(d.max, name).toBeLessThanOrEqual(crop ? 1e-3 : 1e-5)
      else if (c.input_dtype === 'uint8' && exact.has(method)) expect(d.max, name).toBe(0)
      else expect(d.max, name).toBeLessThanOrEqual(method.startsWith('NEAREST') ? 0 : 1)
      expect(d.share, name).toBeLessThan(c.input_dtype === 'float32' ? 1 : 0.005)
    }
    expect(count).toBe(318)
  },
)

goldenTest('TensorFlow: nearest to the bit, every other method of v1 and v2 within 1e-3 of 255', () => {
  let count = 0
  for (const c of casesOf('tensorflow')) {
    const v1 = c.op?.startsWith('tf.compat.v1')
    if (c.op !== 'tf.image.resize' && !v1) continue
    count++
    const method = (v1 ? c.op!.split('resize_')[1]!.replace('_neighbor', '') : c.method) as TensorflowMethod
    const got = resizeTensorflow(image(c.input.split(' ')[0]!), c.size[0], c.size[1], {
      method,
      antialias: c.antialias === true,
      ...(v1
        ? { v1: { alignCorners: c.align_corners === true, halfPixelCenters: c.half_pixel_centers === true } }
        : {}),
    })
    expect(difference(got.data, expected('tensorflow', c)).max, c.key).toBeLessThanOrEqual(
      method === 'nearest' ? 0 : 1e-3,
    )
  }
  expect(count).toBe(131)
})

goldenTest('torch: float within 1e-5, uint8 to the bit, in two versions', () => {
  let count = 0
  for (const folder of ['torch', 'torch113']) {
    for (const c of casesOf(folder)) {
      if (!c.op?.startsWith('F.interpolate')) continue
      count++
      const want = expected(folder, c)
      const p = image('small.png')
      const factor = c.recompute_scale_factor
        ? undefined
        : (c.scale_factor as number | [number, number] | undefined)
      const [fy, fx] = [factor].flat() as [number, number?]
      const got = resizeTorch(c.dtype === 'uint8' ? p : toFloat(p, 255), want.shape[1]!, want.shape[2]!, {
        mode: c.mode as TorchMode,
        antialias: c.antialias === true,
        alignCorners: c.align_corners === true,
        integer: true,
        ...(factor === undefined ? {} : { scaleFactor: { height: fy, width: fx ?? fy } }),
      })
      const d = difference(planar(got), want)
      if (c.dtype === 'float32') expect(d.max, c.key).toBeLessThanOrEqual(1e-5)
      else expect(d.max, c.key).toBe(0)
    }
  }
  expect(count).toBe(167)
})

goldenTest('torchvision resizes PIL images as Pillow does, and tensors in float', () => {
  const photo = image('photo.png')
  for (const folder of ['torch', 'torch113']) {
    for (const c of casesOf(folder)) {
      if (!c.op?.startsWith('torchvision Resize on')) continue
      const want = expected(folder, c)
      if (c.op.endsWith('PIL image')) {
        const got = resizePillow(photo, c.size[0], c.size[1], { filter: c.interpolation as PillowFilter })
        expect(difference(got.data, want).max, c.key).toBe(0)
        continue
      }
      const bytes = c.dtype === 'uint8'
      const got = resizeTorch(bytes ? photo : toFloat(photo, 255), c.size[0], c.size[1], {
        mode: c.interpolation as TorchMode,
        antialias: c.antialias === true,
      })
      const d = difference(planar(got), want)
      // Ties between two levels depend on the order of float32 additions: three values in 20,000.
      if (bytes) expect([d.max <= 1, d.share < 2e-4], c.key).toEqual([true, true])
      else expect(d.max, c.key).toBeLessThanOrEqual(1e-5)
    }
  }
})

goldenTest('gray by Pillow, OpenCV, TensorFlow and torchvision is exact', () => {
  const photo = image('photo.png')
  const want = (folder: string, file: string, key: string): Tensor => expected(folder, { file, key } as Case)
  expect(difference(toGray(photo, 'pillow').data, want('pillow', 'modes.npz', 'convert_L_photo')).max).toBe(0)
  expect(difference(toGray(photo, 'opencv').data, want('opencv', 'colour.npz', 'RGB2GRAY')).max).toBe(0)
  expect(
    difference(
      toGray(photo, 'tensorflow').data,
      want('tensorflow', 'image_resize.npz', 'rgb_to_grayscale_u8'),
    ).max,
  ).toBe(0)
  expect(
    difference(toGray(photo, 'torch').data, want('torch', 'resize_pil_tensor.npz', 'grayscale_tensor')).max,
  ).toBe(0)
  expect(
    difference(toGray(photo, 'pillow').data, want('torch', 'resize_pil_tensor.npz', 'grayscale_pil')).max,
  ).toBe(0)
})
