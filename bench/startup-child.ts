// One cold process to its first answer. Arguments: what to run (`strata` or a peer's package), its file, the inputs' file (float32), its
// shape, and Strata's module that opens compiled models. Prints the outputs as soon as they are there, then what it took.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

type Runtime = {
  Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => { data: Float32Array }
  InferenceSession: {
    create(
      file: string | Uint8Array,
      options: object,
    ): Promise<{
      inputNames: string[]
      outputNames: string[]
      run(feeds: object): Promise<Record<string, { data: Float32Array }>>
    }>
  }
  env: { wasm: { numThreads: number } }
}

const [what, file, inputFile, dimensions, module] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
]
const shape = dimensions.split(',').map(Number)
const data = new Float32Array(new Uint8Array(readFileSync(inputFile)).buffer)

let output: Float32Array
if (what === 'strata') {
  const { openCompiled } = await import(pathToFileURL(module).href)
  const executable = await openCompiled(file, { trust: true })
  const [first] = await executable.run([{ dtype: 'float32', shape, data }])
  output = first.data
} else {
  const imported = await import(what)
  const ort = (imported.default ?? imported) as Runtime
  const web = what === 'onnxruntime-web'
  if (web) ort.env.wasm.numThreads = 1
  const session = await ort.InferenceSession.create(web ? readFileSync(file) : file, {
    graphOptimizationLevel: 'all',
    intraOpNumThreads: 1,
    executionProviders: [web ? 'wasm' : 'cpu'],
  })
  const feeds = { [session.inputNames[0]!]: new ort.Tensor('float32', data, shape) }
  output = (await session.run(feeds))[session.outputNames[0]!]!.data
}
const { user, system } = process.cpuUsage()
const status = readFileSync('/proc/self/status', 'utf8')
const peakBytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
process.stdout.write(JSON.stringify({ output: [...output], cpuMs: (user + system) / 1000, peakBytes }), () =>
  // Pools of threads would keep the process.
  process.exit(0),
)
