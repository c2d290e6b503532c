// Conformance tests of ONNX that the reference doesn't pass, each with its reason. One that passes must leave the list.

const random = "ONNX's data hold one runtime's random numbers; ours come from another generator"
const truncated =
  'the data were made by cutting floats to bfloat16; they are rounded, halves to even, as later ONNX versions do'
const contradicts =
  "the data's shape contradicts the model's: the type to copy has shape [1], the model says [3, 4]"

export const onnxGaps: Readonly<Record<string, string>> = {
  test_adam_multiple: 'the model leaves out the epsilon of 0.01 that its data were computed with',
  test_bernoulli: random,
  test_bernoulli_double: random,
  test_bernoulli_double_expanded: random,
  test_bernoulli_expanded: random,
  test_bernoulli_seed: random,
  test_bernoulli_seed_expanded: random,
  test_cast_FLOAT_to_BFLOAT16: truncated,
  test_castlike_BFLOAT16_to_FLOAT: contradicts,
  test_castlike_BFLOAT16_to_FLOAT_expanded: contradicts,
  test_castlike_FLOAT_to_BFLOAT16: contradicts,
  test_castlike_FLOAT_to_BFLOAT16_expanded: contradicts,
  test_training_dropout: random,
  test_training_dropout_default: random,
  test_training_dropout_default_mask: random,
  test_training_dropout_mask: random,
}
