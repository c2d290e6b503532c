import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { distance, rounding } from '../../test/op-examples.ts'
import { ownCache } from '../../test/own-cache.ts'
import { randomGraph } from '../../test/random-graph.ts'
import { compile } from '../compile/compile.ts'
import { prepare, uncompilable } from '../compile/prepare.ts'
import { engines } from '../compile/schedule.ts'
import { UnsupportedError } from '../core/errors.ts'
import { digest } from '../core/hash.ts'
import { rng } from '../core/rng.ts'
import { wholeOf } from '../core/source.ts'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import type { Example, Op } from '../ir/op.ts'
import { ops } from '../ir/ops/index.ts'
import { specialize } from '../ir/specialize.ts'
import { type Graph, type TensorType, tensorType } from '../ir/types.ts'
import { build, findCompiler } from './c/compiler.ts'
import { graphToC } from './c/source.ts'
import { c } from './c.ts'
import { chooseTargets } from './registry.ts'

const compiler = findCompiler()
const cache = ownCache()

/** The examples of all operators as one graph, so that the C compiler starts once: what follows the first operand is constant. */
function examplesGraph(): { graph: Graph; inputs: Tensor[]; names: string[] } {
  const b = new GraphBuilder('examples')
  const inputs: Tensor[] = []
  const names: string[] = []
  const add = (g: GraphBuilder, name: string, example: Example, into: Tensor[]): number[] => {
    const ids = example.inputs.map((t, i) => {
      if (t === null) return null
      if (i > 0) return g.constant(t)
      into.push(t)
      return g.input(`x${into.length}`, { kind: 'tensor', dtype: t.dtype, shape: t.shape })
    })
    return g.nodeOutputs(name, ids, example.attributes ?? {})
  }
  for (const [name, op] of Object.entries(ops as Record<string, Op>)) {
    for (const example of op.examples?.() ?? []) {
      // Gaps are listed in compile/lower/index.ts with their reasons.
      const alone = new GraphBuilder(name)
      const given: Tensor[] = []
      for (const v of add(alone, name, example, given)) alone.output(v)
      if (given.some((t) => t.dtype === 'string')) continue
      try {
        const graph = specialize(alone.finish())
        if (uncompilable(graph).length > 0) continue
        const program = compile(prepare(graph), { engine: engines['c-scalar'] })
        if (program.buffers.some((x) => x.dtype === 'string')) continue
      } catch (e) {
        if (e instanceof UnsupportedError) continue
        throw e
      }
      for (const v of add(b, name, example, inputs)) {
        names.push(name)
        b.output(v)
      }
    }
  }
  return { graph: b.finish(), inputs, names }
}

describe.skipIf(!compiler)(`with ${compiler?.version ?? 'no C compiler'}`, () => {
  test.for(['none', 'auto'])(
    'every operator computes its examples as the reference does, vector %s',
    { timeout: 120_000 },
    async (vector) => {
      const { graph, inputs, names } = examplesGraph()
      const executable = await c.load(await c.compile(graph, { vector }))
      const got = (await executable.run(inputs)) as Tensor[]
      const wrong: string[] = []
      evaluate(graph, inputs).forEach((w, i) => {
        const want = w as Tensor
        const d = distance(got[i]!, want)
        if (!(d <= (rounding[want.dtype] ?? 0))) wrong.push(`${names[i]}: ${d}`)
      })
      expect(wrong).toEqual([])
      expect(new Set(names).size).toBeGreaterThan(100)
    },
  )

  test.for([1, 2, 3])(
    'a random network, seed %d, gives the same bits on one thread and on two, again and again',
    async (seed) => {
      const graph = randomGraph(seed)
      const type = graph.values[graph.inputs[0]!]!.type as TensorType
      const shape = type.shape as number[]
      const r = rng(seed)
      const data = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => r.normal())
      const inputs = [tensorOf('float32', shape, data)]
      const [one, two] = await Promise.all(
        [1, 2].map(async (threads) => c.load(await c.compile(graph, { threads }))),
      )
      const first = (await one!.run(inputs)) as Tensor[]
      evaluate(graph, inputs).forEach((w, i) => {
        expect(distance(first[i]!, w as Tensor)).toBeLessThan(1e-5)
      })
      for (let again = 0; again < 50; again++) expect(await two!.run(inputs)).toEqual(first)
      expect(two!.facts).toMatchObject({ threads: 2 })
      const profile = await one!.profile!(inputs)
      expect(profile.length).toBeGreaterThan(0)
    },
  )

  test('one file serves one thread, two and three in turn, where no thread needs memory of its own', async () => {
    const b = new GraphBuilder('rows')
    const x = b.input('x', tensorType('float32', [64, 33]))
    const weights = tensorOf(
      'float32',
      [33, 40],
      Array.from({ length: 33 * 40 }, (_, i) => Math.sin(i)),
    )
    b.output(b.node('softmax', [b.node('matMul', [x, b.constant(weights)])], { axis: -1 }))
    const graph = b.finish()
    const made = await Promise.all([1, 2, 3].map((threads) => c.compile(graph, { threads })))
    const [first, ...others] = made.map(({ piece }) => digest(wholeOf(piece!)))
    expect(others).toEqual([first, first])
    const teams = await Promise.all(made.map((m) => c.load(m)))
    const input = tensorOf(
      'float32',
      [64, 33],
      Array.from({ length: 64 * 33 }, (_, i) => Math.cos(i)),
    )
    const want = await teams[0]!.run([input])
    for (let i = 0; i < 60; i++) expect(await teams[i % 3]!.run([input])).toEqual(want)
  })

  test('the file alone compiles as strict C99 without a warning and answers as the reference', () => {
    const b = new GraphBuilder('board')
    const x = b.input('x', tensorType('float32', [1, 3, 6, 6]))
    const filter = tensorOf(
      'float32',
      [4, 3, 3, 3],
      Array.from({ length: 108 }, (_, i) => Math.sin(i)),
    )
    b.output(
      b.node('softmax', [b.node('conv2d', [x, b.constant(filter), null], { pads: [1, 1, 1, 1] })], {
        axis: 1,
      }),
    )
    const graph = b.finish()
    const input = tensorOf(
      'float32',
      [1, 3, 6, 6],
      Array.from({ length: 108 }, (_, i) => Math.cos(i)),
    )
    const files = graphToC(graph, { name: 'board' })
    const room = mkdtempSync(join(tmpdir(), 'strata-test-'))
    try {
      writeFileSync(join(room, 'board.c'), files.source)
      writeFileSync(join(room, 'board.h'), files.header)
      writeFileSync(
        join(room, 'main.c'),
        `#include <stdio.h>
#include "board.h"
int main(void) {
  static float x[108], y[144];
  if (fread(x, 4, 108, stdin) != 108) return 1;
  board_run(x, y);
  return fwrite(y, 4, 144, stdout) != 144;
}
`,
      )
      const flags = ['-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-O1', '-ffp-contract=off']
      const sanitize = ['-fsanitize=undefined', '-fno-sanitize-recover']
      const made = spawnSync(
        compiler!.command,
        [...flags, ...sanitize, 'main.c', 'board.c', '-o', 'board', '-lm'],
        {
          cwd: room,
          encoding: 'utf8',
        },
      )
      expect(made.stderr).toBe('')
      const run = spawnSync(join(room, 'board'), {
        input: new Uint8Array((input.data as Float32Array).buffer),
      })
      const bytes = new Uint8Array(run.stdout)
      const [want] = evaluate(graph, [input]) as Tensor[]
      expect(distance({ ...want!, data: new Float32Array(bytes.buffer) }, want!)).toBeLessThan(1e-6)
    } finally {
      rmSync(room, { recursive: true, force: true })
    }
  })
})

test('weights beside the file are written in the byte order of the machine that reads them', () => {
  const b = new GraphBuilder('g')
  const x = b.input('x', tensorType('float32', [2]))
  b.output(b.node('add', [x, b.constant(tensorOf('float32', [2], [1, 2]))]))
  const graph = b.finish()
  const [little, big] = [false, true].map(
    (bigEndian) => graphToC(graph, { weights: 'beside', bigEndian }).weights!,
  )
  expect([...little!.subarray(0, 8)]).toEqual([0, 0, 128, 63, 0, 0, 0, 64])
  expect([...big!.subarray(0, 8)]).toEqual([63, 128, 0, 0, 64, 0, 0, 0])
})

test('an option that means nothing is refused', async () => {
  const graph = randomGraph(1)
  await expect(c.compile(graph, { vector: 'mmx' })).rejects.toThrow(
    'vector, expected auto, vnni, avx512, avx2, neon or none',
  )
  await expect(c.compile(graph, { threads: 0 })).rejects.toThrow('threads, expected 1 to 256')
  await expect(c.compile(graph, { algorithm: 'fast' })).rejects.toThrow('algorithm, expected auto')
})

describe('a compiler', () => {
  const room = mkdtempSync(join(tmpdir(), 'strata-test-'))
  afterAll(() => rmSync(room, { recursive: true, force: true }))
  const script = (name: string, text: string): string => {
    writeFileSync(join(room, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return join(room, name)
  }
  const job = (command: string, limit = 20_000, mark = command) => ({
    compiler: { command, version: mark },
    files: { 'a.c': 'int a;' },
    sources: ['a.c'],
    flags: [],
    linkFlags: [],
    output: 'a.node',
    limit,
  })
  // The last argument is the file to make.
  const copies = 'for last; do :; done; echo made > "$last"'

  test('that fails is quoted, and leaves nothing in the cache', async () => {
    const failing = script('failing', 'echo "a.c:1:5: error: no room for a" >&2; exit 1')
    await expect(build(job(failing))).rejects.toThrow('no room for a')
    expect(
      existsSync(join(cache, 'strata'))
        ? readdirSync(join(cache, 'strata', 'c')).filter((f) => f.includes('part'))
        : [],
    ).toEqual([])
  })

  test('that hangs is stopped with all it started', async () => {
    const pid = join(room, 'pid')
    const hanging = script('hanging', `sleep 600 & echo $! > ${pid}; wait`)
    await expect(build(job(hanging, 500))).rejects.toThrow('took longer than 0.5 s')
    // Gone, or dead and not yet collected by its new parent.
    const stat = `/proc/${readFileSync(pid, 'utf8').trim()}/stat`
    const lives = (): boolean => existsSync(stat) && !/\) Z/.test(readFileSync(stat, 'utf8'))
    await expect.poll(lives).toBe(false)
  })

  test('that is not there says what to install', async () => {
    await expect(build(job(join(room, 'absent')))).rejects.toThrow('Install gcc or clang')
  })

  test('is not asked twice, unless what it made is damaged', async () => {
    const count = join(room, 'count')
    const counting = script('counting', `echo x >> ${count}; ${copies}`)
    const runs = (): number => readFileSync(count, 'utf8').split('\n').length - 1
    const path = await build(job(counting))
    expect(runs()).toBe(2)
    expect(await build(job(counting))).toBe(path)
    expect(runs()).toBe(2)
    truncateSync(path, 10)
    expect(await build(job(counting))).toBe(path)
    expect(runs()).toBe(4)
  })

  test('whose result has no place to stay leaves no part of it', async () => {
    const making = script('making', copies)
    const file = join(room, 'file')
    writeFileSync(file, '')
    process.env.XDG_CACHE_HOME = file
    try {
      await expect(build(job(making))).rejects.toThrow("the compiled model can't be kept")
    } finally {
      process.env.XDG_CACHE_HOME = cache
    }
  })
})

test('code for lesser processors is a variant that runs where it is named', () => {
  const named = (text: string): unknown[] => chooseTargets(text).map((t) => [t.variant, t.options])
  expect(named('c')).toEqual([['', {}]])
  expect(named('c:portable')).toEqual([['portable', { vector: 'none' }]])
  expect(() => chooseTargets('c:sse')).toThrow('avx512, avx2, portable')
})
