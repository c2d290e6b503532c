import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { wholeOf } from '../src/core/source.ts'
import { tensorOf } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { parseGraph } from '../src/ir/text.ts'
import { wasm } from '../src/targets/wasm.ts'
import { browserTest } from './browser.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Serves the sources as a browser reads them: types taken off. */
function serve(isolated: boolean, files: Readonly<Record<string, Uint8Array>>): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(request.url ?? '/')
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    }
    const file = files[path]
    if (file) return response.end(file)
    if (!/^\/src\/[\w/-]+\.ts$/.test(path)) {
      response.setHeader('Content-Type', 'text/html')
      return response.end('<!doctype html><title>wasm</title>')
    }
    response.setHeader('Content-Type', 'text/javascript')
    response.end(stripTypeScriptTypes(readFileSync(join(root, path), 'utf8')))
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const graph = parseGraph(`graph net(x: float32[1, 6, 6, 2]) -> (y) {
  w: float32[4, 2, 1, 1] = [1, -1, 0.5, 2, -0.25, 0.75, 1.5, -2]
  b: float32[4] = [0.1, 0.2, -0.3, 0.4]
  c: float32[1, 6, 6, 4] = conv2d(x, w, b) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], groups: 1, layout: "channelsLast"} "conv"
  y: float32[1, 6, 6, 4] = tanh(c) {} "tanh"
}`)
const input = tensorOf(
  'float32',
  [1, 6, 6, 2],
  Array.from({ length: 72 }, (_, i) => Math.sin(i)),
)

/** As text: the test runner would rewrite the import of a function. */
const script = `(async () => {
  const { openImage } = await import('/src/compile/render/wasm/browser.ts')
  const artifact = new Uint8Array(await (await fetch('/artifact')).arrayBuffer())
  const executable = await openImage(artifact, '/src/compile/render/wasm/browser-worker.ts')
  const x = { dtype: 'float32', shape: [1, 6, 6, 2], data: Float32Array.of(${[...(input.data as Float32Array)]}) }
  let outputs
  for (let i = 0; i < 5; i++) outputs = executable.run([x])
  executable.dispose()
  return { threads: executable.threads, y: [...outputs[0].data] }
})()`

for (const [isolated, threads] of [
  [true, 2],
  [false, 1],
] as const) {
  browserTest(
    `an artifact for two threads runs in Chromium ${isolated ? 'on two' : 'on one, where memory is not shared'}`,
    async (browser) => {
      const { piece } = await wasm.compile(graph, { engine: 'safe', threads: 2 })
      const server = await serve(isolated, { '/artifact': wholeOf(piece!) })
      const page = await browser.newPage()
      try {
        await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
        const got = (await page.evaluate(script)) as { threads: number; y: number[] }
        expect(got.threads).toBe(threads)
        const want = evaluate(graph, [input])[0] as { data: Float32Array }
        got.y.forEach((v, i) => {
          expect(v).toBeCloseTo(want.data[i]!, 5)
        })
      } finally {
        await page.close()
        server.close()
      }
    },
  )
}
