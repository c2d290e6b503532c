// The public API, written by hand. What isn't here may change without notice.

export type { DType } from './core/dtype.ts'
export { BugError, InputError, type Unsupported, UnsupportedError } from './core/errors.ts'

import * as figures from './core/figures.ts'

/** Figures as Strata prints them. */
export { figures }
export type Figures = typeof figures
export { type Tensor, tensorOf } from './core/tensor.ts'
export type { Model } from './formats/open.ts'
export { printGraph } from './ir/text.ts'
export type { Graph } from './ir/types.ts'
export { type Inspection, inspectModel, openSource, withDimensions } from './studies/models.ts'
