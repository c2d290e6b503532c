// The three kinds of error. A message reads `where: what, expected X, got Y. Fix.`

/** The file, the data or the flag that the user gave is at fault. Shown without a stack; exit status 2. */
export class InputError extends Error {
  override name = 'InputError'
  constructor(message: string) {
    // Names and shapes come from files, which may make them as long as they like.
    super(message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message)
  }
}
const MAX_MESSAGE = 4000

export type Unsupported = { op: string; count: number; nearest?: string }

/** Everything that isn't supported, listed at once. */
export class UnsupportedError extends Error {
  override name = 'UnsupportedError'
  readonly unsupported: readonly Unsupported[]
  constructor(where: string, unsupported: readonly Unsupported[]) {
    const list = unsupported.map(
      (u) =>
        `${u.op}${u.count > 1 ? ` ×${u.count}` : ''}${u.nearest ? ` (nearest supported: ${u.nearest})` : ''}`,
    )
    super(`${where}: not supported: ${list.join('; ')}`)
    this.unsupported = unsupported
  }
}

/** A fault of Strata itself. Shown with a stack and a request to report it. */
export class BugError extends Error {
  override name = 'BugError'
}

export function assertNever(x: never, where: string): never {
  throw new BugError(`${where}: unexpected ${JSON.stringify(x)}`)
}
