// Every Keras layer that is known, by class name.

import { attentionLayers } from './attention.ts'
import type { Layer } from './call.ts'
import { convolutionLayers } from './convolution.ts'
import { mergeLayers } from './merge.ts'
import { normalizationLayers } from './normalization.ts'
import { operatorLayers } from './operators.ts'
import { poolingLayers } from './pooling.ts'
import { recurrentLayers } from './recurrent.ts'
import { shapeLayers } from './shape.ts'

export const layers: Readonly<Record<string, Layer>> = {
  ...attentionLayers,
  ...convolutionLayers,
  ...mergeLayers,
  ...normalizationLayers,
  ...operatorLayers,
  ...poolingLayers,
  ...recurrentLayers,
  ...shapeLayers,
}
