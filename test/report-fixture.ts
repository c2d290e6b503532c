// A made-up check of a made-up network, of any size: what the report is drawn from in its tests.

import { rng } from '../src/core/rng.ts'
import type { CheckResult, NodeResult, TargetResult } from '../src/studies/check-result.ts'

type DrawnNode = CheckResult['graph'][number]

/** Inverted bottlenecks with residual additions, as in MobileNetV2, then a head. */
function network(nodes: number): DrawnNode[] {
  const graph: { node: string; op: string; from: number[]; shape: string; attributes: string }[] = []
  const add = (node: string, op: string, from: number[], channels: number, attributes = ''): number =>
    graph.push({ node, op, from, shape: `float32[1, ${channels}, 14, 14]`, attributes }) - 1
  let last = add('stem/conv', 'conv2d', [], 32, 'strides: [2, 2], padding: [1, 1, 1, 1], groups: 1')
  for (let block = 0; graph.length < nodes - 3; block++) {
    const name = (part: string): string => `block_${block}/${part}`
    const start = last
    last = add(name('expand'), 'conv2d', [last], 192, 'strides: [1, 1], groups: 1')
    last = add(name('expand_relu'), 'clamp', [last], 192, 'low: 0, high: 6')
    last = add(name('depthwise'), 'conv2d', [last], 192, 'strides: [1, 1], groups: 192')
    last = add(name('depthwise_relu'), 'clamp', [last], 192, 'low: 0, high: 6')
    last = add(name('project'), 'conv2d', [last], 64, 'strides: [1, 1], groups: 1')
    if (block % 3) last = add(name('add'), 'add', [start, last], 64)
  }
  last = add('pool', 'reduceMean', [last], 1280, 'axes: [2, 3]')
  last = add('logits', 'matMul', [last], 10)
  add('softmax', 'softmax', [last], 10, 'axis: -1')
  return graph
}

function nodesOf(graph: readonly DrawnNode[], seed: number, faultAt: number | null): NodeResult[] {
  const r = rng(seed)
  let inherited = 0
  return graph.map((n, index) => {
    const exact = n.op === 'clamp'
    const magnitude = 1 + 3 * r.next()
    const bound = exact ? 0 : 1e-6 * magnitude * (0.5 + r.next())
    const fault = index === faultAt
    const injected = fault ? 0.04 : exact ? 0 : bound * 10 ** (-2.5 * r.next())
    const excess = injected === 0 ? 0 : bound > 0 ? injected / bound : Infinity
    const before = inherited
    inherited = Math.max(inherited * (0.9 + 0.19 * r.next()), injected)
    return {
      index,
      injected,
      inherited: before,
      total: inherited,
      bound,
      excess,
      magnitude,
      nonFinite: 0,
      verdict: excess > 1 ? 'different' : excess > 0 ? 'rounding' : 'same',
      worst: injected > 0 ? { output: 0, element: 17, got: 1.234 + injected, expected: 1.234 } : null,
      how: exact ? 'exact: no rounding' : 'sum of 288 products in float32',
      shows: fault ? 'scaled' : null,
      node: n.node,
      op: n.op,
      origin: [n.node],
    }
  })
}

const measured = { reason: null, nan: { got: 0, expected: 0, mismatched: 0 }, divergence: null, offBy: null }

function target(
  name: string,
  graph: readonly DrawnNode[],
  seed: number,
  samples: number,
  ms: number,
  faultAt: number | null = null,
): TargetResult {
  const nodes = nodesOf(graph, seed, faultAt)
  const first = nodes.find((n) => n.verdict === 'different') ?? null
  const maxAbs = first ? 0.031 : 2.4e-7
  const disagree = first ? Math.max(1, Math.floor(samples * 0.07)) : 0
  const share = (correct: number): NonNullable<TargetResult['accuracy']>['got'] => ({
    total: samples,
    correct,
    value: correct / samples,
    low: 0.84,
    high: 0.95,
    confidence: 0.95,
    method: 'wilson',
  })
  return {
    target: name,
    present: true,
    version: '1.2.3',
    facts: { threads: 1, simd: true },
    verdict: first ? 'different' : 'rounding',
    says: first
      ? `${first.op} ${first.node} is off by a constant factor: a weight, a scale or an epsilon differs. ${disagree} of ${samples} labels change.`
      : 'Every value lies within rounding.',
    labels: {
      total: samples,
      disagree,
      share: disagree / samples,
      ties: { got: 0, expected: 0 },
      noLabel: { got: 0, expected: 0 },
      tiedDisagree: 0,
      disagreements: [],
      topK: {
        k: 5,
        overlap: { mean: 1, least: 1 },
        sameSet: samples,
        sameOrder: samples,
        kendall: { mean: 1, least: 1 },
        rankBiasedOverlap: { p: 0.8, mean: 1, least: 1 },
      },
    },
    accuracy: {
      got: share(Math.floor(samples * 0.9) - disagree),
      expected: share(Math.floor(samples * 0.9)),
      difference: -disagree / samples,
      onlyGot: 0,
      onlyExpected: disagree,
      mcnemar: { exact: 0.01, chiSquared: 0.01 },
    },
    values: [
      {
        ...measured,
        infinite: { got: 0, expected: 0, mismatched: 0 },
        output: 'softmax',
        verdict: first ? 'different' : 'rounding',
        elements: samples * 10,
        equal: samples,
        beyond: first ? 40 : 0,
        boundRatio: first ? 12000 : 0.1,
        maxAbs,
        maxRel: maxAbs,
        maxRelToPeak: maxAbs,
        maxUlp: 4,
        snrDb: 130,
        cosine: 1,
        worst: null,
      },
    ],
    outputBounds: [2.6e-6],
    ms: { median: ms, low: ms * 0.95, high: ms * 1.12, p95: ms * 1.3, runs: 9 },
    nodes,
    first,
    blamed: nodes.filter((n) => n.verdict === 'different').length,
    fused: null,
    growth: first ? 'spike' : 'none',
    worst: [5, 12, 40].map((input) => ({
      input,
      maxAbs: maxAbs / (1 + input / 10),
      got: first ? 'shirt' : 'coat',
      expected: 'coat',
      picture:
        'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 28 28%22%3E%3Cpath d=%22M7 5h14l4 6-4 2v11H7V13l-4-2z%22 fill=%22%23ddd%22/%3E%3C/svg%3E',
    })),
  }
}

/** A check of a network of about so many nodes; with a fault in one of its targets, or none. */
export function fixture(nodes: number, fault: boolean): CheckResult {
  const graph = network(nodes)
  const samples = 200
  const r = rng(7)
  const targets = [
    target('wasm', graph, 1, samples, 9.1),
    target('onnxruntime:none', graph, 2, samples, 8.2),
    target('onnxruntime:all', graph, 3, samples, 3.4),
    target('tfjs:wasm', graph, 4, samples, 21.5, fault ? Math.floor(graph.length * 0.4) : null),
    {
      ...target('litert', graph, 5, samples, 1),
      present: false,
      reason: 'litert: not here. Run: strata peers add litert',
      verdict: 'absent' as const,
      labels: null,
      accuracy: null,
      values: [],
      ms: null,
      nodes: [],
      worst: [],
    },
  ]
  const bad = targets.find((t) => t.verdict === 'different')
  const ops: Record<string, number> = {}
  for (const n of graph) ops[n.op] = (ops[n.op] ?? 0) + 1
  return {
    verdict: bad ? 'fail' : 'pass',
    says: bad
      ? `${bad.target}: ${bad.says}`
      : `4 targets agree with the reference on ${samples} inputs, every value within rounding.`,
    created: '2026-01-02T03:04:05.678Z',
    command: 'strata check mobilenet.onnx --data pictures --samples 200',
    model: {
      name: 'mobilenet.onnx',
      source: 'mobilenet.onnx',
      format: 'onnx',
      digest: '0123456789abcdef0123456789abcdef',
      bytes: 14_000_000,
      nodes: graph.length,
      parameters: 3_504_872,
      macs: 300_774_272,
      ops,
      inputs: [{ name: 'image', dtype: 'float32', shape: ['batch', 3, 224, 224] }],
      outputs: [{ name: 'softmax', dtype: 'float32', shape: ['batch', 10] }],
    },
    data: {
      source: 'pictures',
      samples,
      labelled: true,
      classes: ['shirt', 'coat'],
      preprocessing: null,
      preprocessingSays: 'Pillow bilinear to 224 × 224, RGB, divided by 255',
      seed: null,
    },
    machine: { strata: '0.1.0', node: '24.0.0', cpu: 'x86-64, 2 cores' },
    referenceMs: 812,
    targets,
    graph,
    histograms: graph.map(() => ({
      low: -2.5,
      high: 3.25,
      counts: Array.from({ length: 24 }, (_, i) =>
        Math.floor(400 * Math.exp(-(((i - 11) / 5) ** 2)) * (0.5 + r.next())),
      ),
    })),
    report: null,
  }
}
