// A small transformer encoder: BERT-Tiny (Turc et al. 2019), 2 layers, 2 heads, 128 wide, with its pooler.

import type { Graph, ValueId } from '../../ir/types.ts'
import { tensorType } from '../../ir/types.ts'
import type { Net } from '../net.ts'

const [width, heads, layers, vocabulary, positions, steps] = [128, 2, 2, 30522, 512, 128]

export function bertTiny(n: Net, _size: number): Graph {
  const { s } = n
  const scoped = <T>(name: string, f: () => T): T => {
    const before = s.enter(name)
    const made = f()
    s.enter(before)
    return made
  }
  const layerNorm = (x: ValueId, name: string): ValueId =>
    scoped(name, () =>
      s.node('layerNorm', [x, n.filled(`${name}/scale`, [width], 1), n.filled(`${name}/bias`, [width], 0)], {
        axis: -1,
        epsilon: 1e-12,
      }),
    )
  const tokens = n.b.input('tokens', tensorType('int64', ['batch', steps]))
  const segments = n.b.input('segments', tensorType('int64', ['batch', steps]))
  const mask = n.b.input('mask', tensorType('float32', ['batch', steps]))
  const table = (name: string, rows: number): ValueId => n.weight(`${name}/table`, [rows, width], 0.02)
  const embedded = scoped('embedding', () => {
    const words = s.node('gather', [table('word', vocabulary), tokens], { axis: 0 }, 'word')
    const kinds = s.node('gather', [table('segment', 2), segments], { axis: 0 }, 'segment')
    const places = s.slice(table('position', positions), 0, 0, steps, 1, 'position')
    return s.node('add', [s.node('add', [words, kinds], {}, 'sum'), places])
  })
  let x = layerNorm(embedded, 'embedding/norm')
  // 0 where a token counts, −10000 where it is padding.
  const bias = scoped('mask', () => {
    const wide = s.unsqueeze(mask, [1, 2], 'unsqueeze')
    const off = s.node('sub', [s.like(wide, 1), wide], {}, 'invert')
    return s.node('mul', [off, s.like(off, -10000)], {}, 'bias')
  })
  for (let l = 1; l <= layers; l++) {
    const split = (v: ValueId, name: string): ValueId =>
      scoped(`layer${l}/${name}`, () =>
        s.transpose(s.reshape(v, [0, steps, heads, width / heads], 'heads'), [0, 2, 1, 3]),
      )
    const [q, k, v] = ['query', 'key', 'value'].map((name) => split(n.dense(x, width, 1), name))
    const mixed = scoped(`layer${l}/attention`, () => {
      const product = s.node('matMul', [q!, s.transpose(k!, [0, 1, 3, 2], 'columns')], {}, 'product')
      const scaled = s.node('mul', [product, s.like(product, 1 / Math.sqrt(width / heads))], {}, 'scale')
      const weights = s.softmax(s.node('add', [scaled, bias], {}, 'masked'), -1, 'softmax')
      const joined = s.transpose(s.node('matMul', [weights, v!], {}, 'mix'), [0, 2, 1, 3], 'transpose')
      return s.reshape(joined, [0, steps, width])
    })
    x = layerNorm(n.add(n.dense(mixed, width, 1), x), `layer${l}/norm1`)
    const hidden = scoped(`layer${l}/gelu`, () => s.node('gelu', [n.dense(x, 4 * width)]))
    x = layerNorm(n.add(n.dense(hidden, width, 1), x), `layer${l}/norm2`)
  }
  const first = scoped('first', () => s.squeeze(s.slice(x, 1, 0, 1, 1, 'slice'), [1]))
  const pooled = scoped('pooler', () => s.node('tanh', [n.dense(first, width, 1)]))
  return n.finish(x, pooled)
}
