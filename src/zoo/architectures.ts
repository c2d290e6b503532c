import type { Graph } from '../ir/types.ts'
import type { InputHint } from './packages.ts'
export type Architecture = {
  readonly doc: string
  readonly input: InputHint
  build(): { graph: Graph; parameters: number }
}
export const architectures: Readonly<Record<string, Architecture>> = {}
