// One network on every form of our targets, judged as `check` does. See every-network.ts.

import { costOf } from '../src/ir/inspect.ts'
import { graphFor } from '../src/studies/check.ts'
import type { Reply } from '../src/targets/child.ts'
import { checkNetwork, everyForm, networks } from '../test/networks.ts'

export type Row = {
  readonly name: string
  readonly kind: string
  readonly nodes: number
  readonly macs: number
  /** Whether every inner value was judged too, at one thread. */
  readonly inner: boolean
  readonly subjects: readonly {
    readonly subject: string
    readonly verdict: string
    readonly says: string
    /** Largest error of an output as a share of its bound. */
    readonly share: number | null
  }[]
}

/** A question: networks up to so many multiply-adds are judged value by value. */
export type Question = { readonly name: string; readonly mostInner: number }

async function judge({ name, mostInner }: Question): Promise<Row> {
  const network = networks().find((n) => n.name === name)!
  const model = await network.open()
  const sample = network.inputs(model.graph)
  const { macs } = costOf(graphFor(model.graph, sample))
  const inner = (macs ?? 0) <= mostInner
  // Inner values at one thread: a second one computes no value otherwise, and to make each an output is a compilation more.
  const [one, two] = [1, 2].map((threads) => everyForm.filter((s) => s.options.threads === threads))
  const results = inner
    ? [await checkNetwork(model, sample, one!, 1), await checkNetwork(model, sample, two!, 0)]
    : [await checkNetwork(model, sample, everyForm, 0)]
  return {
    name,
    kind: network.kind,
    nodes: results[0]!.model.nodes,
    macs: macs ?? 0,
    inner,
    subjects: results
      .flatMap((r) => r.targets)
      .map((t) => ({
        subject: t.target,
        verdict: t.verdict,
        says: t.says,
        share: t.values.reduce<number | null>((m, v) => Math.max(m ?? 0, v.boundRatio ?? 0), null),
      })),
  }
}

process.on('message', async (question: Question) => {
  let reply: Reply
  try {
    reply = { ok: await judge(question) }
  } catch (e) {
    reply = e instanceof Error ? { error: e.message, name: e.name } : { error: String(e) }
  }
  process.send!(reply)
})
process.on('disconnect', () => process.exit())
