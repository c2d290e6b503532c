// A verb of the command line as data, so that help, parsing and the documentation's tests come from one place.
// A verb's file loads nothing of the library until it runs.

export type Progress = (done: number, total: number, what: string) => void

/** What a verb may do to the world. */
export type Io = {
  /** `--json` was given: one document goes to standard output and nothing else. */
  readonly json: boolean
  /** The command as the user would repeat it. */
  readonly command: string
  readonly version: string
  /** Text for people; silent under `--json`. */
  print(text: string): void
  /** The documented document; silent without `--json`. */
  document(value: unknown): void
  /** On standard error, when it is a terminal. */
  readonly progress: Progress
  /** A line there, likewise. */
  note(text: string): void
  /** Styles for text on standard output; plain where it is no terminal. */
  readonly style: Style
}

export type Style = Readonly<
  Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', (text: string) => string>
>

/** Parsed by the option's own `parse`; flags without a value are true. */
export type Options = Readonly<Record<string, unknown>>

export type OptionSpec = {
  /** As commander writes it: `--samples <n>`. */
  readonly flags: string
  readonly says: string
  readonly default?: unknown
  /** Throws an InputError for a value that doesn't fit. */
  readonly parse?: (text: string, previous: unknown) => unknown
}

export type Verb = {
  readonly name: string
  /** As commander writes it: `<model>`, `[names...]`. */
  readonly args: readonly { readonly name: string; readonly says: string }[]
  readonly says: string
  readonly options: readonly OptionSpec[]
  readonly examples: readonly { readonly line: string; readonly says: string }[]
  /** Returns the exit status: 0 fine, 1 a verdict fell short. */
  run(args: readonly string[], options: Options, io: Io): Promise<number>
}
