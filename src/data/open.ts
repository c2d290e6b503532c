// Opens whatever `--data` names, by content: arrays, IDX pairs, CIFAR, folders of images or sounds, lists in CSV.

import { InputError } from '../core/errors.ts'
import { integers, type Tensor } from '../core/tensor.ts'
import { isGzip, isZip } from '../core/zip.ts'
import { archiveSet, arraySet } from './arrays.ts'
import { cifarClasses, readCifar } from './cifar.ts'
import { type DataSet, type Entry, type FileSystem, fileSet } from './dataset.ts'
import { isIdx, readIdx } from './idx.ts'
import { isImage } from './images.ts'
import { isNpy, readNpy } from './npy.ts'
import { readNpz } from './npz.ts'
import { isWav } from './wav.ts'

/** Folders inside a class folder are searched this deep. */
const MAX_DEPTH = 8

const mediaName = /\.(jpe?g|png|bmp|pgm|ppm|wav)$/i
const join = (folder: string, name: string): string =>
  folder === '' || folder === '.' ? name : `${folder.replace(/\/$/, '')}/${name}`
const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
const folderOf = (path: string): string =>
  path.includes('/') ? path.slice(0, path.lastIndexOf('/')) || '/' : '.'

/**
 * Opens a data set: `.npy`, `.npz`, an IDX file (with its labels beside it), CIFAR batches, a folder (of class folders,
 * of images or sounds, of IDX or CIFAR files), a CSV of paths and labels, or one image or sound.
 */
export async function openData(path: string, fs: FileSystem): Promise<DataSet> {
  const entries = await fs.list(path)
  if (entries) return openFolder(path, entries, fs)
  const bytes = await fs.read(path)
  if (isNpy(bytes)) return arraySet(path, readNpy(bytes, path))
  if (isZip(bytes)) return archiveSet(path, readNpz(bytes, path))
  if (isIdx(bytes) || isGzip(bytes)) return openIdx(path, fs, bytes)
  if (isImage(bytes) || isWav(bytes)) return fileSet(path, fs, [path])
  if (cifarClasses(bytes)) return readCifar(path, [bytes])
  if (looksLikeText(bytes)) return openCsv(path, bytes, fs)
  const first = Array.from(bytes.subarray(0, 8), (b) => b.toString(16).padStart(2, '0')).join(' ')
  throw new InputError(
    `${path}: not a data set that can be read, expected .npy, .npz, IDX, CIFAR, CSV, an image, a WAV or a folder; ` +
      `got ${bytes.length === 0 ? 'an empty file' : `the bytes ${first}`}`,
  )
}

async function openFolder(path: string, entries: readonly Entry[], fs: FileSystem): Promise<DataSet> {
  const visible = entries.filter((e) => !e.name.startsWith('.'))
  const files = visible.filter((e) => !e.folder).map((e) => e.name)
  const batches = files.filter((f) => /^(data_batch_\d+|test_batch|train|test)\.bin$/.test(f))
  if (batches.length > 0) return openCifarFolder(path, batches, files, fs)
  const idx = files.filter((f) => /images.*idx\d/i.test(f))
  const wanted = idx.find((f) => /^(t10k|test)/i.test(f)) ?? idx[0]
  if (wanted !== undefined) {
    const file = join(path, wanted)
    return openIdx(file, fs, await fs.read(file))
  }
  const classes: string[] = []
  const paths: string[] = []
  const labels: number[] = []
  for (const e of visible.filter((x) => x.folder)) {
    const found = await mediaBelow(join(path, e.name), fs, 0)
    if (found.length === 0) continue
    for (const f of found) {
      paths.push(f)
      labels.push(classes.length)
    }
    classes.push(e.name)
  }
  if (paths.length > 0) return fileSet(path, fs, paths, Int32Array.from(labels), classes)
  const loose = files.filter((f) => mediaName.test(f)).map((f) => join(path, f))
  if (loose.length > 0) return fileSet(path, fs, loose)
  throw new InputError(
    `${path}: a folder without data, expected class folders, images, WAV files, IDX or CIFAR files; got ` +
      `${visible.length === 0 ? 'nothing' : `${visible.length} entries such as ${visible[0]!.name}`}`,
  )
}

async function mediaBelow(folder: string, fs: FileSystem, depth: number): Promise<string[]> {
  const found: string[] = []
  for (const e of (await fs.list(folder)) ?? []) {
    if (e.name.startsWith('.')) continue
    const path = join(folder, e.name)
    if (e.folder && depth < MAX_DEPTH) found.push(...(await mediaBelow(path, fs, depth + 1)))
    else if (!e.folder && mediaName.test(e.name)) found.push(path)
  }
  return found
}

/** The test batch where there is one, else all training batches. */
async function openCifarFolder(path: string, batches: string[], files: readonly string[], fs: FileSystem) {
  const test = batches.filter((f) => f.startsWith('test'))
  const read = (f: string): Promise<Uint8Array> => fs.read(join(path, f))
  const meta = files.find((f) => f === 'batches.meta.txt' || f === 'fine_label_names.txt')
  const text = meta && new TextDecoder().decode(await read(meta))
  const names = text
    ?.split('\n')
    .map((l) => l.trim())
    .filter((l) => l !== '')
  return readCifar(path, await Promise.all((test.length > 0 ? test : batches).map(read)), names)
}

/** An IDX file of images, and its labels, found by the names MNIST's files have. */
async function openIdx(path: string, fs: FileSystem, bytes: Uint8Array): Promise<DataSet> {
  const first = readIdx(bytes, path)
  if (first.shape.length === 1) {
    const images = await partner(path, fs, /labels([-.])idx1/i, 'images$1idx3')
    if (!images) throw new InputError(`${path}: IDX labels without their images beside them`)
    return arraySet(images.path, images.tensor, labelsOf(first))
  }
  const labels = await partner(path, fs, /images([-.])idx\d/i, 'labels$1idx1')
  return arraySet(path, first, labels && labelsOf(labels.tensor))
}

const labelsOf = (t: Tensor): Int32Array => Int32Array.from(integers(t))

async function partner(path: string, fs: FileSystem, from: RegExp, to: string) {
  const name = baseOf(path).replace(from, to)
  if (name === baseOf(path)) return undefined
  const entries = (await fs.list(folderOf(path))) ?? []
  const plain = name.replace(/\.gz$/, '')
  const found = entries.find((e) => !e.folder && (e.name === plain || e.name === `${plain}.gz`))
  if (!found) return undefined
  const file = join(folderOf(path), found.name)
  return { path: file, tensor: readIdx(await fs.read(file), file) }
}

const looksLikeText = (b: Uint8Array): boolean =>
  b.length > 0 && b.subarray(0, 4096).every((c) => c >= 0x20 || c === 9 || c === 10 || c === 13)

/**
 * Lines of a path and a label, separated by comma, semicolon or tab; a first line that names no existing kind of file
 * is a header. Paths are relative to the list. Labels that are all whole numbers are class numbers, else class names.
 */
function openCsv(path: string, bytes: Uint8Array, fs: FileSystem): DataSet {
  const rows = csvRows(new TextDecoder().decode(bytes))
  const body = rows.length > 0 && !mediaName.test(rows[0]![0]!) ? rows.slice(1) : rows
  const bad = body.findIndex((r) => !mediaName.test(r[0]!))
  if (body.length === 0 || bad >= 0) {
    throw new InputError(
      `${path}: expected lines of a path and a label, got ${JSON.stringify((body[bad] ?? rows[0] ?? ['']).join(',').slice(0, 80))}`,
    )
  }
  const folder = folderOf(path)
  const paths = body.map(([p]) => (p!.startsWith('/') || folder === '.' ? p! : join(folder, p!)))
  const given = body.map((r) => r[1]?.trim() ?? '')
  if (given.every((l) => l === '')) return fileSet(path, fs, paths)
  const missing = given.indexOf('')
  if (missing >= 0) throw new InputError(`${path}: ${body[missing]![0]} has no label, but others have`)
  if (given.every((l) => /^\d{1,9}$/.test(l))) return fileSet(path, fs, paths, Int32Array.from(given, Number))
  const classes = [...new Set(given)].sort()
  const index = new Map(classes.map((c, i) => [c, i]))
  return fileSet(
    path,
    fs,
    paths,
    Int32Array.from(given, (l) => index.get(l)!),
    classes,
  )
}

/** Cells of a CSV text; a quoted cell may hold separators, line breaks and doubled quotes (RFC 4180). */
function csvRows(text: string): string[][] {
  const separator = /^[^\n]*\t/.test(text) ? '\t' : /^[^\n,]*;/.test(text) ? ';' : ','
  const rows: string[][] = []
  let row: string[] = []
  let cell = ''
  let quoted = false
  const endRow = (): void => {
    row.push(cell)
    if (row.length > 1 || row[0]!.trim() !== '') rows.push(row.map((c) => c.trim()))
    row = []
    cell = ''
  }
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quoted) {
      if (c !== '"') cell += c
      else if (text[i + 1] === '"') cell += text[++i]
      else quoted = false
    } else if (c === '"' && cell.trim() === '') {
      quoted = true
      cell = ''
    } else if (c === separator) {
      row.push(cell)
      cell = ''
    } else if (c === '\n') endRow()
    else if (c !== '\r') cell += c
  }
  endRow()
  return rows
}
