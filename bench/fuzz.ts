// Fuzzing, the long form: mutates real files of every format and reads each. A reader must give a graph or data, or refuse with
// an InputError or UnsupportedError, within 2 s of processor time and 4 × the file + 256 MB of memory. Prints a table; exit
// status 1 when anything was found.
//
//   node bench/fuzz.ts [--formats onnx,tflite] [--count 20000] [--seed 1]
//   node bench/fuzz.ts --formats onnx --only 4711 --keep FILE     writes that one mutated file

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { mutatedFile } from '../test/fuzz/child.ts'
import { fuzz } from '../test/fuzz/run.ts'
import { subjects } from '../test/fuzz/subjects.ts'

const { values } = parseArgs({
  options: {
    formats: { type: 'string' },
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    keep: { type: 'string' },
  },
})
const names = values.formats?.split(',')
const chosen = subjects.filter((s) => !names || names.includes(s.format))
const seed = Number(values.seed)

if (values.only !== undefined) {
  const subject = chosen[0]!
  const { from, bytes } = mutatedFile(subject, subject.seeds(), seed, Number(values.only))
  if (values.keep) writeFileSync(values.keep, bytes)
  console.log(`${subject.format} ${values.only}: ${bytes.length} bytes, from ${from.name}`)
  await subject.read(bytes, from)
  process.exit()
}

console.log('| format | real files (read) | mutated | read | refused | findings | slowest ms | most MB |')
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |')
let failed = false
for (const subject of chosen) {
  const seeds = subject.seeds()
  if (seeds.length === 0) {
    console.log(`| ${subject.format} | 0 | skipped: no real files here (set STRATA_ASSETS) | | | | | |`)
    continue
  }
  const r = await fuzz(subject.format, {
    count: Number(values.count),
    seed,
    progress: (done) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${subject.format} ${done}\x1b[K\r`)
    },
  })
  let whole = 0
  for (const s of seeds)
    await Promise.resolve(subject.read(s.bytes, s)).then(
      () => whole++,
      () => {},
    )
  const mb = Math.max(0, Math.round(r.largestBytes / 2 ** 20))
  console.log(
    `| ${r.format} | ${seeds.length} (${whole}) | ${r.files} | ${r.read} | ${r.refused} | ${r.findings.length} | ${Math.round(r.slowestMs)} | ${mb} |`,
  )
  const kinds = Map.groupBy(r.findings, (f) => f.what.replace(/\d+/g, 'N'))
  for (const [, list] of kinds) {
    const first = list[0]!
    console.log(`  ${list.length} × ${first.what} (first: --only ${first.index}, from ${first.file})`)
  }
  failed ||= r.findings.length > 0
}
process.exit(failed ? 1 : 0)
