// What goes wrong outside of us: bad schedules, compilers that fail, full disks, killed processes and threads. Each is really done, and
// each must end in one clear line with nothing half made left behind.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ownCache } from '../../test/own-cache.ts'
import { readImage } from '../compile/render/wasm/image.ts'
import { imageMemory, instantiate, readOutput, writeInput } from '../compile/render/wasm/run.ts'
import { controlWords, next, runTeam } from '../compile/render/wasm/team.ts'
import { rng } from '../core/rng.ts'
import { readHead, sourceOf } from '../core/source.ts'
import { numbers, type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { parseGraph } from '../ir/text.ts'
import { build, findCompiler } from './c/compiler.ts'
import { type Head, magic } from './c/options.ts'
import { c } from './c.ts'
import { wasm } from './wasm.ts'

const room = ownCache()

const text = `graph net(x: float32[1, 8, 9, 9]) -> (y) {
  w: float32[12, 8, 3, 3] = [${Array.from({ length: 864 }, (_, i) => Math.sin(i).toFixed(3))}]
  y: float32[1, 12, 9, 9] = conv2d(x, w) {strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], groups: 1, layout: "channelsFirst"} "conv"
}`
const graph = parseGraph(text)
const random = rng(3)
const input = tensorOf(
  'float32',
  [1, 8, 9, 9],
  Array.from({ length: 648 }, () => random.normal()),
)
const [want] = evaluate(graph, [input]) as Tensor[]
const worst = (got: Tensor): number =>
  Math.max(...Array.from(numbers(want!), (v, i) => Math.abs(v - numbers(got)[i]!)))

describe('a schedule', () => {
  test.for([
    ['no JSON', '{"conv": {', 'expected JSON'],
    ['no object', '[1]', 'expected an object of schedules'],
    ['of an unknown choice', '{"conv": {"rowz": 4}}', 'no such choice as rowz'],
    ['of an algorithm that is none', '{"*": {"algorithm": "fft"}}', 'algorithm, expected'],
    ['of a tile without rows', '{"conv": {"rows": 0}}', 'rows, expected 1 to'],
    ['of half a column', '{"conv": {"columns": 1.5}}', 'columns, expected 1 to'],
    ['of an absurd tile', '{"conv": {"rows": 1e9}}', 'rows, expected 1 to'],
    ['of a tile as text', '{"conv": {"rows": "6"}}', 'rows, expected 1 to'],
    ['of a tile that no registers hold', '{"conv": {"rows": 64, "columns": 256}}', 'expected at most'],
    ['of a name that objects have', '{"conv": {"constructor": 1}}', 'no such choice as constructor'],
  ])('%s is refused in one line by both targets', async ([, schedule, says]) => {
    for (const target of [wasm, c]) {
      const compiled = target.compile(graph, { schedule: schedule! })
      await expect(compiled).rejects.toMatchObject({
        name: 'InputError',
        message: expect.stringContaining(says!),
      })
    }
  })

  test('any that is allowed gives the right answer, however odd; what is too large is refused', async () => {
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!
    let refused = 0
    for (let i = 0; i < 40; i++) {
      const schedule = {
        algorithm: pick(['direct', 'im2col', 'spatialPack', 'winograd2', 'winograd4']),
        rows: pick([1, 2, 3, 5, 7, 13, 31, 64]),
        columns: pick([1, 3, 4, 8, 12, 20, 64, 256]),
        unroll: pick([1, 3, 8]),
        block: pick([1, 2, 7, 1000]),
      }
      const options = { schedule: JSON.stringify({ '*': schedule }), engine: pick(['safe', 'fast']) }
      try {
        const executable = await wasm.load(await wasm.compile(graph, options))
        const [got] = (await executable.run([input])) as Tensor[]
        expect(worst(got!), JSON.stringify(options)).toBeLessThan(1e-4)
      } catch (e) {
        if ((e as Error).name !== 'InputError') throw e
        refused++
      }
    }
    expect(refused).toBeGreaterThan(0)
    expect(refused).toBeLessThan(35)
  })
})

const script = (name: string, body: string): string => {
  writeFileSync(join(room, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  return join(room, name)
}
const job = (command: string) => ({
  compiler: { command, version: command },
  files: { 'a.c': 'int a;' },
  sources: ['a.c'],
  flags: [],
  linkFlags: [],
  output: 'a.node',
  limit: 20_000,
})
const cached = (): string[] => {
  const folder = join(room, 'strata', 'c')
  return existsSync(folder) ? readdirSync(folder) : []
}

describe('a compiler', () => {
  test('that crashes is said to, and leaves nothing', async () => {
    const before = cached()
    await expect(build(job(script('crashing', 'kill -SEGV $$')))).rejects.toThrow('failed (SIGSEGV)')
    expect(cached()).toEqual(before)
  })

  test('that makes nothing and says that all is well is found out', async () => {
    await expect(build(job(script('idle', 'exit 0')))).rejects.toThrow('ended well without making a.node')
  })

  test('that makes garbage gives an error, not a crash', async () => {
    const making = script(
      'garbage',
      '[ "$1" = --version ] && echo garbage 1 && exit\nfor last; do :; done; echo x > "$last"',
    )
    const code = `
      import { c } from ${JSON.stringify(new URL('./c.ts', import.meta.url).href)}
      import { parseGraph } from ${JSON.stringify(new URL('../ir/text.ts', import.meta.url).href)}
      const graph = parseGraph('graph g(x: float32[2]) -> (y) {\\n  y: float32[2] = tanh(x) {}\\n}')
      await c.load(await c.compile(graph, {})).catch((e) => console.log(e.name + ': ' + e.message))`
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, CC: making },
      encoding: 'utf8',
    })
    expect(stdout).toMatch(/^InputError: .*the compiled model does not load/)
    expect(status).toBe(0)
  })

  test('asked for the same by several at once gives each a whole file', async () => {
    const making = script('making', 'for last; do :; done; sleep 0.2; echo made > "$last"')
    const paths = await Promise.all(Array.from({ length: 4 }, () => build(job(making))))
    expect(new Set(paths).size).toBe(1)
    expect(readFileSync(paths[0]!, 'utf8')).toMatch(/^made\n\nstrata [0-9a-f]{32}\n$/)
    expect(cached().filter((f) => f.endsWith('.part'))).toEqual([])
  })

  test('is ended with all it started when we are told to stop, and the folder it worked in is gone', async () => {
    const pidFile = join(room, 'pid')
    const temporary = join(room, 'temporary')
    mkdirSync(temporary)
    const hanging = script(
      'hanging',
      `[ "$1" = --version ] && echo hanging 1 && exit\nsleep 600 & echo $! > ${pidFile}; wait`,
    )
    const code = `
      import { c } from ${JSON.stringify(new URL('./c.ts', import.meta.url).href)}
      import { parseGraph } from ${JSON.stringify(new URL('../ir/text.ts', import.meta.url).href)}
      const graph = parseGraph('graph g(x: float32[2]) -> (y) {\\n  y: float32[2] = tanh(x) {}\\n}')
      await c.load(await c.compile(graph, {}))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, CC: hanging, TMPDIR: temporary },
      stdio: 'ignore',
    })
    const ended = new Promise<string | null>((resolve) => child.on('exit', (_, signal) => resolve(signal)))
    await expect
      .poll(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8'), { timeout: 20_000 })
      .toMatch(/\d+\n/)
    child.kill('SIGTERM')
    expect(await ended).toBe('SIGTERM')
    const stat = `/proc/${readFileSync(pidFile, 'utf8').trim()}/stat`
    // Gone, or dead and not yet collected by its new parent.
    await expect.poll(() => existsSync(stat) && !/\) Z/.test(readFileSync(stat, 'utf8'))).toBe(false)
    expect(readdirSync(temporary)).toEqual([])
  })
})

/** A file system of some kilobytes that only the command sees: as root, or where users may have namespaces. */
const smallDisk = (folder: string, kilobytes: number, command: readonly string[]): [string, string[]] => {
  mkdirSync(folder, { recursive: true })
  const mount = `mount -t tmpfs -o size=${kilobytes}k strata-test '${folder}' && exec "$@"`
  return ['unshare', ['-Urm', 'sh', '-c', mount, 'sh', ...command]]
}
const [probe, probeArgs] = smallDisk(join(room, 'probe'), 64, ['true'])
const mounts = spawnSync(probe, probeArgs).status === 0

describe.skipIf(!mounts || !findCompiler())(
  mounts ? 'a full disk' : 'a full disk (skipped: no file system can be mounted here)',
  () => {
    /** Compiles the network with some folders on a disk of some kilobytes: the error, and what is left there. */
    function onSmallDisk(
      kilobytes: number,
      folders: Readonly<Record<string, string>>,
      work = 'await c.load(artifact)',
    ): { error: string; left: string[] } {
      const disk = join(room, 'disk')
      const code = `
        import { readdirSync, statfsSync, writeFileSync, rmSync } from 'node:fs'
        import { c } from ${JSON.stringify(new URL('./c.ts', import.meta.url).href)}
        import { saveCompiled } from ${JSON.stringify(new URL('./compiled.ts', import.meta.url).href)}
        import { parseGraph } from ${JSON.stringify(new URL('../ir/text.ts', import.meta.url).href)}
        const artifact = await c.compile(parseGraph(${JSON.stringify(text)}), {})
        let error = 'none'
        try { ${work} } catch (e) { error = e.name + ': ' + e.message }
        const left = readdirSync(${JSON.stringify(disk)}, { recursive: true, withFileTypes: true })
        console.log(JSON.stringify({ error, left: left.filter((f) => f.isFile()).map((f) => f.name) }))`
      const command = [process.execPath, '--input-type=module', '-e', code]
      const [name, args] = smallDisk(disk, kilobytes, command)
      const { stdout, stderr } = spawnSync(name, args, {
        env: { ...process.env, XDG_CACHE_HOME: join(room, 'other'), ...folders },
        encoding: 'utf8',
        timeout: 60_000,
      })
      expect(stdout, stderr).toMatch(/^\{/)
      return JSON.parse(stdout) as { error: string; left: string[] }
    }
    const disk = join(room, 'disk')

    test('for the cache: said, with nothing half kept', () => {
      const { error, left } = onSmallDisk(12, { XDG_CACHE_HOME: disk })
      expect(error).toMatch(/^InputError: .*the compiled model can't be kept: ENOSPC.*Free some space/)
      expect(left.filter((f) => !f.endsWith('.json'))).toEqual([])
    })

    test('for the C source: said, with nothing left', () => {
      const { error, left } = onSmallDisk(8, { TMPDIR: disk, XDG_CACHE_HOME: join(room, 'other2') })
      expect(error).toMatch(/^InputError: .*(C source can't be written: ENOSPC|No space left on device)/)
      expect(left).toEqual([])
    })

    test('for what the compiler makes: its own words, with nothing left', async () => {
      const artifact = await c.compile(graph, {})
      const source = (readHead(sourceOf(artifact.piece!), magic, 'c') as Head).filesBytes
      const { error, left } = onSmallDisk(Math.ceil(source / 1024) + 16, {
        TMPDIR: disk,
        XDG_CACHE_HOME: join(room, 'other3'),
      })
      expect(error).toMatch(/^InputError: .*No space left on device/)
      expect(left).toEqual([])
    })

    test('for a compiled model: said, with no part of it', () => {
      const path = JSON.stringify(join(disk, 'net.strata'))
      const { error, left } = onSmallDisk(16, {}, `saveCompiled(${path}, artifact)`)
      expect(error).toMatch(/^InputError: .*net.strata: can't be written: ENOSPC/)
      expect(left).toEqual([])
    })
  },
)

describe('a thread of WebAssembly', () => {
  async function team() {
    const { piece } = await wasm.compile(graph, { threads: 2 })
    const source = sourceOf(piece!)
    const { header, module } = readImage(source)
    const memory = imageMemory(header, source)
    const instance = instantiate(header, new WebAssembly.Module(module), memory)
    writeInput(memory, header.inputs[0]!, input.data)
    return { header, memory, instance, words: controlWords(memory, header) }
  }

  test('that died between runs is not missed', async () => {
    const { header, memory, instance, words } = await team()
    runTeam(instance, words)
    expect(worst(readOutput(memory, header.outputs[0]!))).toBeLessThan(1e-4)
  })

  test('that dies with work in its hands ends the run with an error, not in a wait for ever', async () => {
    const { header, instance, words } = await team()
    let taken = false
    const robbed = {
      ...instance,
      call: (...args: Parameters<typeof instance.call>) => {
        const i = header.steps.indexOf(args[0])
        // Another thread takes the next chunk of this step and is never seen again.
        if (!taken && args[2] < args[0].range[1]) {
          taken = true
          Atomics.add(words, next(i), 1)
        }
        instance.call(...args)
      },
    }
    expect(() => runTeam(robbed, words, 200)).toThrow('a thread stopped in the middle of a run')
    expect(taken).toBe(true)
    // The next run is whole again.
    runTeam(instance, words)
  })
})
