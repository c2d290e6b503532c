// Passes: whole-graph rewrites with plain options, pure, verified in between.

import { BugError } from '../core/errors.ts'
import type { Graph } from '../ir/types.ts'
import { verify } from '../ir/verify.ts'
import { type Change, type Rule, sweep } from './rule.ts'

export type PassResult = {
  readonly graph: Graph
  readonly changes: readonly Change[]
  /** Why the pass ended: nothing left to do, or its limit. */
  readonly stopped: 'saturated' | 'limit'
}

/** Sweeps until no rule applies, at most `limit` times. */
export function applyRules(graph: Graph, rules: readonly Rule[], limit = 10): PassResult {
  const changes: Change[] = []
  let current = graph
  for (let i = 0; i < limit; i++) {
    const r = sweep(current, rules)
    current = r.graph
    changes.push(...r.changes)
    const problems = verify(current)
    if (problems.length) {
      const names = [...new Set(r.changes.filter((c) => !c.refused).map((c) => c.rule))]
      throw new BugError(`rules ${names.join(', ')}: ${problems[0]!.where}: ${problems[0]!.what}`)
    }
    if (!r.changes.some((c) => !c.refused)) return { graph: current, changes, stopped: 'saturated' }
  }
  return { graph: current, changes, stopped: 'limit' }
}
