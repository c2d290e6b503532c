// Optional packages: loaded when asked for, with one line that says how to get one that is missing.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { InputError } from '../core/errors.ts'

export type PackageFound<M> =
  | { readonly module: M; readonly version: string; readonly folder: string }
  | { readonly module?: undefined; readonly reason: string }

const require = createRequire(import.meta.url)

/** The package's folder and version, without running anything of it. */
export function findPackage(name: string): { folder: string; version: string } | undefined {
  for (const modules of require.resolve.paths(name) ?? []) {
    const folder = join(modules, name)
    try {
      const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        version: string
      }
      return { folder, version }
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

/** Imports an optional package; `load` where the main entry isn't the one wanted. */
export async function loadPackage<M>(name: string, load?: () => Promise<M>): Promise<PackageFound<M>> {
  const found = findPackage(name)
  if (!found) return { reason: `not installed. Install it with: npm install ${name}` }
  try {
    return { module: await (load ? load() : (import(name) as Promise<M>)), ...found }
  } catch (e) {
    const said = e instanceof Error ? e.message.split('\n')[0] : String(e)
    return { reason: `${name} ${found.version} does not load here: ${said}` }
  }
}

/** The package, or an InputError with the reason why it is absent. */
export function required<M>(name: string, found: PackageFound<M>): { module: M; version: string } {
  if ('reason' in found) throw new InputError(`${name}: ${found.reason}`)
  return found
}
