// What opening a model costs: `node bench/import.ts`. A 100 MB ONNX file (time, peak memory) and `inspect` of a graph of 10,000
// nodes, each in a cold process of its own, the median of several.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bytes, duration, significant } from '../src/core/figures.ts'
import { rng } from '../src/core/rng.ts'
import { median } from '../src/core/statistics.ts'
import { tensor } from '../src/core/tensor.ts'
import { writeOnnx } from '../src/formats/onnx/write.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, tensorType } from '../src/ir/types.ts'
import { inspectModel, openSource } from '../src/studies/models.ts'
import { probeMachine, sayMachine } from '../src/targets/processor.ts'

type Opened = { openMs: number; inspectMs: number; baseBytes: number; peakBytes: number }

/** Most bytes ever resident in this process. */
function peakBytes(): number {
  const kb = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return kb === undefined ? process.resourceUsage().maxRSS * 1024 : Number(kb) * 1024
}

const { values } = parseArgs({
  options: { open: { type: 'string' }, repeats: { type: 'string', default: '5' } },
})

if (values.open === undefined) await compare(Number(values.repeats))
else process.stdout.write(JSON.stringify(await open(values.open)))

/** In the child: opens one file. */
async function open(path: string): Promise<Opened> {
  // Reading is measured, loading our own code isn't.
  await import('../src/formats/onnx/read.ts')
  const baseBytes = process.memoryUsage().rss
  const start = performance.now()
  const model = await openSource(path)
  const opened = performance.now()
  const { nodes } = inspectModel(model)
  if (nodes === 0) throw new Error('an empty graph')
  return { openMs: opened - start, inspectMs: performance.now() - start, baseBytes, peakBytes: peakBytes() }
}

async function compare(repeats: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-import-'))
  try {
    const large = join(folder, 'large.onnx')
    const many = join(folder, 'many.onnx')
    writeFileSync(large, writeOnnx(products(100)))
    writeFileSync(many, writeOnnx(chain(10_000)))
    process.stdout.write(`${sayMachine(probeMachine())}.\n\n`)
    process.stdout.write(
      '| file | bytes | open | open and inspect | memory above the process | times the file |\n',
    )
    process.stdout.write('| --- | ---: | ---: | ---: | ---: | ---: |\n')
    for (const path of [large, many]) {
      const size = statSync(path).size
      const all = Array.from({ length: repeats }, () => {
        const text = execFileSync(process.execPath, [import.meta.filename, '--open', path], {
          encoding: 'utf8',
        })
        return JSON.parse(text) as Opened
      })
      const of = (f: (x: Opened) => number): number => median(all.map(f))
      const memory = of((x) => x.peakBytes - x.baseBytes)
      const cells = [
        path === large ? '100 MB of weights' : '10,000 nodes',
        bytes(size),
        duration(of((x) => x.openMs)),
        duration(of((x) => x.inspectMs)),
        bytes(memory),
        significant(memory / size, 3),
      ]
      process.stdout.write(`| ${cells.join(' | ')} |\n`)
    }
    process.stdout.write(
      '\nGoals: 100 MB under 1 s and 2.5 times its size; 10,000 nodes inspected under 2 s.\n',
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A chain of products with constants of 1 MB each. */
function products(megabytes: number): Graph {
  const b = new GraphBuilder('large')
  const { next } = rng(1)
  let x = b.input('x', tensorType('float32', [1, 500]))
  for (let i = 0; i < megabytes; i++) {
    const w = b.constant(tensor('float32', [500, 500], Float32Array.from({ length: 250_000 }, next)), `w${i}`)
    x = b.node('matMul', [x, w])
  }
  b.output(x)
  return b.finish()
}

function chain(nodes: number): Graph {
  const b = new GraphBuilder('many')
  let x = b.input('x', tensorType('float32', [1, 8]))
  for (let i = 0; i < nodes; i++) x = b.node(i % 2 ? 'relu' : 'tanh', [x])
  b.output(x)
  return b.finish()
}
