// Decoding of image files, by content.

import { InputError } from '../core/errors.ts'
import { decodeJpeg, isJpeg, type JpegOptions } from './jpeg.ts'
import { decodeBmp, decodeNetpbm, isBmp, isNetpbm } from './netpbm.ts'
import type { DecodedImage } from './pixels.ts'
import { decodePng, isPng } from './png.ts'

export const isImage = (b: Uint8Array): boolean => isJpeg(b) || isPng(b) || isBmp(b) || isNetpbm(b)

/** Decodes a JPEG, PNG, BMP, PGM or PPM file. Anything else, or a damaged file, is an InputError. */
export function decodeImage(bytes: Uint8Array, where: string, jpeg: JpegOptions = {}): DecodedImage {
  if (isJpeg(bytes)) return decodeJpeg(bytes, where, jpeg)
  if (isPng(bytes)) return decodePng(bytes, where)
  if (isBmp(bytes)) return decodeBmp(bytes, where)
  if (isNetpbm(bytes)) return decodeNetpbm(bytes, where)
  throw new InputError(
    `${where}: not an image that can be read, expected JPEG, PNG, BMP, PGM or PPM, got ${seen(bytes)}`,
  )
}

/** What a file seems to be, for messages. */
function seen(b: Uint8Array): string {
  if (b.length === 0) return 'an empty file'
  const text = String.fromCharCode(...b.subarray(0, 12))
  if (text.startsWith('GIF8')) return 'a GIF. Save it as PNG.'
  if (text.startsWith('RIFF') && text.endsWith('WEBP')) return 'a WebP. Save it as PNG.'
  if (text.startsWith('RIFF')) return 'a RIFF file (WAV?)'
  if (text.startsWith('II*\0') || text.startsWith('MM\0*')) return 'a TIFF. Save it as PNG.'
  if (text.startsWith('<')) return 'text that starts with "<"'
  return `the bytes ${Array.from(b.subarray(0, 8), (x) => x.toString(16).padStart(2, '0')).join(' ')}`
}
