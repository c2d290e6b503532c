import type { Verb } from './verb.ts'

export const zoo: Verb = {
  name: 'zoo',
  args: [],
  says: 'The built-in networks: what zoo:NAME can stand for.',
  options: [{ flags: '--missing', says: 'those whose package is not installed too, and how to get it' }],
  examples: [
    { line: 'strata zoo', says: 'names, licences, inputs' },
    { line: 'strata inspect zoo:resnet-18', says: 'one of them' },
  ],
  async run(_args, options, io) {
    const api = await import('../index.ts')
    const all = api.listZoo()
    io.document({ models: all })
    const { bold, dim } = io.style
    const shown = all.filter((m) => m.present || options.missing)
    io.print(
      api.table(
        ['name', 'licence', 'what it is'],
        shown.map((m) => [
          m.present ? bold(m.name) : dim(m.name),
          m.licence,
          m.reason ? dim(`${m.doc} (${m.reason})`) : m.doc,
        ]),
      ),
    )
    if (shown.length < all.length)
      io.print(dim(`\nand ${all.length - shown.length} whose package is not installed (--missing)`))
    return 0
  },
}
