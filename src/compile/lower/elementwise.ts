// Chains of elementwise operators: one loop over the result, in its memory order, at vector width.

import { vectorizes } from '../build.ts'
import { broadcastTo } from '../view.ts'
import { type Lower, orderFor } from './lowering.ts'

/** The anchor's operands come as the epilogue's: see compile.ts, where the whole chain is the epilogue of nothing. */
export const elementwise: Lower = (x) => {
  const out = x.output(0)
  const operands = x.epilogue.operands.map((v) => broadcastTo(v, out.shape))
  const [to, ...from] = orderFor([out, ...operands])
  const strided = to!.strides.at(-1) !== 1 && to!.shape.at(-1) !== 1
  const lanes = strided || ![to!, ...from].every((v) => vectorizes(v.dtype)) ? 1 : x.engine.lanes
  x.step(x.op, (k) =>
    k.nest(to!.shape, lanes, (index, width) => [
      k.store(
        to!,
        index,
        x.epilogue.apply(
          undefined as never,
          from.map((v) => k.loadVector(v, index, width)),
          width,
        ),
      ),
    ]),
  )
}
