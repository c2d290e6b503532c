// The TensorFlow Lite networks inside MediaPipe's npm packages: plain files, and some inside `*_packed_assets.data`.

import { globSync, readFileSync } from 'node:fs'

export type PackagedModel = { readonly name: string; readonly bytes: Uint8Array }

/** Where files with the identifier TFL3 begin. Bytes behind a model don't disturb its reader. */
function modelsIn(bytes: Buffer): Uint8Array[] {
  const found: Uint8Array[] = []
  for (let at = bytes.indexOf('TFL3'); at >= 4; at = bytes.indexOf('TFL3', at + 4))
    found.push(bytes.subarray(at - 4))
  return found
}

/** All of them; none where the packages aren't installed. */
export function packagedModels(): PackagedModel[] {
  const root = new URL('../node_modules/@mediapipe/', import.meta.url).pathname
  return globSync('*/*{.tflite,_packed_assets.data}', { cwd: root })
    .sort()
    .flatMap((path) => {
      const bytes = readFileSync(root + path)
      if (path.endsWith('.tflite')) return [{ name: path, bytes }]
      return modelsIn(bytes).map((b, i) => ({ name: `${path}:${i}`, bytes: b }))
    })
}
