// Runs alone in a process: measures the rate of one peak module and prints it as JSON. Arguments: kind, chains, milliseconds.

import { type PeakKind, peakModule, stepOps, unroll } from './peak-module.ts'

const [kind, chains, ms] = process.argv.slice(2) as [PeakKind, string, string]
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(peakModule(kind, Number(chains))))
const run = exports.run as (n: number) => void
const memory = (exports.memory as WebAssembly.Memory).buffer
// a·m + x tends to x / (1 − m) = 1: no overflow, no denormals. Integers wrap and cost the same at any value.
if (kind === 'dot-i16') new Int16Array(memory).fill(3)
else {
  new Float32Array(memory, 0, 8).fill(0.001)
  new Float32Array(memory, 512, 1).fill(0.999)
  new Float32Array(memory, 1024, 4 * Number(chains)).fill(0.5)
}
// Short calls, because a call that runs never changes to the optimised code.
const iterations = 2000
const flops = iterations * unroll * Number(chains) * stepOps[kind]
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
const until = (limit: number): { calls: number; cpu: number; wall: number } => {
  const [start, cpu] = [performance.now(), cpuMs()]
  let calls = 0
  while (performance.now() - start < limit) {
    for (let i = 0; i < 20; i++) run(iterations)
    calls += 20
  }
  return { calls, cpu: cpuMs() - cpu, wall: performance.now() - start }
}
until(Math.max(50, Number(ms) / 2))
// The best of several windows: what the processor can do when nobody disturbs it.
let best = 0
let wallBest = 0
for (let window = 0; window < 8; window++) {
  const { calls, cpu, wall } = until(Number(ms) / 8)
  best = Math.max(best, (calls * flops) / cpu / 1e6)
  wallBest = Math.max(wallBest, (calls * flops) / wall / 1e6)
}
process.stdout.write(JSON.stringify({ gops: best, wallGops: wallBest }))
