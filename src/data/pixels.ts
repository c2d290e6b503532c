// Decoded images: interleaved samples, and the arithmetic of colour and orientation of the well-known libraries.

import { BugError, InputError } from '../core/errors.ts'

export type Samples = Uint8Array | Uint16Array | Int32Array | Float32Array

/** An image in memory, [height, width, channels], row-major. */
export type Pixels = {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly data: Samples
}

/** What the channels mean: `gray` 1, `grayAlpha` 2, `rgb` 3, `rgba` 4, `cmyk` 4 (0 is no ink). */
export type Colours = 'gray' | 'grayAlpha' | 'rgb' | 'rgba' | 'cmyk'

export const channelsOf = { gray: 1, grayAlpha: 2, rgb: 3, rgba: 4, cmyk: 4 } as const satisfies Record<
  Colours,
  number
>

export type DecodedImage = Pixels & {
  readonly colours: Colours
  /** EXIF orientation, 1 to 8; not yet applied. */
  readonly orientation: number
}

/** Bytes that decoding one image may take, all planes and coefficients included. */
const MAX_DECODE_BYTES = 240 * 2 ** 20

/** Refuses an image whose header asks for more memory than decoding may take. */
export function checkDimensions(where: string, width: number, height: number, bytesPerPixel: number): void {
  if (width < 1 || height < 1) throw new InputError(`${where}: an image of ${width}×${height} pixels`)
  if (width * height * bytesPerPixel > MAX_DECODE_BYTES) {
    throw new InputError(
      `${where}: an image of ${width}×${height} pixels would take more than ${MAX_DECODE_BYTES >> 20} MiB to decode. ` +
        'Shrink it first.',
    )
  }
}

export function pixels<T extends Samples>(
  height: number,
  width: number,
  channels: number,
  data: T,
): Pixels & { data: T } {
  if (data.length !== height * width * channels) {
    throw new BugError(
      `pixels: ${height}×${width}×${channels} wants ${height * width * channels}, got ${data.length}`,
    )
  }
  return { height, width, channels, data }
}

/** A zeroed array of the same element type. */
export const samplesLike = (data: Samples, length: number): Samples =>
  new (data.constructor as new (n: number) => Samples)(length)

/** Applies one function to every pixel: `read` offset in, `write` offset out. */
function mapPixels(
  p: Pixels,
  channels: number,
  f: (from: Samples, i: number, to: Samples, o: number) => void,
): Pixels {
  const out = samplesLike(p.data, p.height * p.width * channels)
  for (let i = 0, o = 0; i < p.data.length; i += p.channels, o += channels) f(p.data, i, out, o)
  return { height: p.height, width: p.width, channels, data: out }
}

/** Picks channels by index, as in NumPy's p[..., order]. */
export const pickChannels = (p: Pixels, order: readonly number[]): Pixels =>
  mapPixels(p, order.length, (from, i, to, o) => {
    for (let k = 0; k < order.length; k++) to[o + k] = from[i + order[k]!]!
  })

/** a·b/255, rounded as Pillow's MULDIV255 does. */
export const mulDiv255 = (a: number, b: number): number => {
  const t = a * b + 128
  return ((t >> 8) + t) >> 8
}

const clip8 = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** Pillow's convert('L') of RGB: ITU-R 601-2 luma in 16 fractional bits. */
const pillowGray = (r: number, g: number, b: number): number =>
  (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16
/** OpenCV's RGB2GRAY of 8-bit samples: 15 fractional bits. */
const opencvGray = (r: number, g: number, b: number): number =>
  (r * 9798 + g * 19235 + b * 3735 + 0x4000) >> 15
const f = Math.fround
/** tf.image.rgb_to_grayscale: float32, and scaled to [0, 1] and back for 8-bit samples. */
const tensorflowGray = (r: number, g: number, b: number): number => {
  const k = f(1 / 255)
  const y = f(f(f(f(r * k) * f(0.2989)) + f(f(g * k) * f(0.587))) + f(f(b * k) * f(0.114)))
  return Math.trunc(f(y * f(255.5)))
}
/** torchvision's rgb_to_grayscale of a uint8 tensor truncates. */
const torchGray = (r: number, g: number, b: number): number =>
  Math.trunc(f(f(f(f(0.2989) * r) + f(f(0.587) * g)) + f(f(0.114) * b)))

export type ColourLibrary = 'pillow' | 'opencv' | 'tensorflow' | 'torch'

const grays: Record<ColourLibrary, (r: number, g: number, b: number) => number> = {
  pillow: pillowGray,
  opencv: opencvGray,
  tensorflow: tensorflowGray,
  torch: torchGray,
}

/** RGB to one channel, in the arithmetic of a library. 8-bit samples are exact; others use the float weights. */
export function toGray(p: Pixels, library: ColourLibrary = 'pillow'): Pixels {
  if (p.channels === 1) return p
  if (p.channels === 2) return pickChannels(p, [0])
  if (p.data instanceof Uint8Array) {
    const gray = grays[library]
    return mapPixels(p, 1, (from, i, to, o) => {
      to[o] = clip8(gray(from[i]!, from[i + 1]!, from[i + 2]!))
    })
  }
  const w = library === 'torch' || library === 'tensorflow' ? [0.2989, 0.587, 0.114] : [0.299, 0.587, 0.114]
  return mapPixels(p, 1, (from, i, to, o) => {
    to[o] = w[0]! * from[i]! + w[1]! * from[i + 1]! + w[2]! * from[i + 2]!
  })
}

/** CMYK (0 is no ink) to RGB: Pillow's convert, or the conversion of OpenCV's JPEG reader. */
export function cmykToRgb(p: Pixels, library: 'pillow' | 'opencv' = 'pillow'): Pixels {
  return mapPixels(p, 3, (from, i, to, o) => {
    const white = 255 - from[i + 3]!
    for (let c = 0; c < 3; c++) {
      const ink = from[i + c]!
      to[o + c] = library === 'pillow' ? clip8(white - mulDiv255(ink, white)) : white - ((ink * white) >> 8)
    }
  })
}

/** To three channels as Pillow's convert('RGB') does; alpha is dropped. */
export function toRgb(image: DecodedImage, library: 'pillow' | 'opencv' = 'pillow'): Pixels {
  switch (image.colours) {
    case 'rgb':
      return image
    case 'gray':
    case 'grayAlpha':
      return pickChannels(image, [0, 0, 0])
    case 'rgba':
      return pickChannels(image, [0, 1, 2])
    case 'cmyk':
      return cmykToRgb(image, library)
  }
}

/**
 * 16-bit samples to 8 bits: the `high` byte, as libpng's strip_16 for colours, or clipped at 255, as Pillow's
 * convert('RGB') does with 16-bit gray (a trap: nearly everything becomes white).
 */
export function toEightBits(p: Pixels, how: 'high' | 'clip' = 'high'): Pixels {
  if (p.data instanceof Uint8Array) return p
  const { data } = p
  const out = Uint8Array.from({ length: data.length }, (_, i) =>
    how === 'high' ? data[i]! >> 8 : clip8(data[i]!),
  )
  return { ...p, data: out }
}

/**
 * Undoes an EXIF orientation (2 mirrored, 3 turned by 180°, 4 flipped, 5 transposed, 6 to be turned clockwise,
 * 7 transversed, 8 to be turned counter-clockwise).
 */
export function applyOrientation(p: Pixels, orientation: number): Pixels {
  if (orientation < 2 || orientation > 8) return p
  const swap = orientation >= 5
  const height = swap ? p.width : p.height
  const width = swap ? p.height : p.width
  const data = samplesLike(p.data, p.data.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sy = swap ? x : y
      let sx = swap ? y : x
      if (orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8)
        sx = p.width - 1 - sx
      if (orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7)
        sy = p.height - 1 - sy
      const from = (sy * p.width + sx) * p.channels
      const to = (y * width + x) * p.channels
      for (let c = 0; c < p.channels; c++) data[to + c] = p.data[from + c]!
    }
  }
  return { height, width, channels: p.channels, data }
}
