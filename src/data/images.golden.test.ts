// Every image of golden/resize/inputs decoded to the bit.

import { expect } from 'vitest'
import { goldenBytes, goldenTest } from '../../test/golden.ts'
import { decodeImage } from './images.ts'
import type { JpegOptions } from './jpeg.ts'
import { readNpz } from './npz.ts'
import { applyOrientation, toEightBits, toGray, toRgb } from './pixels.ts'

const arrays = (path: string) => readNpz(goldenBytes(`resize/${path}`), path)
const open = (name: string, jpeg?: JpegOptions) =>
  decodeImage(goldenBytes(`resize/inputs/${name}`), name, jpeg)

goldenTest(
  'JPEG files decode to the samples of Pillow and OpenCV: every subsampling, progressive, restarts, CMYK',
  () => {
    let count = 0
    for (const [key, want] of arrays('jpeg/pillow_opencv.npz')) {
      const m = /^(.*)__(pillow|opencv)_rgb$/.exec(key)
      if (!m) continue
      count++
      expect(toRgb(open(`${m[1]}.jpg`), m[2] as 'pillow' | 'opencv').data, key).toEqual(want.data)
    }
    expect(count).toBe(18)
  },
)

goldenTest(
  'JPEG files decode to the samples of TensorFlow: accurate, fast, and without fancy upsampling',
  () => {
    const options: Record<string, JpegOptions> = {
      integer_accurate: {},
      integer_fast: { idct: 'fast' },
      default: { idct: 'fast' },
      accurate_nofancy: { fancy: false },
    }
    let count = 0
    for (const [key, want] of arrays('jpeg/tensorflow.npz')) {
      const [name, kind] = key.split('__tf_') as [string, string]
      if (!options[kind]) continue
      count++
      expect(toRgb(open(`${name}.jpg`, options[kind])).data, key).toEqual(want.data)
    }
    expect(count).toBe(32)
  },
)

goldenTest('the seven EXIF orientations are read, and undone as Pillow and OpenCV do', () => {
  const all = arrays('pillow/exif.npz')
  for (let n = 2; n <= 8; n++) {
    const image = open(`exif${n}.jpg`)
    expect(image.orientation).toBe(n)
    expect(image.data).toEqual(all.get(`exif${n}_raw`)!.data)
    const upright = applyOrientation(image, n)
    expect([upright.height, upright.width, 3]).toEqual(all.get(`exif${n}_transposed`)!.shape)
    expect(upright.data).toEqual(all.get(`exif${n}_transposed`)!.data)
    expect(upright.data).toEqual(all.get(`exif${n}_opencv`)!.data)
  }
})

goldenTest('PNG and CMYK files become RGB and gray as in Pillow', () => {
  const all = arrays('pillow/modes.npz')
  for (const name of ['rgba.png', 'palette.png', 'one_bit.png', 'grey16.png', 'rgb16.png', 'cmyk.jpg']) {
    const key = name.replace('.', '_')
    const rgb = toEightBits(toRgb(open(name)), name === 'grey16.png' ? 'clip' : 'high')
    expect(rgb.data, name).toEqual(all.get(`convert_RGB_${key}`)!.data)
    expect(toGray(rgb).data, name).toEqual(all.get(`convert_L_${key}`)!.data)
  }
  expect(open('grey16.png').data).toEqual(all.get('open_grey16_png')!.data)
  expect(open('rgba.png').data).toEqual(all.get('open_rgba_png')!.data)
  expect(open('cmyk.jpg').data).toEqual(all.get('open_cmyk_jpg')!.data)
})
