// Mutates real TensorFlow Lite files and reads them: each must give a graph that verifies, or an InputError or UnsupportedError,
// within two seconds and bounded memory.
//
//   node bench/fuzz-tflite.ts COUNT SEED FILE...

import { readFileSync } from 'node:fs'
import { InputError, UnsupportedError } from '../src/core/errors.ts'
import { rng } from '../src/core/rng.ts'
import { readTflite } from '../src/formats/tflite/read.ts'
import { verify } from '../src/ir/verify.ts'
import { mutated } from '../test/mutate.ts'

const [count, seed, ...files] = process.argv.slice(2)
if (!count || !seed || files.length === 0) {
  console.error('usage: node bench/fuzz-tflite.ts COUNT SEED FILE...')
  process.exit(2)
}
const random = rng(Number(seed))
const bytes = files.map((f) => readFileSync(f))
const tally: Record<string, number> = { read: 0, refused: 0, unsupported: 0 }
let slowest = 0
let failed = 0
for (let i = 0; i < Number(count); i++) {
  const k = random.below(files.length)
  const changed = mutated(bytes[k]!, random)
  const start = performance.now()
  let outcome: string
  try {
    const problems = verify(readTflite(changed, { where: 'fuzz' }))
    outcome = problems.length ? 'refused' : 'read'
  } catch (e) {
    if (e instanceof InputError) outcome = 'refused'
    else if (e instanceof UnsupportedError) outcome = 'unsupported'
    else {
      failed++
      outcome = 'failed'
      console.error(`case ${i} of ${files[k]}:`, e)
    }
  }
  const ms = performance.now() - start
  if (ms > 2000) {
    failed++
    console.error(`case ${i} of ${files[k]} took ${ms.toFixed(0)} ms`)
  }
  slowest = Math.max(slowest, ms)
  tally[outcome] = (tally[outcome] ?? 0) + 1
}
console.log(
  JSON.stringify({
    ...tally,
    slowestMs: Math.round(slowest),
    peakMB: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
)
process.exit(failed ? 1 : 0)
