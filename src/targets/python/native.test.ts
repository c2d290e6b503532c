import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, describe, expect, type TestContext, test } from 'vitest'
import {
  largestDifference,
  row,
  type StoredModel,
  storedAnswers,
  storedInputs,
  storedModels,
  storedPath,
} from '../../../test/stored.ts'
import { tensorOf } from '../../core/tensor.ts'
import { writeZip } from '../../core/zip.ts'
import { peersAdd, peersList } from './environments.ts'
import { nativeTargets } from './native.ts'

const folder = mkdtempSync(join(tmpdir(), 'native-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const target = (name: string): (typeof nativeTargets)[number] => nativeTargets.find((t) => t.name === name)!

/** Skips, with the reason, where the runtime or the files are absent. */
async function need(context: TestContext, name: string, files = true): Promise<void> {
  if (files && !process.env.STRATA_ASSETS) context.skip('STRATA_ASSETS is unset')
  const presence = await target(name).presence()
  if (!presence.present) context.skip(`${name}: ${presence.reason}`)
}

const stored = (path: string): StoredModel =>
  storedModels((m) => `${m.network}/${m.file}` === path)[0] ?? expect.fail(`no ${path}`)

/** Largest difference from the stored answers over all outputs; inputs and outputs are matched by name where names agree. */
async function offBy(
  name: string,
  path: string,
  options: Record<string, string | boolean> = {},
  answers: 'out' | 'blt' | 'ref' = 'out',
): Promise<number> {
  const model = stored(path)
  const executable = await target(name).load(storedPath(model), options)
  try {
    const order = (have: readonly { name: string }[], want: readonly { name: string }[]): number[] =>
      have.map((v, i) => {
        const k = want.findIndex((w) => w.name.replace(/:0$/, '') === v.name.replace(/:0$/, ''))
        return k < 0 ? i : k
      })
    const given = storedInputs(model)
    const inputs = order(executable.inputs, model.inputs).map((k) => given[k]!)
    const expected = storedAnswers(model, answers) ?? expect.fail(`${path} has no ${answers}`)
    const outputs = order(executable.outputs, model.outputs).map((k) => expected[k]!)
    const one = executable.inputs.some((v) => v.type.kind === 'tensor' && v.type.shape?.[0] === 1)
    let largest = 0
    for (let r = 0; r < (one ? 4 : 1); r++) {
      const got = await executable.run(one ? inputs.map((t) => row(t, r)) : inputs)
      got.forEach((t, i) => {
        largest = Math.max(largest, largestDifference(t, one ? row(outputs[i]!, r) : outputs[i]!))
      })
    }
    return largest
  } finally {
    await executable.dispose()
  }
}

describe('litert', () => {
  test('gives the stored answers of float files', async (context) => {
    await need(context, 'litert')
    // Different processors choose different XNNPACK kernels: float sums may differ in their last bits.
    for (const file of [
      'resnet8/tflite221-f32',
      'lstm/nomask-tflite215-f32',
      'unet/tf115-f32',
      'odds/tflite221-f16',
    ]) {
      expect(await offBy('litert', `${file}.tflite`), file).toBeLessThan(1e-5)
    }
  })

  test('gives the stored answers of integer files bit for bit, with either set of kernels', async (context) => {
    await need(context, 'litert')
    for (const file of ['transformer/tflite221-int8.tflite', 'resnet8/tflite221-int16x8.tflite']) {
      expect(await offBy('litert', file, { kernels: 'builtin' }, 'blt'), file).toBe(0)
      expect(await offBy('litert', file, { kernels: 'reference' }, 'ref'), file).toBe(0)
    }
  })

  test('starts every run from fresh state', async (context) => {
    await need(context, 'litert')
    const model = stored('lstm/nomask-tflite215-f32.tflite')
    const executable = await target('litert').load(storedPath(model), {})
    const input = storedInputs(model).map((t) => row(t, 0))
    const first = await executable.run(input)
    expect(await executable.run(input)).toEqual(first)
    await executable.dispose()
  })

  test('gives inner values without XNNPACK and refuses them with it', async (context) => {
    await need(context, 'litert')
    const model = stored('dscnn/tflite221-f32.tflite')
    const executable = await target('litert').load(storedPath(model), { kernels: 'builtin', inner: true })
    const rows = executable.values.filter((v) => v.type.kind === 'tensor' && v.type.shape?.length === 4)
    const last = rows.at(-1)!.name
    const [output, inner] = await executable.run(storedInputs(model), [last])
    expect(output!.shape).toEqual([4, 12])
    expect(inner!.shape[0]).toBe(4)
    await executable.dispose()
    await expect(target('litert').load(storedPath(model), { inner: true })).rejects.toThrow(
      "litert: inner values can't be read from XNNPACK. Use kernels builtin or reference",
    )
  })

  test('names an input that does not fit', async (context) => {
    await need(context, 'litert')
    const executable = await target('litert').load(storedPath(stored('dscnn/tflite221-f32.tflite')), {})
    await expect(executable.run([tensorOf('float32', [1, 2], [1, 2])])).rejects.toThrow(
      /^litert: input .*mfcc.*: expected \[\?, 49, 10, 1\], got \[1, 2\]$/,
    )
    await expect(executable.run([])).rejects.toThrow(/expected 1 inputs .* got 0/)
    await executable.dispose()
  })

  test('refuses a damaged file in one line', async (context) => {
    await need(context, 'litert', false)
    const path = join(folder, 'damaged.tflite')
    writeFileSync(
      path,
      Buffer.concat([Buffer.from([28, 0, 0, 0]), Buffer.from('TFL3'), Buffer.alloc(64, 255)]),
    )
    await expect(target('litert').load(path, {})).rejects.toThrow(/^litert: [^\n]+$/)
  })

  test.skipIf(process.platform !== 'linux').for(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    'is gone, and its files too, when %s ends us',
    async (signal, context) => {
      await need(context, 'litert')
      const program = `import { nativeTargets } from ${JSON.stringify(new URL('./native.ts', import.meta.url).href)}
        const target = nativeTargets.find((t) => t.name === 'litert')
        await target.load(${JSON.stringify(storedPath(stored('dscnn/tflite221-f32.tflite')))}, {})
        console.log('loaded')
        setInterval(() => {}, 1000)`
      const mine = join(folder, signal)
      mkdirSync(mine)
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
        env: { ...process.env, TMPDIR: mine },
      })
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const [temp] = readdirSync(mine)
      const running = (): boolean =>
        readdirSync('/proc').some((pid) => {
          try {
            return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(temp!)
          } catch {
            return false
          }
        })
      expect(running()).toBe(true)
      child.kill(signal)
      for (let i = 0; i < 60 && running(); i++) await sleep(50)
      expect(running()).toBe(false)
      expect(existsSync(join(mine, temp!))).toBe(false)
    },
  )
})

describe('tensorflow', () => {
  // TensorFlow alone takes seconds to start: one file a test.
  test('gives the stored answers and inner values of a SavedModel, its inputs by name', {
    timeout: 240_000,
  }, async (context) => {
    await need(context, 'tensorflow')
    const file = 'odds/keras2-savedmodel'
    expect(await offBy('tensorflow', file)).toBeLessThan(1e-5)
    expect(await offBy('tensorflow', file, { inner: true })).toBeLessThan(1e-5)
    const executable = await target('tensorflow').load(storedPath(stored(file)), { inner: true })
    expect(executable.values.filter((v) => /relu|elu/i.test(v.name)).length).toBeGreaterThan(0)
    await executable.dispose()
  })

  test('gives the stored answers of an .h5 of Keras 2', { timeout: 240_000 }, async (context) => {
    await need(context, 'tensorflow')
    expect(await offBy('tensorflow', 'dscnn/tf24.h5')).toBeLessThan(1e-5)
  })

  test('gives the stored answers and inner values of a frozen graph', {
    timeout: 240_000,
  }, async (context) => {
    await need(context, 'tensorflow')
    const model = stored('dscnn/tf221-frozen.pb')
    const executable = await target('tensorflow').load(storedPath(model), { inner: true })
    const relu = executable.values.find((v) => /relu/i.test(v.name))!
    const [output, inner] = await executable.run(storedInputs(model), [relu.name])
    expect(largestDifference(output!, storedAnswers(model)![0]!)).toBeLessThan(1e-5)
    expect(Math.min(...(inner!.data as Float32Array))).toBe(0)
    await executable.dispose()
  })

  test('runs no Lambda layer without trust', async (context) => {
    await need(context, 'tensorflow', false)
    const text = (x: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(x))
    const layer = (class_name: string, config: object): object => ({
      class_name: 'Functional',
      config: { layers: [{ class_name, config }] },
    })
    for (const [config, seen] of [
      [
        layer('Lambda', { function: { class_name: '__lambda__', config: { code: '4wAAAA==' } } }),
        'Lambda, __lambda__',
      ],
      [layer('TFOpLambda', { function: 'io.write_file' }), 'the function io.write_file'],
      [
        { class_name: 'Functional', config: { layers: [{ module: 'os', class_name: 'system' }] } },
        'os.system',
      ],
    ] as const) {
      const path = join(folder, 'lambda.keras')
      writeFileSync(
        path,
        writeZip([
          ['metadata.json', text({ keras_version: '3.15.1' })],
          ['config.json', text(config)],
          ['model.weights.h5', new Uint8Array(8)],
        ]),
      )
      await expect(target('tensorflow').load(path, {})).rejects.toThrow(
        `tensorflow: ${path}: holds ${seen}, which could run any code. Use --trust`,
      )
    }
  })

  test('runs no graph that reads or writes files without trust', { timeout: 240_000 }, async (context) => {
    await need(context, 'tensorflow', false)
    const path = join(folder, 'reads.pb')
    // GraphDef { node: { name: 'f', op: 'Placeholder' }, node: { name: 'Identity', op: 'ReadFile', input: 'f' } }
    const bytes = (field: number, body: string | Uint8Array): Buffer =>
      Buffer.concat([Buffer.from([field * 8 + 2, body.length]), Buffer.from(body as string)])
    writeFileSync(
      path,
      Buffer.concat([
        bytes(1, Buffer.concat([bytes(1, 'f'), bytes(2, 'Placeholder')])),
        bytes(1, Buffer.concat([bytes(1, 'Identity'), bytes(2, 'ReadFile'), bytes(3, 'f')])),
      ]),
    )
    await expect(target('tensorflow').load(path, {})).rejects.toThrow(
      'uses ReadFile, which could run any code',
    )
  })
})

describe('torch', () => {
  test('runs no TorchScript without trust', async (context) => {
    await need(context, 'torch', false)
    await expect(target('torch').load(join(folder, 'model.pt'), {})).rejects.toThrow(
      'holds code, which could run any code. Use --trust',
    )
  })

  test('gives the stored answers of a trace', async (context) => {
    await need(context, 'torch')
    expect(await offBy('torch', 'dscnn/torch215-trace.pt', { trust: true })).toBeLessThan(1e-5)
  })
})

describe('onnxruntime-python', () => {
  test('gives the stored answers at every level', async (context) => {
    await need(context, 'onnxruntime-python')
    for (const { options } of target('onnxruntime-python').variants) {
      expect(
        await offBy('onnxruntime-python', 'odds/torch215-dynamo18.onnx', { ...options } as never),
      ).toBeLessThan(1e-5)
    }
  })
})

describe('environments', () => {
  test('a runtime that is not there is one line that says how to get it', async () => {
    const list = await peersList('/no/such/python')
    for (const peer of list.filter((p) => !p.present)) {
      expect((peer as { reason: string }).reason).toMatch(
        /^--python \/no\/such\/python: no such program.*Install it with: strata peers add \w+ \([\d.]+ GB\)$/,
      )
    }
    await expect(peersAdd(['tensorfow'])).rejects.toThrow(
      'peers add tensorfow: no such environment, expected litert',
    )
  })

  test('a Python that makes no environment is one line, and nothing is half there', async () => {
    const program = `import { peersAdd } from ${JSON.stringify(new URL('./environments.ts', import.meta.url).href)}
      await peersAdd(['litert'], { python: '/no/such/python' }).catch((e) => console.log(e.message))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, XDG_CACHE_HOME: folder },
    })
    expect(stdout.trim()).toMatch(/^peers add litert: \/no\/such\/python made no environment: [^\n]+$/)
    expect(readdirSync(join(folder, 'strata', 'python', 'litert'))).toEqual([])
  })
})
