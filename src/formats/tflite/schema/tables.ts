// Made by generate.ts of the published TensorFlow Lite schema; not edited by hand.

import type { Schema } from '../flatbuffer.ts'

export type CustomQuantization = {
  custom: Uint8Array | undefined
}
export type BlockwiseQuantization = {
  scales: number
  zero_points: number
  block_size: number
}
export type MultiAxisQuantization = {
  scales: number
  zero_points: number
  block_size: number
  quantized_dimensions: Int32Array | undefined
}
export type QuantizationParameters = {
  min: Float32Array | undefined
  max: Float32Array | undefined
  scale: Float32Array | undefined
  zero_point: readonly number[] | undefined
  details:
    | (CustomQuantization & { kind: 'CustomQuantization' })
    | (BlockwiseQuantization & { kind: 'BlockwiseQuantization' })
    | (MultiAxisQuantization & { kind: 'MultiAxisQuantization' })
    | undefined
  quantized_dimension: number
}
export type Int32Vector = {
  values: Int32Array | undefined
}
export type Uint16Vector = {
  values: Uint16Array | undefined
}
export type Uint8Vector = {
  values: Uint8Array | undefined
}
export type DimensionMetadata = {
  format: number
  dense_size: number
  array_segments:
    | (Int32Vector & { kind: 'Int32Vector' })
    | (Uint16Vector & { kind: 'Uint16Vector' })
    | (Uint8Vector & { kind: 'Uint8Vector' })
    | undefined
  array_indices:
    | (Int32Vector & { kind: 'Int32Vector' })
    | (Uint16Vector & { kind: 'Uint16Vector' })
    | (Uint8Vector & { kind: 'Uint8Vector' })
    | undefined
}
export type SparsityParameters = {
  traversal_order: Int32Array | undefined
  block_map: Int32Array | undefined
  dim_metadata: readonly DimensionMetadata[] | undefined
}
export type VariantSubType = {
  shape: Int32Array | undefined
  type: number
  has_rank: boolean
}
export type Tensor = {
  shape: Int32Array | undefined
  type: number
  buffer: number
  name: string | undefined
  quantization: QuantizationParameters | undefined
  is_variable: boolean
  sparsity: SparsityParameters | undefined
  shape_signature: Int32Array | undefined
  has_rank: boolean
  variant_tensors: readonly VariantSubType[] | undefined
  external_buffer: number
}
export type OperatorCode = {
  deprecated_builtin_code: number
  custom_code: string | undefined
  version: number
  builtin_code: number
}
export type Operator = {
  opcode_index: number
  inputs: Int32Array | undefined
  outputs: Int32Array | undefined
  builtin_options: Options | undefined
  custom_options: Uint8Array | undefined
  custom_options_format: number
  mutating_variable_inputs: Uint8Array | undefined
  intermediates: Int32Array | undefined
  large_custom_options_offset: number
  large_custom_options_size: number
  builtin_options_2: Options | undefined
  debug_metadata_index: number
}
export type SubGraph = {
  tensors: readonly Tensor[] | undefined
  inputs: Int32Array | undefined
  outputs: Int32Array | undefined
  operators: readonly Operator[] | undefined
  name: string | undefined
  debug_metadata_index: number
}
export type Buffer = {
  data: Uint8Array | undefined
  offset: number
  size: number
}
export type ExternalBufferGroup = {
  name: string | undefined
}
export type ExternalBuffer = {
  id: number
  group: number
  offset: number
  length: number
  packing: string | undefined
}
export type Metadata = {
  name: string | undefined
  buffer: number
}
export type TensorMap = {
  name: string | undefined
  tensor_index: number
}
export type SignatureDef = {
  inputs: readonly TensorMap[] | undefined
  outputs: readonly TensorMap[] | undefined
  signature_key: string | undefined
  subgraph_index: number
}
export type Model = {
  version: number
  operator_codes: readonly OperatorCode[] | undefined
  subgraphs: readonly SubGraph[] | undefined
  description: string | undefined
  buffers: readonly Buffer[] | undefined
  metadata_buffer: Int32Array | undefined
  metadata: readonly Metadata[] | undefined
  signature_defs: readonly SignatureDef[] | undefined
  external_buffer_groups: readonly ExternalBufferGroup[] | undefined
  external_buffers: readonly ExternalBuffer[] | undefined
}
/** Any table of an options union, with its name; the caller reads the fields that its operator has. */
export type Options = { readonly kind: string; readonly [field: string]: unknown }
export const TensorType: Readonly<Record<number, string>> = {
  0: 'FLOAT32',
  1: 'FLOAT16',
  2: 'INT32',
  3: 'UINT8',
  4: 'INT64',
  5: 'STRING',
  6: 'BOOL',
  7: 'INT16',
  8: 'COMPLEX64',
  9: 'INT8',
  10: 'FLOAT64',
  11: 'COMPLEX128',
  12: 'UINT64',
  13: 'RESOURCE',
  14: 'VARIANT',
  15: 'UINT32',
  16: 'UINT16',
  17: 'INT4',
  18: 'BFLOAT16',
  19: 'INT2',
  20: 'UINT4',
  21: 'FLOAT8_E4M3FN',
  22: 'FLOAT8_E5M2',
}
export const BuiltinOperator: Readonly<Record<number, string>> = {
  0: 'ADD',
  1: 'AVERAGE_POOL_2D',
  2: 'CONCATENATION',
  3: 'CONV_2D',
  4: 'DEPTHWISE_CONV_2D',
  5: 'DEPTH_TO_SPACE',
  6: 'DEQUANTIZE',
  7: 'EMBEDDING_LOOKUP',
  8: 'FLOOR',
  9: 'FULLY_CONNECTED',
  10: 'HASHTABLE_LOOKUP',
  11: 'L2_NORMALIZATION',
  12: 'L2_POOL_2D',
  13: 'LOCAL_RESPONSE_NORMALIZATION',
  14: 'LOGISTIC',
  15: 'LSH_PROJECTION',
  16: 'LSTM',
  17: 'MAX_POOL_2D',
  18: 'MUL',
  19: 'RELU',
  20: 'RELU_N1_TO_1',
  21: 'RELU6',
  22: 'RESHAPE',
  23: 'RESIZE_BILINEAR',
  24: 'RNN',
  25: 'SOFTMAX',
  26: 'SPACE_TO_DEPTH',
  27: 'SVDF',
  28: 'TANH',
  29: 'CONCAT_EMBEDDINGS',
  30: 'SKIP_GRAM',
  31: 'CALL',
  32: 'CUSTOM',
  33: 'EMBEDDING_LOOKUP_SPARSE',
  34: 'PAD',
  35: 'UNIDIRECTIONAL_SEQUENCE_RNN',
  36: 'GATHER',
  37: 'BATCH_TO_SPACE_ND',
  38: 'SPACE_TO_BATCH_ND',
  39: 'TRANSPOSE',
  40: 'MEAN',
  41: 'SUB',
  42: 'DIV',
  43: 'SQUEEZE',
  44: 'UNIDIRECTIONAL_SEQUENCE_LSTM',
  45: 'STRIDED_SLICE',
  46: 'BIDIRECTIONAL_SEQUENCE_RNN',
  47: 'EXP',
  48: 'TOPK_V2',
  49: 'SPLIT',
  50: 'LOG_SOFTMAX',
  51: 'DELEGATE',
  52: 'BIDIRECTIONAL_SEQUENCE_LSTM',
  53: 'CAST',
  54: 'PRELU',
  55: 'MAXIMUM',
  56: 'ARG_MAX',
  57: 'MINIMUM',
  58: 'LESS',
  59: 'NEG',
  60: 'PADV2',
  61: 'GREATER',
  62: 'GREATER_EQUAL',
  63: 'LESS_EQUAL',
  64: 'SELECT',
  65: 'SLICE',
  66: 'SIN',
  67: 'TRANSPOSE_CONV',
  68: 'SPARSE_TO_DENSE',
  69: 'TILE',
  70: 'EXPAND_DIMS',
  71: 'EQUAL',
  72: 'NOT_EQUAL',
  73: 'LOG',
  74: 'SUM',
  75: 'SQRT',
  76: 'RSQRT',
  77: 'SHAPE',
  78: 'POW',
  79: 'ARG_MIN',
  80: 'FAKE_QUANT',
  81: 'REDUCE_PROD',
  82: 'REDUCE_MAX',
  83: 'PACK',
  84: 'LOGICAL_OR',
  85: 'ONE_HOT',
  86: 'LOGICAL_AND',
  87: 'LOGICAL_NOT',
  88: 'UNPACK',
  89: 'REDUCE_MIN',
  90: 'FLOOR_DIV',
  91: 'REDUCE_ANY',
  92: 'SQUARE',
  93: 'ZEROS_LIKE',
  94: 'FILL',
  95: 'FLOOR_MOD',
  96: 'RANGE',
  97: 'RESIZE_NEAREST_NEIGHBOR',
  98: 'LEAKY_RELU',
  99: 'SQUARED_DIFFERENCE',
  100: 'MIRROR_PAD',
  101: 'ABS',
  102: 'SPLIT_V',
  103: 'UNIQUE',
  104: 'CEIL',
  105: 'REVERSE_V2',
  106: 'ADD_N',
  107: 'GATHER_ND',
  108: 'COS',
  109: 'WHERE',
  110: 'RANK',
  111: 'ELU',
  112: 'REVERSE_SEQUENCE',
  113: 'MATRIX_DIAG',
  114: 'QUANTIZE',
  115: 'MATRIX_SET_DIAG',
  116: 'ROUND',
  117: 'HARD_SWISH',
  118: 'IF',
  119: 'WHILE',
  120: 'NON_MAX_SUPPRESSION_V4',
  121: 'NON_MAX_SUPPRESSION_V5',
  122: 'SCATTER_ND',
  123: 'SELECT_V2',
  124: 'DENSIFY',
  125: 'SEGMENT_SUM',
  126: 'BATCH_MATMUL',
  127: 'PLACEHOLDER_FOR_GREATER_OP_CODES',
  128: 'CUMSUM',
  129: 'CALL_ONCE',
  130: 'BROADCAST_TO',
  131: 'RFFT2D',
  132: 'CONV_3D',
  133: 'IMAG',
  134: 'REAL',
  135: 'COMPLEX_ABS',
  136: 'HASHTABLE',
  137: 'HASHTABLE_FIND',
  138: 'HASHTABLE_IMPORT',
  139: 'HASHTABLE_SIZE',
  140: 'REDUCE_ALL',
  141: 'CONV_3D_TRANSPOSE',
  142: 'VAR_HANDLE',
  143: 'READ_VARIABLE',
  144: 'ASSIGN_VARIABLE',
  145: 'BROADCAST_ARGS',
  146: 'RANDOM_STANDARD_NORMAL',
  147: 'BUCKETIZE',
  148: 'RANDOM_UNIFORM',
  149: 'MULTINOMIAL',
  150: 'GELU',
  151: 'DYNAMIC_UPDATE_SLICE',
  152: 'RELU_0_TO_1',
  153: 'UNSORTED_SEGMENT_PROD',
  154: 'UNSORTED_SEGMENT_MAX',
  155: 'UNSORTED_SEGMENT_SUM',
  156: 'ATAN2',
  157: 'UNSORTED_SEGMENT_MIN',
  158: 'SIGN',
  159: 'BITCAST',
  160: 'BITWISE_XOR',
  161: 'RIGHT_SHIFT',
  162: 'STABLEHLO_LOGISTIC',
  163: 'STABLEHLO_ADD',
  164: 'STABLEHLO_DIVIDE',
  165: 'STABLEHLO_MULTIPLY',
  166: 'STABLEHLO_MAXIMUM',
  167: 'STABLEHLO_RESHAPE',
  168: 'STABLEHLO_CLAMP',
  169: 'STABLEHLO_CONCATENATE',
  170: 'STABLEHLO_BROADCAST_IN_DIM',
  171: 'STABLEHLO_CONVOLUTION',
  172: 'STABLEHLO_SLICE',
  173: 'STABLEHLO_CUSTOM_CALL',
  174: 'STABLEHLO_REDUCE',
  175: 'STABLEHLO_ABS',
  176: 'STABLEHLO_AND',
  177: 'STABLEHLO_COSINE',
  178: 'STABLEHLO_EXPONENTIAL',
  179: 'STABLEHLO_FLOOR',
  180: 'STABLEHLO_LOG',
  181: 'STABLEHLO_MINIMUM',
  182: 'STABLEHLO_NEGATE',
  183: 'STABLEHLO_OR',
  184: 'STABLEHLO_POWER',
  185: 'STABLEHLO_REMAINDER',
  186: 'STABLEHLO_RSQRT',
  187: 'STABLEHLO_SELECT',
  188: 'STABLEHLO_SUBTRACT',
  189: 'STABLEHLO_TANH',
  190: 'STABLEHLO_SCATTER',
  191: 'STABLEHLO_COMPARE',
  192: 'STABLEHLO_CONVERT',
  193: 'STABLEHLO_DYNAMIC_SLICE',
  194: 'STABLEHLO_DYNAMIC_UPDATE_SLICE',
  195: 'STABLEHLO_PAD',
  196: 'STABLEHLO_IOTA',
  197: 'STABLEHLO_DOT_GENERAL',
  198: 'STABLEHLO_REDUCE_WINDOW',
  199: 'STABLEHLO_SORT',
  200: 'STABLEHLO_WHILE',
  201: 'STABLEHLO_GATHER',
  202: 'STABLEHLO_TRANSPOSE',
  203: 'DILATE',
  204: 'STABLEHLO_RNG_BIT_GENERATOR',
  205: 'REDUCE_WINDOW',
  206: 'STABLEHLO_COMPOSITE',
  207: 'STABLEHLO_SHIFT_LEFT',
  208: 'STABLEHLO_CBRT',
  209: 'STABLEHLO_CASE',
}
export const ActivationFunctionType: Readonly<Record<number, string>> = {
  0: 'NONE',
  1: 'RELU',
  2: 'RELU_N1_TO_1',
  3: 'RELU6',
  4: 'TANH',
  5: 'SIGN_BIT',
}
export const schema: Schema = {
  tables: {
    CustomQuantization: [{ name: 'custom', slot: 0, kind: '[u8]' }],
    BlockwiseQuantization: [
      { name: 'scales', slot: 0, kind: 'i32', initial: 0 },
      { name: 'zero_points', slot: 1, kind: 'i32', initial: 0 },
      { name: 'block_size', slot: 2, kind: 'i32', initial: 0 },
    ],
    MultiAxisQuantization: [
      { name: 'scales', slot: 0, kind: 'i32', initial: 0 },
      { name: 'zero_points', slot: 1, kind: 'i32', initial: 0 },
      { name: 'block_size', slot: 2, kind: 'i32', initial: 0 },
      { name: 'quantized_dimensions', slot: 3, kind: '[i32]' },
    ],
    QuantizationParameters: [
      { name: 'min', slot: 0, kind: '[f32]' },
      { name: 'max', slot: 1, kind: '[f32]' },
      { name: 'scale', slot: 2, kind: '[f32]' },
      { name: 'zero_point', slot: 3, kind: '[i64]' },
      { name: 'details', slot: 4, kind: 'union', union: 'QuantizationDetails' },
      { name: 'quantized_dimension', slot: 6, kind: 'i32', initial: 0 },
    ],
    Int32Vector: [{ name: 'values', slot: 0, kind: '[i32]' }],
    Uint16Vector: [{ name: 'values', slot: 0, kind: '[u16]' }],
    Uint8Vector: [{ name: 'values', slot: 0, kind: '[u8]' }],
    DimensionMetadata: [
      { name: 'format', slot: 0, kind: 'i8', initial: 0 },
      { name: 'dense_size', slot: 1, kind: 'i32', initial: 0 },
      { name: 'array_segments', slot: 2, kind: 'union', union: 'SparseIndexVector' },
      { name: 'array_indices', slot: 4, kind: 'union', union: 'SparseIndexVector' },
    ],
    SparsityParameters: [
      { name: 'traversal_order', slot: 0, kind: '[i32]' },
      { name: 'block_map', slot: 1, kind: '[i32]' },
      { name: 'dim_metadata', slot: 2, kind: '[DimensionMetadata]' },
    ],
    VariantSubType: [
      { name: 'shape', slot: 0, kind: '[i32]' },
      { name: 'type', slot: 1, kind: 'i8', initial: 0 },
      { name: 'has_rank', slot: 2, kind: 'bool', initial: 0 },
    ],
    Tensor: [
      { name: 'shape', slot: 0, kind: '[i32]' },
      { name: 'type', slot: 1, kind: 'i8', initial: 0 },
      { name: 'buffer', slot: 2, kind: 'u32', initial: 0 },
      { name: 'name', slot: 3, kind: 'string' },
      { name: 'quantization', slot: 4, kind: 'QuantizationParameters' },
      { name: 'is_variable', slot: 5, kind: 'bool', initial: 0 },
      { name: 'sparsity', slot: 6, kind: 'SparsityParameters' },
      { name: 'shape_signature', slot: 7, kind: '[i32]' },
      { name: 'has_rank', slot: 8, kind: 'bool', initial: 0 },
      { name: 'variant_tensors', slot: 9, kind: '[VariantSubType]' },
      { name: 'external_buffer', slot: 10, kind: 'u32', initial: 0 },
    ],
    StablehloGatherOptions: [
      { name: 'offset_dims', slot: 0, kind: '[i64]' },
      { name: 'collapsed_slice_dims', slot: 1, kind: '[i64]' },
      { name: 'start_index_map', slot: 2, kind: '[i64]' },
      { name: 'index_vector_dim', slot: 3, kind: 'i64', initial: 0 },
      { name: 'slice_sizes', slot: 4, kind: '[i64]' },
      { name: 'indices_are_sorted', slot: 5, kind: 'bool', initial: 0 },
    ],
    StablehloTransposeOptions: [{ name: 'permutation', slot: 0, kind: '[i64]' }],
    StablehloDotGeneralOptions: [
      { name: 'lhs_batching_dimensions', slot: 0, kind: '[i64]' },
      { name: 'rhs_batching_dimensions', slot: 1, kind: '[i64]' },
      { name: 'lhs_contracting_dimensions', slot: 2, kind: '[i64]' },
      { name: 'rhs_contracting_dimensions', slot: 3, kind: '[i64]' },
      { name: 'precision_config', slot: 4, kind: '[u32]' },
    ],
    StablehloReduceWindowOptions: [
      { name: 'window_dimensions', slot: 0, kind: '[i64]' },
      { name: 'window_strides', slot: 1, kind: '[i64]' },
      { name: 'base_dilations', slot: 2, kind: '[i64]' },
      { name: 'window_dilations', slot: 3, kind: '[i64]' },
      { name: 'padding', slot: 4, kind: '[i64]' },
      { name: 'body_subgraph_index', slot: 5, kind: 'i32', initial: 0 },
    ],
    StablehloWhileOptions: [
      { name: 'cond_subgraph_index', slot: 0, kind: 'i32', initial: 0 },
      { name: 'body_subgraph_index', slot: 1, kind: 'i32', initial: 0 },
    ],
    StablehloSortOptions: [
      { name: 'dimension', slot: 0, kind: 'i64', initial: 0 },
      { name: 'is_stable', slot: 1, kind: 'bool', initial: 0 },
      { name: 'comparator_subgraph_index', slot: 2, kind: 'i32', initial: 0 },
    ],
    StablehloConcatenateOptions: [{ name: 'dimension', slot: 0, kind: 'i64', initial: 0 }],
    StablehloBroadcastInDimOptions: [{ name: 'broadcast_dimensions', slot: 0, kind: '[i64]' }],
    StablehloCompareOptions: [
      { name: 'comparison_direction', slot: 0, kind: 'u32', initial: 0 },
      { name: 'compare_type', slot: 1, kind: 'u32', initial: 0 },
    ],
    StablehloDynamicSliceOptions: [{ name: 'slice_sizes', slot: 0, kind: '[i64]' }],
    StablehloPadOptions: [
      { name: 'edge_padding_low', slot: 0, kind: '[i64]' },
      { name: 'edge_padding_high', slot: 1, kind: '[i64]' },
      { name: 'interior_padding', slot: 2, kind: '[i64]' },
    ],
    StablehloIotaOptions: [{ name: 'iota_dimension', slot: 0, kind: 'i64', initial: 0 }],
    StablehloCustomCallOptions: [
      { name: 'call_target_name', slot: 0, kind: 'string' },
      { name: 'has_side_effect', slot: 1, kind: 'bool', initial: 0 },
      { name: 'backend_config', slot: 2, kind: 'string' },
      { name: 'api_version', slot: 3, kind: 'i32', initial: 0 },
      { name: 'called_computations', slot: 4, kind: '[i32]' },
      { name: 'custom_attributes', slot: 5, kind: '[u8]' },
    ],
    StablehloReduceOptions: [
      { name: 'dimensions', slot: 0, kind: '[i64]' },
      { name: 'body_subgraph_index', slot: 1, kind: 'i32', initial: 0 },
    ],
    StablehloSliceOptions: [
      { name: 'start_indices', slot: 0, kind: '[i64]' },
      { name: 'limit_indices', slot: 1, kind: '[i64]' },
      { name: 'strides', slot: 2, kind: '[i64]' },
    ],
    StablehloConvolutionOptions: [
      { name: 'window_strides', slot: 0, kind: '[i64]' },
      { name: 'padding', slot: 1, kind: '[i64]' },
      { name: 'lhs_dilation', slot: 2, kind: '[i64]' },
      { name: 'rhs_dilation', slot: 3, kind: '[i64]' },
      { name: 'window_reversal', slot: 4, kind: '[bool]' },
      { name: 'input_batch_dimension', slot: 5, kind: 'i64', initial: 0 },
      { name: 'input_feature_dimension', slot: 6, kind: 'i64', initial: 0 },
      { name: 'input_spatial_dimensions', slot: 7, kind: '[i64]' },
      { name: 'kernel_input_feature_dimension', slot: 8, kind: 'i64', initial: 0 },
      { name: 'kernel_output_feature_dimension', slot: 9, kind: 'i64', initial: 0 },
      { name: 'kernel_spatial_dimensions', slot: 10, kind: '[i64]' },
      { name: 'output_batch_dimension', slot: 11, kind: 'i64', initial: 0 },
      { name: 'output_feature_dimension', slot: 12, kind: 'i64', initial: 0 },
      { name: 'output_spatial_dimensions', slot: 13, kind: '[i64]' },
      { name: 'feature_group_count', slot: 14, kind: 'i64', initial: 0 },
      { name: 'batch_group_count', slot: 15, kind: 'i64', initial: 0 },
      { name: 'precision_config', slot: 16, kind: '[u32]' },
    ],
    StablehloScatterOptions: [
      { name: 'indices_are_sorted', slot: 0, kind: 'bool', initial: 0 },
      { name: 'update_window_dims', slot: 1, kind: '[i64]' },
      { name: 'inserted_window_dims', slot: 2, kind: '[i64]' },
      { name: 'scatter_dims_to_operand_dims', slot: 3, kind: '[i64]' },
      { name: 'index_vector_dim', slot: 4, kind: 'i64', initial: 0 },
      { name: 'unique_indices', slot: 5, kind: 'bool', initial: 0 },
      { name: 'update_computation_subgraph_index', slot: 6, kind: 'i32', initial: 0 },
    ],
    StablehloCaseOptions: [{ name: 'branch_subgraph_indices', slot: 0, kind: '[i32]' }],
    StablehloRngBitGeneratorOptions: [{ name: 'algorithm', slot: 0, kind: 'i8', initial: 0 }],
    Conv2DOptions: [
      { name: 'padding', slot: 0, kind: 'i8', initial: 0 },
      { name: 'stride_w', slot: 1, kind: 'i32', initial: 0 },
      { name: 'stride_h', slot: 2, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 3, kind: 'i8', initial: 0 },
      { name: 'dilation_w_factor', slot: 4, kind: 'i32', initial: 1 },
      { name: 'dilation_h_factor', slot: 5, kind: 'i32', initial: 1 },
      { name: 'quantized_bias_type', slot: 6, kind: 'i8', initial: 0 },
    ],
    Conv3DOptions: [
      { name: 'padding', slot: 0, kind: 'i8', initial: 0 },
      { name: 'stride_d', slot: 1, kind: 'i32', initial: 0 },
      { name: 'stride_w', slot: 2, kind: 'i32', initial: 0 },
      { name: 'stride_h', slot: 3, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 4, kind: 'i8', initial: 0 },
      { name: 'dilation_d_factor', slot: 5, kind: 'i32', initial: 1 },
      { name: 'dilation_w_factor', slot: 6, kind: 'i32', initial: 1 },
      { name: 'dilation_h_factor', slot: 7, kind: 'i32', initial: 1 },
    ],
    Pool2DOptions: [
      { name: 'padding', slot: 0, kind: 'i8', initial: 0 },
      { name: 'stride_w', slot: 1, kind: 'i32', initial: 0 },
      { name: 'stride_h', slot: 2, kind: 'i32', initial: 0 },
      { name: 'filter_width', slot: 3, kind: 'i32', initial: 0 },
      { name: 'filter_height', slot: 4, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 5, kind: 'i8', initial: 0 },
    ],
    DepthwiseConv2DOptions: [
      { name: 'padding', slot: 0, kind: 'i8', initial: 0 },
      { name: 'stride_w', slot: 1, kind: 'i32', initial: 0 },
      { name: 'stride_h', slot: 2, kind: 'i32', initial: 0 },
      { name: 'depth_multiplier', slot: 3, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 4, kind: 'i8', initial: 0 },
      { name: 'dilation_w_factor', slot: 5, kind: 'i32', initial: 1 },
      { name: 'dilation_h_factor', slot: 6, kind: 'i32', initial: 1 },
    ],
    ConcatEmbeddingsOptions: [
      { name: 'num_channels', slot: 0, kind: 'i32', initial: 0 },
      { name: 'num_columns_per_channel', slot: 1, kind: '[i32]' },
      { name: 'embedding_dim_per_channel', slot: 2, kind: '[i32]' },
    ],
    LSHProjectionOptions: [{ name: 'type', slot: 0, kind: 'i8', initial: 0 }],
    SVDFOptions: [
      { name: 'rank', slot: 0, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 1, kind: 'i8', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 2, kind: 'bool', initial: 0 },
    ],
    RNNOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 1, kind: 'bool', initial: 0 },
    ],
    SequenceRNNOptions: [
      { name: 'time_major', slot: 0, kind: 'bool', initial: 0 },
      { name: 'fused_activation_function', slot: 1, kind: 'i8', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 2, kind: 'bool', initial: 0 },
    ],
    BidirectionalSequenceRNNOptions: [
      { name: 'time_major', slot: 0, kind: 'bool', initial: 0 },
      { name: 'fused_activation_function', slot: 1, kind: 'i8', initial: 0 },
      { name: 'merge_outputs', slot: 2, kind: 'bool', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 3, kind: 'bool', initial: 0 },
    ],
    FullyConnectedOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'weights_format', slot: 1, kind: 'i8', initial: 0 },
      { name: 'keep_num_dims', slot: 2, kind: 'bool', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 3, kind: 'bool', initial: 0 },
      { name: 'quantized_bias_type', slot: 4, kind: 'i8', initial: 0 },
    ],
    SoftmaxOptions: [{ name: 'beta', slot: 0, kind: 'f32', initial: 0 }],
    ConcatenationOptions: [
      { name: 'axis', slot: 0, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 1, kind: 'i8', initial: 0 },
    ],
    AddOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'pot_scale_int16', slot: 1, kind: 'bool', initial: 1 },
    ],
    MulOptions: [{ name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 }],
    L2NormOptions: [{ name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 }],
    LocalResponseNormalizationOptions: [
      { name: 'radius', slot: 0, kind: 'i32', initial: 0 },
      { name: 'bias', slot: 1, kind: 'f32', initial: 0 },
      { name: 'alpha', slot: 2, kind: 'f32', initial: 0 },
      { name: 'beta', slot: 3, kind: 'f32', initial: 0 },
    ],
    LSTMOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'cell_clip', slot: 1, kind: 'f32', initial: 0 },
      { name: 'proj_clip', slot: 2, kind: 'f32', initial: 0 },
      { name: 'kernel_type', slot: 3, kind: 'i8', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 4, kind: 'bool', initial: 0 },
    ],
    UnidirectionalSequenceLSTMOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'cell_clip', slot: 1, kind: 'f32', initial: 0 },
      { name: 'proj_clip', slot: 2, kind: 'f32', initial: 0 },
      { name: 'time_major', slot: 3, kind: 'bool', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 4, kind: 'bool', initial: 0 },
      { name: 'diagonal_recurrent_tensors', slot: 5, kind: 'bool', initial: 0 },
    ],
    BidirectionalSequenceLSTMOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'cell_clip', slot: 1, kind: 'f32', initial: 0 },
      { name: 'proj_clip', slot: 2, kind: 'f32', initial: 0 },
      { name: 'merge_outputs', slot: 3, kind: 'bool', initial: 0 },
      { name: 'time_major', slot: 4, kind: 'bool', initial: 1 },
      { name: 'asymmetric_quantize_inputs', slot: 5, kind: 'bool', initial: 0 },
    ],
    ResizeBilinearOptions: [
      { name: 'align_corners', slot: 2, kind: 'bool', initial: 0 },
      { name: 'half_pixel_centers', slot: 3, kind: 'bool', initial: 0 },
    ],
    ResizeNearestNeighborOptions: [
      { name: 'align_corners', slot: 0, kind: 'bool', initial: 0 },
      { name: 'half_pixel_centers', slot: 1, kind: 'bool', initial: 0 },
    ],
    CallOptions: [{ name: 'subgraph', slot: 0, kind: 'u32', initial: 0 }],
    PadOptions: [],
    PadV2Options: [],
    ReshapeOptions: [{ name: 'new_shape', slot: 0, kind: '[i32]' }],
    SpaceToBatchNDOptions: [],
    BatchToSpaceNDOptions: [],
    SkipGramOptions: [
      { name: 'ngram_size', slot: 0, kind: 'i32', initial: 0 },
      { name: 'max_skip_size', slot: 1, kind: 'i32', initial: 0 },
      { name: 'include_all_ngrams', slot: 2, kind: 'bool', initial: 0 },
    ],
    SpaceToDepthOptions: [{ name: 'block_size', slot: 0, kind: 'i32', initial: 0 }],
    DepthToSpaceOptions: [{ name: 'block_size', slot: 0, kind: 'i32', initial: 0 }],
    SubOptions: [
      { name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 },
      { name: 'pot_scale_int16', slot: 1, kind: 'bool', initial: 1 },
    ],
    DivOptions: [{ name: 'fused_activation_function', slot: 0, kind: 'i8', initial: 0 }],
    TopKV2Options: [],
    EmbeddingLookupSparseOptions: [{ name: 'combiner', slot: 0, kind: 'i8', initial: 0 }],
    GatherOptions: [
      { name: 'axis', slot: 0, kind: 'i32', initial: 0 },
      { name: 'batch_dims', slot: 1, kind: 'i32', initial: 0 },
    ],
    TransposeOptions: [],
    ExpOptions: [],
    CosOptions: [],
    ReducerOptions: [{ name: 'keep_dims', slot: 0, kind: 'bool', initial: 0 }],
    SqueezeOptions: [{ name: 'squeeze_dims', slot: 0, kind: '[i32]' }],
    SplitOptions: [{ name: 'num_splits', slot: 0, kind: 'i32', initial: 0 }],
    SplitVOptions: [{ name: 'num_splits', slot: 0, kind: 'i32', initial: 0 }],
    StridedSliceOptions: [
      { name: 'begin_mask', slot: 0, kind: 'i32', initial: 0 },
      { name: 'end_mask', slot: 1, kind: 'i32', initial: 0 },
      { name: 'ellipsis_mask', slot: 2, kind: 'i32', initial: 0 },
      { name: 'new_axis_mask', slot: 3, kind: 'i32', initial: 0 },
      { name: 'shrink_axis_mask', slot: 4, kind: 'i32', initial: 0 },
      { name: 'offset', slot: 5, kind: 'bool', initial: 0 },
    ],
    LogSoftmaxOptions: [],
    CastOptions: [
      { name: 'in_data_type', slot: 0, kind: 'i8', initial: 0 },
      { name: 'out_data_type', slot: 1, kind: 'i8', initial: 0 },
    ],
    DequantizeOptions: [],
    MaximumMinimumOptions: [],
    TileOptions: [],
    ArgMaxOptions: [{ name: 'output_type', slot: 0, kind: 'i8', initial: 0 }],
    ArgMinOptions: [{ name: 'output_type', slot: 0, kind: 'i8', initial: 0 }],
    GreaterOptions: [],
    GreaterEqualOptions: [],
    LessOptions: [],
    LessEqualOptions: [],
    NegOptions: [],
    SelectOptions: [],
    SliceOptions: [],
    TransposeConvOptions: [
      { name: 'padding', slot: 0, kind: 'i8', initial: 0 },
      { name: 'stride_w', slot: 1, kind: 'i32', initial: 0 },
      { name: 'stride_h', slot: 2, kind: 'i32', initial: 0 },
      { name: 'fused_activation_function', slot: 3, kind: 'i8', initial: 0 },
      { name: 'quantized_bias_type', slot: 4, kind: 'i8', initial: 0 },
    ],
    ExpandDimsOptions: [],
    SparseToDenseOptions: [{ name: 'validate_indices', slot: 0, kind: 'bool', initial: 0 }],
    EqualOptions: [],
    NotEqualOptions: [],
    ShapeOptions: [{ name: 'out_type', slot: 0, kind: 'i8', initial: 0 }],
    RankOptions: [],
    PowOptions: [],
    FakeQuantOptions: [
      { name: 'min', slot: 0, kind: 'f32', initial: 0 },
      { name: 'max', slot: 1, kind: 'f32', initial: 0 },
      { name: 'num_bits', slot: 2, kind: 'i32', initial: 0 },
      { name: 'narrow_range', slot: 3, kind: 'bool', initial: 0 },
    ],
    PackOptions: [
      { name: 'values_count', slot: 0, kind: 'i32', initial: 0 },
      { name: 'axis', slot: 1, kind: 'i32', initial: 0 },
    ],
    LogicalOrOptions: [],
    OneHotOptions: [{ name: 'axis', slot: 0, kind: 'i32', initial: 0 }],
    AbsOptions: [],
    HardSwishOptions: [],
    LogicalAndOptions: [],
    LogicalNotOptions: [],
    UnpackOptions: [
      { name: 'num', slot: 0, kind: 'i32', initial: 0 },
      { name: 'axis', slot: 1, kind: 'i32', initial: 0 },
    ],
    FloorDivOptions: [],
    SquareOptions: [],
    ZerosLikeOptions: [],
    FillOptions: [],
    FloorModOptions: [],
    RangeOptions: [],
    LeakyReluOptions: [{ name: 'alpha', slot: 0, kind: 'f32', initial: 0 }],
    SquaredDifferenceOptions: [],
    MirrorPadOptions: [{ name: 'mode', slot: 0, kind: 'i8', initial: 0 }],
    UniqueOptions: [{ name: 'idx_out_type', slot: 0, kind: 'i8', initial: 2 }],
    ReverseV2Options: [],
    AddNOptions: [],
    GatherNdOptions: [],
    WhereOptions: [],
    ReverseSequenceOptions: [
      { name: 'seq_dim', slot: 0, kind: 'i32', initial: 0 },
      { name: 'batch_dim', slot: 1, kind: 'i32', initial: 0 },
    ],
    MatrixDiagOptions: [],
    QuantizeOptions: [],
    MatrixSetDiagOptions: [],
    IfOptions: [
      { name: 'then_subgraph_index', slot: 0, kind: 'i32', initial: 0 },
      { name: 'else_subgraph_index', slot: 1, kind: 'i32', initial: 0 },
    ],
    CallOnceOptions: [{ name: 'init_subgraph_index', slot: 0, kind: 'i32', initial: 0 }],
    WhileOptions: [
      { name: 'cond_subgraph_index', slot: 0, kind: 'i32', initial: 0 },
      { name: 'body_subgraph_index', slot: 1, kind: 'i32', initial: 0 },
    ],
    NonMaxSuppressionV4Options: [],
    NonMaxSuppressionV5Options: [],
    ScatterNdOptions: [],
    SelectV2Options: [],
    DensifyOptions: [],
    SegmentSumOptions: [],
    BatchMatMulOptions: [
      { name: 'adj_x', slot: 0, kind: 'bool', initial: 0 },
      { name: 'adj_y', slot: 1, kind: 'bool', initial: 0 },
      { name: 'asymmetric_quantize_inputs', slot: 2, kind: 'bool', initial: 0 },
    ],
    CumsumOptions: [
      { name: 'exclusive', slot: 0, kind: 'bool', initial: 0 },
      { name: 'reverse', slot: 1, kind: 'bool', initial: 0 },
    ],
    BroadcastToOptions: [],
    Rfft2dOptions: [],
    HashtableOptions: [
      { name: 'table_id', slot: 0, kind: 'i32', initial: 0 },
      { name: 'key_dtype', slot: 1, kind: 'i8', initial: 0 },
      { name: 'value_dtype', slot: 2, kind: 'i8', initial: 0 },
    ],
    HashtableFindOptions: [],
    HashtableImportOptions: [],
    HashtableSizeOptions: [],
    VarHandleOptions: [
      { name: 'container', slot: 0, kind: 'string' },
      { name: 'shared_name', slot: 1, kind: 'string' },
    ],
    ReadVariableOptions: [],
    AssignVariableOptions: [],
    RandomOptions: [
      { name: 'seed', slot: 0, kind: 'i64', initial: 0 },
      { name: 'seed2', slot: 1, kind: 'i64', initial: 0 },
    ],
    BucketizeOptions: [{ name: 'boundaries', slot: 0, kind: '[f32]' }],
    GeluOptions: [{ name: 'approximate', slot: 0, kind: 'bool', initial: 0 }],
    DynamicUpdateSliceOptions: [],
    UnsortedSegmentProdOptions: [],
    UnsortedSegmentMaxOptions: [],
    UnsortedSegmentSumOptions: [],
    ATan2Options: [],
    UnsortedSegmentMinOptions: [],
    SignOptions: [],
    BitcastOptions: [],
    BitwiseXorOptions: [],
    RightShiftOptions: [],
    DilateOptions: [],
    ReduceWindowOptions: [{ name: 'reduce_function', slot: 0, kind: 'i32', initial: 0 }],
    OperatorCode: [
      { name: 'deprecated_builtin_code', slot: 0, kind: 'i8', initial: 0 },
      { name: 'custom_code', slot: 1, kind: 'string' },
      { name: 'version', slot: 2, kind: 'i32', initial: 1 },
      { name: 'builtin_code', slot: 3, kind: 'i32', initial: 0 },
    ],
    StableHLOCompositeOptions: [
      { name: 'name', slot: 0, kind: 'string' },
      { name: 'decomposition_subgraph_index', slot: 1, kind: 'i32', initial: 0 },
      { name: 'composite_attributes', slot: 2, kind: '[u8]' },
      { name: 'composite_attributes_format', slot: 3, kind: 'i8', initial: 0 },
      { name: 'version', slot: 4, kind: 'i32', initial: 0 },
    ],
    StablehloShiftLeftOptions: [],
    Operator: [
      { name: 'opcode_index', slot: 0, kind: 'u32', initial: 0 },
      { name: 'inputs', slot: 1, kind: '[i32]' },
      { name: 'outputs', slot: 2, kind: '[i32]' },
      { name: 'builtin_options', slot: 3, kind: 'union', union: 'BuiltinOptions' },
      { name: 'custom_options', slot: 5, kind: '[u8]' },
      { name: 'custom_options_format', slot: 6, kind: 'i8', initial: 0 },
      { name: 'mutating_variable_inputs', slot: 7, kind: '[bool]' },
      { name: 'intermediates', slot: 8, kind: '[i32]' },
      { name: 'large_custom_options_offset', slot: 9, kind: 'u64', initial: 0 },
      { name: 'large_custom_options_size', slot: 10, kind: 'u64', initial: 0 },
      { name: 'builtin_options_2', slot: 11, kind: 'union', union: 'BuiltinOptions2' },
      { name: 'debug_metadata_index', slot: 13, kind: 'i32', initial: -1 },
    ],
    SubGraph: [
      { name: 'tensors', slot: 0, kind: '[Tensor]' },
      { name: 'inputs', slot: 1, kind: '[i32]' },
      { name: 'outputs', slot: 2, kind: '[i32]' },
      { name: 'operators', slot: 3, kind: '[Operator]' },
      { name: 'name', slot: 4, kind: 'string' },
      { name: 'debug_metadata_index', slot: 5, kind: 'i32', initial: -1 },
    ],
    Buffer: [
      { name: 'data', slot: 0, kind: '[u8]' },
      { name: 'offset', slot: 1, kind: 'u64', initial: 0 },
      { name: 'size', slot: 2, kind: 'u64', initial: 0 },
    ],
    ExternalBufferGroup: [{ name: 'name', slot: 0, kind: 'string' }],
    ExternalBuffer: [
      { name: 'id', slot: 0, kind: 'u32', initial: 0 },
      { name: 'group', slot: 1, kind: 'u32', initial: 0 },
      { name: 'offset', slot: 2, kind: 'u64', initial: 0 },
      { name: 'length', slot: 3, kind: 'u64', initial: 0 },
      { name: 'packing', slot: 4, kind: 'string' },
    ],
    Metadata: [
      { name: 'name', slot: 0, kind: 'string' },
      { name: 'buffer', slot: 1, kind: 'u32', initial: 0 },
    ],
    TensorMap: [
      { name: 'name', slot: 0, kind: 'string' },
      { name: 'tensor_index', slot: 1, kind: 'u32', initial: 0 },
    ],
    SignatureDef: [
      { name: 'inputs', slot: 0, kind: '[TensorMap]' },
      { name: 'outputs', slot: 1, kind: '[TensorMap]' },
      { name: 'signature_key', slot: 2, kind: 'string' },
      { name: 'subgraph_index', slot: 4, kind: 'u32', initial: 0 },
    ],
    Model: [
      { name: 'version', slot: 0, kind: 'u32', initial: 0 },
      { name: 'operator_codes', slot: 1, kind: '[OperatorCode]' },
      { name: 'subgraphs', slot: 2, kind: '[SubGraph]' },
      { name: 'description', slot: 3, kind: 'string' },
      { name: 'buffers', slot: 4, kind: '[Buffer]' },
      { name: 'metadata_buffer', slot: 5, kind: '[i32]' },
      { name: 'metadata', slot: 6, kind: '[Metadata]' },
      { name: 'signature_defs', slot: 7, kind: '[SignatureDef]' },
      { name: 'external_buffer_groups', slot: 8, kind: '[ExternalBufferGroup]' },
      { name: 'external_buffers', slot: 9, kind: '[ExternalBuffer]' },
    ],
  },
  unions: {
    QuantizationDetails: ['CustomQuantization', 'BlockwiseQuantization', 'MultiAxisQuantization'],
    SparseIndexVector: ['Int32Vector', 'Uint16Vector', 'Uint8Vector'],
    BuiltinOptions: [
      'Conv2DOptions',
      'DepthwiseConv2DOptions',
      'ConcatEmbeddingsOptions',
      'LSHProjectionOptions',
      'Pool2DOptions',
      'SVDFOptions',
      'RNNOptions',
      'FullyConnectedOptions',
      'SoftmaxOptions',
      'ConcatenationOptions',
      'AddOptions',
      'L2NormOptions',
      'LocalResponseNormalizationOptions',
      'LSTMOptions',
      'ResizeBilinearOptions',
      'CallOptions',
      'ReshapeOptions',
      'SkipGramOptions',
      'SpaceToDepthOptions',
      'EmbeddingLookupSparseOptions',
      'MulOptions',
      'PadOptions',
      'GatherOptions',
      'BatchToSpaceNDOptions',
      'SpaceToBatchNDOptions',
      'TransposeOptions',
      'ReducerOptions',
      'SubOptions',
      'DivOptions',
      'SqueezeOptions',
      'SequenceRNNOptions',
      'StridedSliceOptions',
      'ExpOptions',
      'TopKV2Options',
      'SplitOptions',
      'LogSoftmaxOptions',
      'CastOptions',
      'DequantizeOptions',
      'MaximumMinimumOptions',
      'ArgMaxOptions',
      'LessOptions',
      'NegOptions',
      'PadV2Options',
      'GreaterOptions',
      'GreaterEqualOptions',
      'LessEqualOptions',
      'SelectOptions',
      'SliceOptions',
      'TransposeConvOptions',
      'SparseToDenseOptions',
      'TileOptions',
      'ExpandDimsOptions',
      'EqualOptions',
      'NotEqualOptions',
      'ShapeOptions',
      'PowOptions',
      'ArgMinOptions',
      'FakeQuantOptions',
      'PackOptions',
      'LogicalOrOptions',
      'OneHotOptions',
      'LogicalAndOptions',
      'LogicalNotOptions',
      'UnpackOptions',
      'FloorDivOptions',
      'SquareOptions',
      'ZerosLikeOptions',
      'FillOptions',
      'BidirectionalSequenceLSTMOptions',
      'BidirectionalSequenceRNNOptions',
      'UnidirectionalSequenceLSTMOptions',
      'FloorModOptions',
      'RangeOptions',
      'ResizeNearestNeighborOptions',
      'LeakyReluOptions',
      'SquaredDifferenceOptions',
      'MirrorPadOptions',
      'AbsOptions',
      'SplitVOptions',
      'UniqueOptions',
      'ReverseV2Options',
      'AddNOptions',
      'GatherNdOptions',
      'CosOptions',
      'WhereOptions',
      'RankOptions',
      'ReverseSequenceOptions',
      'MatrixDiagOptions',
      'QuantizeOptions',
      'MatrixSetDiagOptions',
      'HardSwishOptions',
      'IfOptions',
      'WhileOptions',
      'DepthToSpaceOptions',
      'NonMaxSuppressionV4Options',
      'NonMaxSuppressionV5Options',
      'ScatterNdOptions',
      'SelectV2Options',
      'DensifyOptions',
      'SegmentSumOptions',
      'BatchMatMulOptions',
      'CumsumOptions',
      'CallOnceOptions',
      'BroadcastToOptions',
      'Rfft2dOptions',
      'Conv3DOptions',
      'HashtableOptions',
      'HashtableFindOptions',
      'HashtableImportOptions',
      'HashtableSizeOptions',
      'VarHandleOptions',
      'ReadVariableOptions',
      'AssignVariableOptions',
      'RandomOptions',
      'BucketizeOptions',
      'GeluOptions',
      'DynamicUpdateSliceOptions',
      'UnsortedSegmentProdOptions',
      'UnsortedSegmentMaxOptions',
      'UnsortedSegmentMinOptions',
      'UnsortedSegmentSumOptions',
      'ATan2Options',
      'SignOptions',
      'BitcastOptions',
      'BitwiseXorOptions',
      'RightShiftOptions',
    ],
    BuiltinOptions2: [
      'StablehloConcatenateOptions',
      'StablehloBroadcastInDimOptions',
      'StablehloSliceOptions',
      'StablehloConvolutionOptions',
      'StablehloCustomCallOptions',
      'StablehloReduceOptions',
      'StablehloScatterOptions',
      'StablehloCompareOptions',
      'StablehloDynamicSliceOptions',
      'StablehloPadOptions',
      'StablehloIotaOptions',
      'StablehloDotGeneralOptions',
      'StablehloReduceWindowOptions',
      'StablehloSortOptions',
      'StablehloWhileOptions',
      'StablehloGatherOptions',
      'StablehloTransposeOptions',
      'DilateOptions',
      'StablehloRngBitGeneratorOptions',
      'ReduceWindowOptions',
      'StableHLOCompositeOptions',
      'StablehloShiftLeftOptions',
      'StablehloCaseOptions',
    ],
  },
}
