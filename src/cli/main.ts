// The command line: which verb, which words, and how it ends. Exit status: 0 fine, 1 a verdict fell short, 2 the input or the
// command is at fault. The verbs do their work through the library's public functions.

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import pc from 'picocolors'
import { bench } from './bench.ts'
import { check } from './check.ts'
import { compare } from './compare.ts'
import { convert } from './convert.ts'
import { inspect } from './inspect.ts'
import { peers } from './peers.ts'
import { progressBar } from './progress.ts'
import { run as runVerb } from './run.ts'
import { tune } from './tune.ts'
import type { Io, Options, Verb } from './verb.ts'
import { zoo } from './zoo.ts'

const verbs: readonly Verb[] = [check, compare, inspect, runVerb, bench, tune, convert, zoo, peers]

const width = (): number => Math.min(process.stdout.columns ?? 100, 110)

/** Runs the command line; sets the process's exit status. */
export async function main(args: readonly string[]): Promise<void> {
  // A reader that closes early (`| head`) is no fault of ours.
  process.stdout.on('error', (e: NodeJS.ErrnoException) => process.exit(e.code === 'EPIPE' ? 0 : 2))
  // Ctrl-C ends the process at once, as it does by default: a handler would have to wait for the numbers being crunched.
  // Nothing is half done then: files appear whole (write.ts), and children go with us (targets/processes.ts).
  try {
    process.exitCode = await run(args)
  } catch (e) {
    process.exitCode = report(e)
  }
}

async function run(args: readonly string[]): Promise<number> {
  let status = 0
  const program = new Command('strata')
    .description('Check, compile, mend and shrink neural networks, with evidence.')
    .version(version(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .configureHelp({ helpWidth: width() })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'strata:')) })
    .showSuggestionAfterError()
    .exitOverride()
  program.addHelpText('after', `\nExamples:\n${exampleLines(verbs.map((v) => v.examples[0]!))}\n`)
  for (const verb of verbs) {
    const command = program
      .command(verb.name)
      .description(verb.says)
      .configureHelp({ helpWidth: width() })
      .helpOption('-h, --help', 'show this help')
      .exitOverride()
    for (const a of verb.args) command.argument(a.name, a.says)
    for (const o of verb.options) {
      if (o.parse) command.option(o.flags, o.says, o.parse, o.default)
      else command.option(o.flags, o.says, o.default as string | boolean | undefined)
    }
    command.option('--json', 'print one JSON document, and nothing else, on standard output')
    command.addHelpText('after', `\nExamples:\n${exampleLines(verb.examples)}`)
    command.action(async () => {
      const options: Options = command.opts()
      status = await verb.run(command.args, options, ioFor(options.json === true, args))
    })
  }
  if (args.length === 0) {
    program.outputHelp()
    return 2
  }
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (e) {
    // Help and the version end the program too.
    if (e instanceof CommanderError) return e.exitCode === 0 ? 0 : 2
    throw e
  }
  return status
}

function exampleLines(examples: Verb['examples']): string {
  const longest = Math.max(...examples.map((e) => e.line.length))
  return examples.map((e) => `  ${pc.cyan(e.line.padEnd(longest))}  ${e.says}`).join('\n')
}

function ioFor(json: boolean, args: readonly string[]): Io {
  const bar = progressBar(process.stderr)
  return {
    json,
    command: ['strata', ...args.map(quoted)].join(' '),
    version: version(),
    print: (text) => {
      bar.clear()
      if (!json) process.stdout.write(`${text}\n`)
    },
    document: (value) => {
      bar.clear()
      if (json) process.stdout.write(`${JSON.stringify(value, plain, 2)}\n`)
    },
    progress: bar.show,
    note: (text) => {
      bar.clear()
      if (process.stderr.isTTY) process.stderr.write(`${text}\n`)
    },
    style: pc.createColors(pc.isColorSupported && process.stdout.isTTY === true),
  }
}

/** JSON has no NaN, infinities or big integers: they are written as strings. */
const plain = (_key: string, v: unknown): unknown =>
  typeof v === 'bigint' || (typeof v === 'number' && !Number.isFinite(v)) ? String(v) : v

const quoted = (word: string): string =>
  /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/** Says what went wrong, without a stack where the input is at fault. */
function report(e: unknown): number {
  const error = e instanceof Error ? e : new Error(String(e))
  if (error.name === 'InputError' || error.name === 'UnsupportedError') {
    process.stderr.write(`strata: ${error.message}\n`)
    return 2
  }
  process.stderr.write(
    `strata: this is a fault of Strata ${version()} (Node ${process.versions.node}, ${process.platform} ${process.arch}). Please report it with the lines below and, if you can, the model.\n${error.stack ?? error.message}\n`,
  )
  return 2
}

/** From the package's own manifest, two folders up both in a checkout and in dist. */
function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
