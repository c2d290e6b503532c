// WAV files (RIFF): PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, A-law and µ-law; also WAVE_FORMAT_EXTENSIBLE.
// Decoded as libsndfile and TensorFlow do it: integers divided by 2^(bits − 1).

import { ByteReader } from '../core/bytes.ts'
import { InputError } from '../core/errors.ts'

export type Sound = {
  /** Samples a second. */
  readonly rate: number
  readonly channels: number
  /** [frames, channels], mostly within −1..1. */
  readonly data: Float32Array
}

type Format = { code: number; channels: number; rate: number; bits: number }

export const isWav = (b: Uint8Array): boolean => tag(b, 0) === 'RIFF' && tag(b, 8) === 'WAVE'

const tag = (b: Uint8Array, at: number): string => String.fromCharCode(...b.subarray(at, at + 4))

/** Decodes a WAV file. A data chunk that claims more than the file holds is cut to what is there. */
export function decodeWav(bytes: Uint8Array, where: string): Sound {
  if (!isWav(bytes))
    throw new InputError(`${where}: not a WAV file, it starts with ${JSON.stringify(tag(bytes, 0))}`)
  const r = new ByteReader(bytes, where)
  r.offset = 12
  let format: Format | undefined
  while (r.offset + 8 <= r.length) {
    const kind = tag(bytes, r.offset)
    r.offset += 4
    const size = r.u32()
    if (kind === 'fmt ') {
      format = readFormat(new ByteReader(r.slice(size), `${where}: fmt`), where)
      r.offset += size & 1
    } else if (kind === 'data') {
      if (!format) throw new InputError(`${where}: WAV data before its format`)
      return {
        rate: format.rate,
        channels: format.channels,
        data: samples(r.slice(Math.min(size, r.length - r.offset)), format),
      }
    } else {
      r.need(size)
      r.offset += size + (size & 1)
    }
  }
  throw new InputError(`${where}: WAV file without a data chunk in ${bytes.length} bytes`)
}

function readFormat(r: ByteReader, where: string): Format {
  let code = r.u16()
  const channels = r.u16()
  const rate = r.u32()
  r.offset = 14
  const bits = r.u16()
  if (code === 0xfffe) {
    r.offset = 24
    code = r.u16()
  }
  const known: Record<number, number[]> = { 1: [8, 16, 24, 32], 3: [32, 64], 6: [8], 7: [8] }
  if (!known[code]?.includes(bits)) {
    throw new InputError(
      `${where}: WAV format ${code} of ${bits} bits, expected PCM of 8 to 32 bits, float, A-law or µ-law. Convert it to 16-bit PCM.`,
    )
  }
  if (channels < 1 || channels > 256 || rate < 1 || rate > 1e7) {
    throw new InputError(`${where}: WAV file of ${channels} channels at ${rate} Hz`)
  }
  return { code, channels, rate, bits }
}

function samples(bytes: Uint8Array, f: Format): Float32Array {
  const width = f.bits / 8
  const count = Math.floor(bytes.length / (width * f.channels)) * f.channels
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read: Record<string, (at: number) => number> = {
    '1/8': (at) => (bytes[at]! - 128) / 128,
    '1/16': (at) => view.getInt16(at, true) / 2 ** 15,
    '1/24': (at) => (bytes[at]! | (bytes[at + 1]! << 8) | (view.getInt8(at + 2) << 16)) / 2 ** 23,
    '1/32': (at) => view.getInt32(at, true) / 2 ** 31,
    '3/32': (at) => view.getFloat32(at, true),
    '3/64': (at) => view.getFloat64(at, true),
    '6/8': (at) => alaw(bytes[at]!) / 2 ** 15,
    '7/8': (at) => ulaw(bytes[at]!) / 2 ** 15,
  }
  const sample = read[`${f.code}/${f.bits}`]!
  return Float32Array.from({ length: count }, (_, i) => sample(i * width))
}

/** ITU-T G.711 µ-law to 16 bits. */
function ulaw(byte: number): number {
  const u = ~byte & 255
  const magnitude = ((((u & 15) << 3) + 132) << ((u >> 4) & 7)) - 132
  return u & 128 ? -magnitude : magnitude
}

/** ITU-T G.711 A-law to 16 bits. */
function alaw(byte: number): number {
  const a = byte ^ 0x55
  const exponent = (a >> 4) & 7
  const magnitude = exponent === 0 ? ((a & 15) << 4) + 8 : (((a & 15) << 4) + 264) << (exponent - 1)
  return a & 128 ? magnitude : -magnitude
}

/** One channel: the mean of all, in float32, as librosa.to_mono. */
export function toMono(s: Sound): Sound {
  if (s.channels === 1) return s
  const frames = s.data.length / s.channels
  const data = new Float32Array(frames)
  for (let i = 0; i < frames; i++) {
    let sum = 0
    for (let c = 0; c < s.channels; c++) sum += s.data[i * s.channels + c]!
    data[i] = sum / s.channels
  }
  return { rate: s.rate, channels: 1, data }
}
