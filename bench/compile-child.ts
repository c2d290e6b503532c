// One compilation in a fresh process. Arguments: packed file with the graph, target's name, options (JSON), folder and extension of
// Strata's modules. Prints milliseconds of wall and of processor time (own, and of the C compiler), and peak memory.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [file, name, options, folder, extension] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
]
const load = (module: string) => import(pathToFileURL(join(folder, `targets/${module}${extension}`)).href)
const graph = (await load('packed')).readPacked(file)
const target = (await load(name))[name]

/** Processor time of children that have ended: fields 16 and 17, in hundredths of a second; the name in parentheses may hold spaces. */
function childrenMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)!.split(' ')
  return 10 * (Number(fields[13]) + Number(fields[14]))
}

const [began, before] = [performance.now(), process.cpuUsage()]
await target.load(await target.compile(graph, JSON.parse(options)))
const [wallMs, { user, system }] = [performance.now() - began, process.cpuUsage(before)]
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0)
const measured = { wallMs, cpuMs: (user + system) / 1000, compilerMs: childrenMs(), peakBytes: peak * 1024 }
process.stdout.write(JSON.stringify(measured), () => process.exit(0))
