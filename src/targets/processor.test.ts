import { spawnSync } from 'node:child_process'
import { cachedDataVersionTag } from 'node:v8'
import { expect, test } from 'vitest'
import { measurePeak } from './peak.ts'
import { peakModule } from './peak-module.ts'
import {
  cpuInfo,
  hasRevectorize,
  probeMachine,
  revectorizeFlag,
  sayMachine,
  systemTimes,
  wasmFeatures,
} from './processor.ts'

test('cpuinfo is read in the spelling of each architecture', () => {
  expect(cpuInfo('processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse4_1 avx fma avx2\n')).toEqual({
    name: 'AMD EPYC',
    features: ['sse4_1', 'avx', 'fma', 'avx2'],
  })
  expect(cpuInfo('Features\t: fp asimd asimddp\n').features).toEqual(['asimd', 'asimddp'])
  expect(cpuInfo('isa\t\t: rv64imafdcv_zicsr\nuarch\t\t: sifive,x280\n')).toEqual({
    name: 'sifive,x280',
    features: ['rvv'],
  })
  expect(cpuInfo('isa\t\t: rv64imafdc_zve\n').features).toEqual([])
})

test('what the system does not say is unknown, not absent', () => {
  expect(cpuInfo('')).toEqual({ name: null, features: null })
  const machine = probeMachine()
  const silent = { ...machine, processor: { ...machine.processor, name: null, features: null, caches: [] } }
  expect(sayMachine(silent)).toContain('unknown processor')
  expect(sayMachine(silent)).toContain('instruction sets unknown; caches unknown')
})

test('the machine is said in one line with its engine', () => {
  const line = sayMachine(probeMachine())
  expect(line).toContain(`Node ${process.versions.node}`)
  expect(line).not.toContain('\n')
})

test('this engine has the features that Node 24 has', () => {
  expect(wasmFeatures()).toEqual({ simd: true, relaxedSimd: true, threads: true })
})

test('the pass that pairs vectors is known where V8 lists its flag, and asking leaves the flag as it was', () => {
  const before = cachedDataVersionTag()
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
  expect(hasRevectorize()).toBe(stdout.includes(revectorizeFlag))
  expect(cachedDataVersionTag()).toBe(before)
})

test('the peak modules are valid and compute a·m + x', () => {
  for (const kind of ['mul-add', 'relaxed-madd'] as const) {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(peakModule(kind, 12)))
    const memory = new Float32Array((exports.memory as WebAssembly.Memory).buffer)
    memory.fill(1, 0, 8)
    memory[128] = 2
    memory.fill(3, 256, 256 + 48)
    ;(exports.run as (n: number) => void)(1)
    // Four steps of 2a + 1 from 3.
    expect([...memory.subarray(256, 256 + 48)]).toEqual(new Array(48).fill(63))
  }
  expect(WebAssembly.validate(peakModule('dot-i16', 24))).toBe(true)
})

test('a peak is a rate of two threads or one line that says why there is none', async () => {
  for (const engine of ['wasm-safe', 'native'] as const) {
    const peak = await measurePeak(engine, 2, 'float32', 16)
    if ('absent' in peak) expect(peak.absent).toMatch(/Install|failed/)
    else {
      expect(peak).toMatchObject({ engine, threads: 2, kind: 'float32' })
      expect(peak.gops).toBeGreaterThan(0)
      expect(peak.how).not.toBe('')
    }
  }
})

test('times of the whole system only grow, where the system tells them', () => {
  const before = systemTimes()
  const after = systemTimes()
  if (before === null || after === null) expect(after).toBe(before)
  else {
    expect(after.busyMs).toBeGreaterThanOrEqual(before.busyMs)
    expect(after.stealMs).toBeGreaterThanOrEqual(before.stealMs)
  }
})
