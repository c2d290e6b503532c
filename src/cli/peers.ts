import { InvalidArgumentError } from 'commander'
import type { Verb } from './verb.ts'

export const peers: Verb = {
  name: 'peers',
  args: [
    { name: '[action]', says: 'list (if absent), or add' },
    { name: '[names...]', says: 'what to add' },
  ],
  says: 'The runtimes that Strata can use: which are here, and how to get the others.',
  options: [{ flags: '--python <path>', says: 'the Python to look in, or to make environments with' }],
  examples: [
    { line: 'strata peers', says: 'what is here, with versions' },
    { line: 'strata peers add litert tensorflow', says: 'make Python environments under the cache folder' },
  ],
  async run([action = 'list', ...names], options, io) {
    const api = await import('../index.ts')
    const python = options.python as string | undefined
    if (action === 'add') {
      if (names.length === 0)
        throw new api.InputError(`peers add: no names, expected some of ${api.environmentNames.join(', ')}`)
      await api.peersAdd(names, {
        ...(python !== undefined && { python }),
        onProgress: (name, line) => io.note(`${name}: ${line}`),
      })
    } else if (action !== 'list' || names.length > 0)
      throw new InvalidArgumentError(
        `Expected peers, peers list or peers add NAME…, got ${[action, ...names].join(' ')}.`,
      )
    const { targets, nativeTargets } = await api.registry()
    const all = await Promise.all(
      [...targets, ...nativeTargets].map(async (t) => {
        const native = 'takes' in t
        const presence = await t.presence(python === undefined ? undefined : { python })
        return {
          target: t.name,
          doc: t.doc,
          native,
          variants: t.variants.map((v) => v.name).filter(Boolean),
          present: presence.present,
          version: presence.present ? presence.version : null,
          reason: presence.present ? null : presence.reason,
        }
      }),
    )
    io.document({ targets: all })
    const { bold, dim, green } = io.style
    io.print(
      api.table(
        ['target', 'here', 'what it is'],
        all.map((t) => [
          bold(t.target),
          t.present ? green(t.version || 'yes') : dim('no'),
          `${t.doc}${t.variants.length > 0 ? dim(` (${t.variants.join(', ')})`) : ''}`,
        ]),
      ),
    )
    const absent = all.filter((t) => !t.present)
    if (absent.length > 0)
      io.print(
        `\n${api.table(
          [],
          absent.map((t) => [dim(t.target), t.reason ?? '']),
        )}`,
      )
    return 0
  },
}
