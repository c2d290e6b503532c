// A resize or crop step of a preprocessing document: the size it means, then the named library's arithmetic.

import { InputError } from '../core/errors.ts'
import { type Pixels, samplesLike } from './pixels.ts'
import type { ResizeStep, Step } from './preprocessing.ts'
import { roundEven } from './resample.ts'
import { resizeOpencv } from './resize-opencv.ts'
import { resizePillow } from './resize-pillow.ts'
import { resizeTensorflow } from './resize-tensorflow.ts'
import { resizeTorch } from './resize-torch.ts'

/** Resizes as the step says. `alpha`: the last channel is transparency, which Pillow treats apart. */
export function resizeStep(p: Pixels, s: ResizeStep, alpha: boolean): Pixels {
  if (s.short !== undefined) {
    const [height, width] = shorterSide(p, s.short, s.longest)
    return resizeTo(p, height, width, s, alpha)
  }
  if (!s.size) throw new InputError('resize: a step needs `size` or `short`')
  const [height, width] = s.size
  switch (s.fit ?? 'stretch') {
    case 'stretch':
      return resizeTo(p, height, width, s, alpha)
    case 'crop':
      return resizeTo(cropToAspect(p, height, width), height, width, s, alpha)
    case 'pad':
      return resizeTo(padToAspect(p, height, width, s.fill ?? 0), height, width, s, alpha)
    case 'inside': {
      const scale = Math.min(Math.fround(height / p.height), Math.fround(width / p.width))
      return resizeTo(p, roundEven(scale * p.height) || 1, roundEven(scale * p.width) || 1, s, alpha)
    }
    case 'letterbox': {
      const ratio = Math.max(p.height / height, p.width / width)
      const [h, w] = [p.height / ratio, p.width / ratio]
      const small = resizeTo(p, Math.max(1, Math.floor(h)), Math.max(1, Math.floor(w)), s, alpha)
      const top = Math.max(0, Math.floor((height - h) / 2))
      return placed(small, height, width, top, Math.max(0, Math.floor((width - w) / 2)), s.fill ?? 0)
    }
  }
}

function resizeTo(p: Pixels, height: number, width: number, s: ResizeStep, alpha: boolean): Pixels {
  if (height * width > 2 ** 25) throw new InputError(`resize: ${width}×${height} pixels are too many`)
  switch (s.library) {
    case 'pillow':
      return resizePillow(p, height, width, {
        filter: s.filter,
        alpha,
        ...(s.reducingGap === undefined ? {} : { reducingGap: s.reducingGap }),
        ...(s.widthFirst === undefined ? {} : { widthFirst: s.widthFirst }),
      })
    case 'opencv':
      return resizeOpencv(p, height, width, { method: s.method })
    case 'tensorflow':
      return resizeTensorflow(p, height, width, {
        method: s.method,
        antialias: s.antialias ?? false,
        ...(s.v1 ? { v1: s.v1 } : {}),
      })
    case 'torch':
      return resizeTorch(p, height, width, {
        mode: s.mode,
        antialias: s.antialias ?? false,
        alignCorners: s.alignCorners ?? false,
        integer: s.integer ?? false,
      })
  }
}

/** torchvision's Resize(int): the longer side is truncated; `longest` bounds it. */
function shorterSide(p: Pixels, short: number, longest: number | undefined): [height: number, width: number] {
  const wide = p.width >= p.height
  const [less, more] = wide ? [p.height, p.width] : [p.width, p.height]
  let [a, b] = [short, Math.trunc((short * more) / less)]
  if (longest !== undefined && b > longest) [a, b] = [Math.trunc((longest * a) / b), longest]
  if (b > 16384 || a < 1)
    throw new InputError(`resize: an image of ${p.width}×${p.height} would become ${a}×${b} pixels`)
  return wide ? [a, b] : [b, a]
}

/** The middle part with the target's proportions (Keras, crop_to_aspect_ratio). */
function cropToAspect(p: Pixels, height: number, width: number): Pixels {
  const h = Math.max(1, Math.min(p.height, Math.trunc((p.width * height) / width)))
  const w = Math.max(1, Math.min(p.width, Math.trunc((p.height * width) / height)))
  return placed(p, h, w, -Math.trunc((p.height - h) / 2), -Math.trunc((p.width - w) / 2), 0)
}

/** Equal borders up to the target's proportions; an odd row or column is left out (Keras, pad_to_aspect_ratio). */
function padToAspect(p: Pixels, height: number, width: number, fill: number): Pixels {
  const h = Math.max(p.height, Math.trunc((p.width * height) / width))
  const w = Math.max(p.width, Math.trunc((p.height * width) / height))
  const [top, left] = [Math.trunc((h - p.height) / 2), Math.trunc((w - p.width) / 2)]
  return placed(p, p.height + 2 * top, p.width + 2 * left, top, left, fill)
}

/** An image of height × width with p's corner at (top, left), which may be negative; `fill` where p isn't. */
function placed(p: Pixels, height: number, width: number, top: number, left: number, fill: number): Pixels {
  if (height > 16384 || width > 16384)
    throw new InputError(`resize: an image of ${width}×${height} pixels is too large`)
  const data = samplesLike(p.data, height * width * p.channels).fill(fill)
  const from = Math.max(0, -left)
  const to = Math.min(p.width, width - left)
  for (let y = Math.max(0, -top); y < Math.min(p.height, height - top) && from < to; y++) {
    const row = p.data.subarray((y * p.width + from) * p.channels, (y * p.width + to) * p.channels)
    data.set(row as never, ((y + top) * width + from + left) * p.channels)
  }
  return { height, width, channels: p.channels, data }
}

/** The middle of an image, or the image in the middle of zeros where it is smaller. */
export function cropTo(p: Pixels, s: Extract<Step, { do: 'crop' }>): Pixels {
  if (s.fraction !== undefined) {
    // tf.image.central_crop
    const top = Math.trunc((p.height - p.height * s.fraction) / 2)
    const left = Math.trunc((p.width - p.width * s.fraction) / 2)
    return placed(p, p.height - 2 * top, p.width - 2 * left, -top, -left, 0)
  }
  if (!s.size) throw new InputError('crop: a step needs `size` or `fraction`')
  const [height, width] = s.size
  const library = s.library ?? 'torch'
  if (library === 'keras' && (p.height < height || p.width < width)) {
    // Keras' CenterCrop then resizes the middle part with the right proportions.
    return resizeTensorflow(cropToAspect(p, height, width), height, width, { method: 'bilinear' })
  }
  // Where the spare rows go: torchvision pads by the smaller half and crops at the half rounded to even.
  const start = (have: number, want: number): number => {
    if (want > have) return Math.floor((want - have) / 2)
    return library === 'torch' ? -roundEven((have - want) / 2) : -Math.trunc((have - want) / 2)
  }
  return placed(p, height, width, start(p.height, height), start(p.width, width), 0)
}
