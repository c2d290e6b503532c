"""Makes operators.npz: one-operator TensorFlow Lite files with LiteRT's answers.

    python -m venv E && E/bin/pip install ai-edge-litert==2.3.0 numpy && E/bin/python operators.py

Arrays: NAME.model (the file's bytes), NAME.in0 …, NAME.out0 … (by the reference kernels, the built-in ones where those lack it).
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as S
from ai_edge_litert.interpreter import Interpreter, OpResolverType

rng = np.random.default_rng(11)
types = {np.float32: 0, np.int32: 2, np.uint8: 3, np.int64: 4, np.bool_: 6, np.int16: 7, np.int8: 9}
B = S.BuiltinOperator
arrays = {}


def f(*shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def i(*values):
    return np.array(values, np.int32)


class Const:
    """An input that lies in the file."""

    def __init__(self, value):
        self.value = np.asarray(value)


class Q:
    """Integers with a scale (or one a channel) and a zero point. An input, or as `out` what an output is."""

    def __init__(self, dtype, shape, scale, zero, axis=0, constant=False, low=None, high=None, state=False):
        self.dtype, self.scale, self.zero, self.axis = np.dtype(dtype), np.atleast_1d(scale), zero, axis
        self.constant, self.state = constant or state, state
        info = np.iinfo(dtype)
        low, high = (info.min if low is None else low), (info.max if high is None else high)
        self.value = None if shape is None else rng.integers(low, high, shape, endpoint=True).astype(dtype)


def out(dtype, scale, zero):
    return Q(dtype, None, scale, zero)


def build(op, inputs, options, outputs, version, shapes, custom=None, inner=()):
    m = S.ModelT()
    m.version = 3
    code = S.OperatorCodeT()
    code.builtinCode = op
    code.deprecatedBuiltinCode = min(op, 127)
    code.version = version
    m.operatorCodes = [code]
    m.buffers = [S.BufferT()]
    g = S.SubGraphT()
    g.tensors = []
    g.name = b"main"

    def add(name, dtype, shape, value=None, q=None):
        t = S.TensorT()
        t.name = name.encode()
        t.type = types[np.dtype(dtype).type]
        t.shape = np.array(shape, np.int32)
        t.buffer = 0
        if value is not None:
            b = S.BufferT()
            b.data = np.frombuffer(value.tobytes(), np.uint8)
            m.buffers.append(b)
            t.buffer = len(m.buffers) - 1
        if q is not None:
            t.quantization = S.QuantizationParametersT()
            t.quantization.scale = q.scale.astype(np.float32)
            t.quantization.zeroPoint = np.full(len(q.scale), q.zero, np.int64)
            t.quantization.quantizedDimension = q.axis
        g.tensors.append(t)
        return len(g.tensors) - 1

    ids, graph_inputs = [], []
    for k, x in enumerate(inputs):
        if x is None:
            ids.append(-1)
        elif isinstance(x, Q):
            ids.append(add(f"q{k}", x.dtype, x.value.shape, x.value if x.constant and not x.state else None, x))
            g.tensors[-1].isVariable = x.state
            if not x.constant:
                graph_inputs.append(ids[-1])
        elif isinstance(x, Const):
            ids.append(add(f"c{k}", x.value.dtype, x.value.shape, x.value))
        else:
            ids.append(add(f"x{k}", x.dtype, x.shape))
            graph_inputs.append(ids[-1])
    outs = [
        add(f"y{k}", d.dtype if isinstance(d, Q) else d, shapes[k] if shapes else [], None, d if isinstance(d, Q) else None)
        for k, d in enumerate(outputs)
    ]
    o = S.OperatorT()
    o.opcodeIndex = 0
    o.inputs = np.array(ids, np.int32)
    o.outputs = np.array(outs, np.int32)
    if inner:
        o.intermediates = np.array([add(f"i{k}", d.dtype, [], None, d) for k, d in enumerate(inner)], np.int32)
    if options is not None:
        o.builtinOptions = options
        o.builtinOptionsType = getattr(S.BuiltinOptions, type(options).__name__[:-1])
    g.operators = [o]
    g.inputs = np.array(graph_inputs, np.int32)
    g.outputs = np.array(outs, np.int32)
    m.subgraphs = [g]
    b = flatbuffers.Builder(4096)
    b.Finish(m.Pack(b), b"TFL3")
    return bytes(b.Output())


def run(model, inputs, resolver):
    it = Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
    it.allocate_tensors()
    for d, x in zip(it.get_input_details(), inputs):
        it.set_tensor(d["index"], x)
    it.invoke()
    return [it.get_tensor(d["index"]) for d in it.get_output_details()]


REFERENCE, OPTIMISED = OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def case(name, op, inputs, options=None, outputs=(np.float32,), version=1, kernels=(REFERENCE, OPTIMISED), inner=(), **fields):
    if options is not None:
        options = options()
        for k, v in fields.items():
            assert hasattr(options, k), (name, k)
            setattr(options, k, v)
    fed = [
        x.value if isinstance(x, Q) else x
        for x in inputs
        if x is not None and not isinstance(x, Const) and not (isinstance(x, Q) and x.constant)
    ]
    for resolver in kernels:
        try:
            made = run(build(op, inputs, options, outputs, version, None, inner=inner), fed, resolver)
            break
        except Exception as e:
            error = e
    else:
        print("skipped", name, str(error)[:100].replace("\n", " "))
        return
    model = build(op, inputs, options, outputs, version, [y.shape for y in made], inner=inner)
    arrays[f"{name}.model"] = np.frombuffer(model, np.uint8)
    for k, x in enumerate(fed):
        arrays[f"{name}.in{k}"] = x
    for k, y in enumerate(made):
        arrays[f"{name}.out{k}"] = y


x34, x4, img = f(3, 4), f(4), f(2, 5, 6, 3)
for name in "ABS NEG CEIL FLOOR ROUND EXP SQUARE SIN COS TANH LOGISTIC RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 ELU HARD_SWISH SIGN".split():
    case(name.lower(), getattr(B, name), [f(3, 4, low=-7, high=7)])
for name in "LOG SQRT RSQRT".split():
    case(name.lower(), getattr(B, name), [f(3, 4, low=0.1, high=7)])
case("gelu", B.GELU, [x34 * 2], S.GeluOptionsT)
case("gelu_tanh", B.GELU, [x34 * 2], S.GeluOptionsT, approximate=True)
case("leaky_relu", B.LEAKY_RELU, [x34], S.LeakyReluOptionsT, alpha=0.2)
case("prelu", B.PRELU, [img, Const(f(1, 1, 3))])
for name, opt in [("ADD", S.AddOptionsT), ("SUB", S.SubOptionsT), ("MUL", S.MulOptionsT), ("DIV", S.DivOptionsT)]:
    case(f"{name.lower()}_broadcast", getattr(B, name), [x34, f(4, low=0.5)], opt)
    for act, code in [("relu", 1), ("relu_n1_to_1", 2), ("relu6", 3)]:
        case(f"{name.lower()}_{act}", getattr(B, name), [x34 * 5, f(3, 4, low=0.5)], opt, fusedActivationFunction=code)
case("add_int32", B.ADD, [i(5, -7, 9), i(1, 2, -3)], S.AddOptionsT, outputs=(np.int32,))
case("div_int32", B.DIV, [i(5, -7, 9), i(2, 2, -4)], S.DivOptionsT, outputs=(np.int32,))
case("floor_div_int32", B.FLOOR_DIV, [i(5, -7, 9), i(2, 2, -4)], outputs=(np.int32,))
case("floor_mod_int32", B.FLOOR_MOD, [i(5, -7, 9), i(2, 2, -4)], outputs=(np.int32,))
case("floor_mod", B.FLOOR_MOD, [f(3, 4), f(3, 4)])
case("maximum", B.MAXIMUM, [x34, x4]); case("minimum", B.MINIMUM, [x34, x4])
case("squared_difference", B.SQUARED_DIFFERENCE, [x34, x4])
case("pow", B.POW, [f(3, 4, low=0.1), x34]); case("atan2", B.ATAN2, [x34, f(3, 4)])
case("add_n", B.ADD_N, [x34, f(3, 4), f(3, 4)])
for name in "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split():
    case(name.lower(), getattr(B, name), [i(1, 2, 3, 4), i(3, 2, 1, 4)], outputs=(np.bool_,))
for name in "LOGICAL_AND LOGICAL_OR".split():
    case(name.lower(), getattr(B, name), [np.array([True, True, False]), np.array([True, False, False])], outputs=(np.bool_,))
case("logical_not", B.LOGICAL_NOT, [np.array([True, False])], outputs=(np.bool_,))
case("bitwise_xor", B.BITWISE_XOR, [i(5, -7), i(3, 12)], outputs=(np.int32,))
case("right_shift", B.RIGHT_SHIFT, [i(5, -7, 100), i(1, 1, 3)], outputs=(np.int32,))
case("select_rows", B.SELECT, [np.array([True, False, True]), x34, f(3, 4)])
case("select_v2", B.SELECT_V2, [np.array([[True], [False], [True]]), x34, x4])
case("cast_to_int", B.CAST, [x34 * 3], S.CastOptionsT, outputs=(np.int32,), inDataType=0, outDataType=2)
case("cast_to_bool", B.CAST, [i(0, 3, -1)], S.CastOptionsT, outputs=(np.bool_,), inDataType=2, outDataType=6)
case("bitcast", B.BITCAST, [i(1, 70000000, 1065353216)], S.BitcastOptionsT)
case("zeros_like", B.ZEROS_LIKE, [x34]); case("rank", B.RANK, [img], outputs=(np.int32,))
case("fake_quant", B.FAKE_QUANT, [x34], S.FakeQuantOptionsT, min=-1.2, max=1.7, numBits=8)

case("reshape_minus_one", B.RESHAPE, [img, Const(i(4, -1, 9))], S.ReshapeOptionsT)
case("squeeze_all", B.SQUEEZE, [f(1, 3, 1, 2)], S.SqueezeOptionsT)
case("squeeze_one", B.SQUEEZE, [f(1, 3, 1, 2)], S.SqueezeOptionsT, squeezeDims=[-2])
case("expand_dims", B.EXPAND_DIMS, [x34, Const(i(-2))], S.ExpandDimsOptionsT)
case("transpose", B.TRANSPOSE, [img, Const(i(0, 3, 1, 2))])
case("concatenation", B.CONCATENATION, [x34, f(2, 4)], S.ConcatenationOptionsT, axis=-2)
case("pack", B.PACK, [x34, f(3, 4)], S.PackOptionsT, axis=-1, valuesCount=2)
case("unpack", B.UNPACK, [x34], S.UnpackOptionsT, outputs=(np.float32,) * 3, axis=0, num=3)
case("split", B.SPLIT, [Const(i(1)[0:1].reshape(())), f(2, 6)], S.SplitOptionsT, outputs=(np.float32,) * 3, numSplits=3)
case("split_v", B.SPLIT_V, [f(2, 6), Const(i(1, -1, 2)), Const(np.int32(1))], S.SplitVOptionsT, outputs=(np.float32,) * 3, numSplits=3)
case("slice", B.SLICE, [img, Const(i(0, 1, 2, 0)), Const(i(1, 3, -1, 2))])
case("slice_computed", B.SLICE, [img, i(0, 1, 2, 0), i(1, 3, -1, 2)])
st = lambda name, x, b, e, s, **k: case(name, B.STRIDED_SLICE, [x, Const(i(*b)), Const(i(*e)), Const(i(*s))], S.StridedSliceOptionsT, **k)
st("strided_slice", img, (0, 1, 5, 0), (2, 5, 0, 3), (1, 2, -2, 1))
st("strided_slice_masks", img, (0, 3, 4, 0), (1, 0, 0, 2), (1, -1, -1, 1), beginMask=2, endMask=6)
st("strided_slice_shrink", img, (1, -1, 0, 0), (2, 0, 6, 3), (1, 1, 1, 2), shrinkAxisMask=3)
st("strided_slice_new_axis", img, (0, 0, 0), (0, 2, 0), (1, 1, 1), newAxisMask=1, ellipsisMask=4)
st("strided_slice_ellipsis", img, (1, 0, 1), (2, 0, 3), (1, 1, 1), shrinkAxisMask=1, ellipsisMask=2)
st("strided_slice_beyond", x34, (-9, 1), (9, 99), (1, 2))
case("pad", B.PAD, [img, Const(np.array([[0, 0], [1, 2], [0, 3], [0, 0]], np.int32))])
case("pad_computed", B.PAD, [img, np.array([[0, 0], [1, 2], [0, 3], [0, 0]], np.int32)])
case("pad_v2", B.PADV2, [x34, Const(np.array([[1, 0], [0, 2]], np.int32)), Const(np.float32(-3))])
case("mirror_reflect", B.MIRROR_PAD, [x34, Const(np.array([[2, 1], [3, 0]], np.int32))], S.MirrorPadOptionsT, mode=0)
case("mirror_symmetric", B.MIRROR_PAD, [x34, Const(np.array([[3, 1], [4, 0]], np.int32))], S.MirrorPadOptionsT, mode=1)
case("tile", B.TILE, [x34, Const(i(2, 3))]); case("broadcast_to", B.BROADCAST_TO, [f(3, 1), Const(i(2, 3, 4))], version=2)
case("fill", B.FILL, [Const(i(2, 3)), np.float32(7)]); case("range", B.RANGE, [np.int32(2), np.int32(11), np.int32(3)], outputs=(np.int32,))
case("shape", B.SHAPE, [img], S.ShapeOptionsT, outputs=(np.int32,), outType=2)
case("shape_int64", B.SHAPE, [img], S.ShapeOptionsT, outputs=(np.int64,), outType=4)
case("reverse", B.REVERSE_V2, [img, Const(i(1))])
case("reverse_sequence", B.REVERSE_SEQUENCE, [f(3, 4, 2), i(2, 4, 1)], S.ReverseSequenceOptionsT, seqDim=1, batchDim=0)
case("gather", B.GATHER, [img, i(2, 0, 4)], S.GatherOptionsT, axis=1)
case("gather_batch", B.GATHER, [f(2, 4, 3), np.array([[1, 3], [0, 0]], np.int32)], S.GatherOptionsT, axis=1, batchDims=1)
case("gather_nd", B.GATHER_ND, [img, np.array([[0, 1], [1, 4]], np.int32)])
case("embedding_lookup", B.EMBEDDING_LOOKUP, [i(2, 0), Const(x34)])
case("depth_to_space", B.DEPTH_TO_SPACE, [f(1, 2, 3, 8)], S.DepthToSpaceOptionsT, blockSize=2)
case("space_to_depth", B.SPACE_TO_DEPTH, [f(1, 4, 6, 2)], S.SpaceToDepthOptionsT, blockSize=2)
case("space_to_batch", B.SPACE_TO_BATCH_ND, [f(2, 3, 6, 2), Const(i(2, 3)), Const(np.array([[1, 0], [0, 3]], np.int32))])
case("batch_to_space", B.BATCH_TO_SPACE_ND, [f(12, 2, 3, 2), Const(i(2, 3)), Const(np.array([[1, 0], [0, 2]], np.int32))])
case("one_hot", B.ONE_HOT, [i(1, 0, 5), Const(np.int32(4)), Const(np.float32(2)), Const(np.float32(-1))], S.OneHotOptionsT, axis=-1)
case("one_hot_first", B.ONE_HOT, [i(1, 0, 5), Const(np.int32(4)), Const(np.float32(2)), Const(np.float32(-1))], S.OneHotOptionsT, axis=0)
case("top_k", B.TOPK_V2, [f(3, 7), Const(np.int32(3))], outputs=(np.float32, np.int32))
case("scatter_nd", B.SCATTER_ND, [np.array([[1], [3], [1]], np.int32), f(3, 2), Const(i(5, 2))])
case("sparse_to_dense", B.SPARSE_TO_DENSE, [Const(np.array([[0, 1], [2, 3]], np.int32)), Const(i(3, 4)), f(2), Const(np.float32(9))], S.SparseToDenseOptionsT)
case("where", B.WHERE, [np.array([[True, False], [True, True]])], outputs=(np.int64,))

case("conv_same_odd", B.CONV_2D, [f(1, 7, 6, 3), Const(f(4, 3, 2, 3)), Const(f(4))], S.Conv2DOptionsT, padding=0, strideH=2, strideW=3)
case("conv_dilated", B.CONV_2D, [f(1, 9, 8, 2), Const(f(3, 3, 3, 2)), Const(f(3))], S.Conv2DOptionsT, padding=1, strideH=1, strideW=1, dilationHFactor=2, dilationWFactor=3)
case("conv_groups", B.CONV_2D, [f(1, 5, 5, 4), Const(f(6, 3, 3, 2)), Const(f(6))], S.Conv2DOptionsT, padding=0, strideH=1, strideW=1, fusedActivationFunction=1)
case("conv_computed_filter", B.CONV_2D, [f(1, 5, 5, 2), f(3, 3, 3, 2), Const(f(3))], S.Conv2DOptionsT, padding=0, strideH=1, strideW=1)
case("depthwise", B.DEPTHWISE_CONV_2D, [f(1, 6, 7, 3), Const(f(1, 3, 3, 6)), Const(f(6))], S.DepthwiseConv2DOptionsT, padding=0, strideH=2, strideW=2, depthMultiplier=2)
case("conv_3d", B.CONV_3D, [f(1, 4, 5, 6, 2), Const(f(2, 3, 2, 2, 3))], S.Conv3DOptionsT, padding=0, strideD=1, strideH=2, strideW=1)
case("transpose_conv_same", B.TRANSPOSE_CONV, [Const(i(1, 7, 6, 2)), Const(f(2, 3, 3, 3)), f(1, 4, 3, 3)], S.TransposeConvOptionsT, padding=0, strideH=2, strideW=2)
case("transpose_conv_valid", B.TRANSPOSE_CONV, [Const(i(1, 9, 8, 2)), Const(f(2, 3, 2, 3)), f(1, 4, 3, 3)], S.TransposeConvOptionsT, padding=1, strideH=2, strideW=3)
case("fully_connected", B.FULLY_CONNECTED, [f(2, 3, 4), Const(f(5, 4)), Const(f(5))], S.FullyConnectedOptionsT)
case("fully_connected_keep", B.FULLY_CONNECTED, [f(2, 3, 4), Const(f(5, 4)), None], S.FullyConnectedOptionsT, version=5, keepNumDims=True, fusedActivationFunction=3)
case("batch_matmul_adjoint", B.BATCH_MATMUL, [f(2, 4, 3), f(1, 5, 4)], S.BatchMatMulOptionsT, adjX=True, adjY=True)
for name, code in [("average_pool", B.AVERAGE_POOL_2D), ("max_pool", B.MAX_POOL_2D), ("l2_pool", B.L2_POOL_2D)]:
    case(name, code, [f(1, 7, 6, 3)], S.Pool2DOptionsT, padding=0, strideH=2, strideW=2, filterHeight=3, filterWidth=2)
    case(f"{name}_valid", code, [f(1, 7, 6, 3)], S.Pool2DOptionsT, padding=1, strideH=2, strideW=1, filterHeight=3, filterWidth=3, fusedActivationFunction=1)
for name, code, opt in [("bilinear", B.RESIZE_BILINEAR, S.ResizeBilinearOptionsT), ("nearest", B.RESIZE_NEAREST_NEIGHBOR, S.ResizeNearestNeighborOptionsT)]:
    for size in ((7, 9), (3, 4)):
        s = Const(i(*size))
        case(f"{name}_{size[0]}", code, [img, s], opt)
        case(f"{name}_{size[0]}_corners", code, [img, s], opt, alignCorners=True)
        case(f"{name}_{size[0]}_half", code, [img, s], opt, version=3, halfPixelCenters=True)

for name in "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD".split():
    case(name.lower(), getattr(B, name), [img, Const(i(1, -1))], S.ReducerOptionsT)
    case(f"{name.lower()}_keep", getattr(B, name), [img, Const(i(2))], S.ReducerOptionsT, keepDims=True)
for name in "REDUCE_ANY REDUCE_ALL".split():
    case(name.lower(), getattr(B, name), [np.array([[True, False], [True, True]]), Const(i(1))], S.ReducerOptionsT, outputs=(np.bool_,))
case("arg_max", B.ARG_MAX, [f(3, 7), Const(np.int32(-1))], S.ArgMaxOptionsT, outputs=(np.int32,), outputType=2)
case("arg_min", B.ARG_MIN, [f(3, 7), Const(np.int32(0))], S.ArgMinOptionsT, outputs=(np.int64,), outputType=4)
case("cumsum", B.CUMSUM, [x34, Const(np.int32(1))], S.CumsumOptionsT)
case("cumsum_back", B.CUMSUM, [x34, Const(np.int32(0))], S.CumsumOptionsT, exclusive=True, reverse=True)
case("softmax", B.SOFTMAX, [f(2, 3, 4)], S.SoftmaxOptionsT, beta=0.7)
case("log_softmax", B.LOG_SOFTMAX, [f(2, 4)])
case("l2_normalization", B.L2_NORMALIZATION, [f(2, 5)], S.L2NormOptionsT)
# The reference kernel leaves out the last channel of each window; the optimised one, and TensorFlow, don't.
case("local_response", B.LOCAL_RESPONSE_NORMALIZATION, [f(1, 3, 4, 7)], S.LocalResponseNormalizationOptionsT, kernels=(OPTIMISED,), radius=2, bias=1.5, alpha=0.3, beta=0.6)

case("dynamic_update_slice", B.DYNAMIC_UPDATE_SLICE, [f(4, 5, 3), f(2, 1, 3), i(3, -1, 0)], S.DynamicUpdateSliceOptionsT)
case("dynamic_update_slice_int64", B.DYNAMIC_UPDATE_SLICE, [f(4, 5), f(2, 2), np.array([1, 2], np.int64)], S.DynamicUpdateSliceOptionsT, version=2)
case("segment_sum", B.SEGMENT_SUM, [f(5, 2), i(0, 0, 1, 2, 2)], S.SegmentSumOptionsT)
case("unsorted_segment_sum", B.UNSORTED_SEGMENT_SUM, [f(5, 2), i(3, 0, 1, 0, 3), Const(np.int32(5))], S.UnsortedSegmentSumOptionsT)
case("unsorted_segment_prod", B.UNSORTED_SEGMENT_PROD, [f(5, 2), i(3, 0, 1, 0, 3), Const(np.int32(5))], S.UnsortedSegmentProdOptionsT)
corner = rng.uniform(0, 1, (20, 2)).astype(np.float32)
boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.6, (20, 2)).astype(np.float32)], 1)
scores = rng.uniform(0, 1, 20).astype(np.float32)
nms = [boxes, scores, Const(np.int32(9)), Const(np.float32(0.3)), Const(np.float32(0.4))]
case("nms_v4", B.NON_MAX_SUPPRESSION_V4, nms, S.NonMaxSuppressionV4OptionsT, outputs=(np.int32, np.int32))
case("nms_v5", B.NON_MAX_SUPPRESSION_V5, nms + [Const(np.float32(0))], S.NonMaxSuppressionV5OptionsT, outputs=(np.int32, np.float32, np.int32))
case("conv_3d_transpose", B.CONV_3D_TRANSPOSE, [Const(i(1, 7, 6, 5, 3)), Const(f(2, 3, 2, 3, 2)), f(1, 4, 3, 5, 2)], S.Conv3DOptionsT, padding=0, strideD=2, strideH=2, strideW=1)
weights = lambda *shape: Q(np.int8, shape, 0.01, 0, constant=True)
for asym in (False, True):
    case(f"hybrid_batch_matmul_{asym}", B.BATCH_MATMUL, [f(2, 3, 8), weights(8, 5)], S.BatchMatMulOptionsT, version=4 if asym else 2, asymmetricQuantizeInputs=asym)
    case(f"hybrid_fully_connected_{asym}", B.FULLY_CONNECTED, [f(6, 8), weights(5, 8), Const(f(5))], S.FullyConnectedOptionsT, version=9 if asym else 3, asymmetricQuantizeInputs=asym)
case("hybrid_conv", B.CONV_2D, [f(2, 5, 5, 2), weights(3, 3, 2, 2), Const(f(3))], S.Conv2DOptionsT, version=2, padding=0, strideH=1, strideW=2)
case("hybrid_conv_per_channel", B.CONV_2D, [f(2, 5, 5, 2), Q(np.int8, (3, 3, 2, 2), [0.01, 0.02, 0.03], 0, constant=True), Const(f(3))], S.Conv2DOptionsT, version=5, padding=0, strideH=1, strideW=2)
case("hybrid_depthwise", B.DEPTHWISE_CONV_2D, [f(2, 5, 5, 3), Q(np.int8, (1, 3, 2, 3), [0.01, 0.02, 0.03], 0, axis=3, constant=True), Const(f(3))], S.DepthwiseConv2DOptionsT, version=6, padding=0, strideH=1, strideW=1, depthMultiplier=1)

# Integers. uint8 as old models have it: per tensor, with zero points in weights too.
for dtype, low, zero in [(np.uint8, 0, 128), (np.int8, -128, 0)]:
    n = np.dtype(dtype).name
    q = lambda *shape, scale=0.03, z=zero + 5, **k: Q(dtype, shape, scale, z, **k)
    o = lambda scale=0.11, z=zero - 7: (out(dtype, scale, z),)
    wz = 131 if dtype == np.uint8 else 0
    bias = lambda k, scale: Q(np.int32, (k,), scale, 0, constant=True, low=-3000, high=3000)
    case(f"conv_{n}", B.CONV_2D, [q(1, 6, 7, 3), q(4, 3, 2, 3, scale=0.01, z=wz, constant=True), bias(4, 0.0003)], S.Conv2DOptionsT, outputs=o(), padding=0, strideH=2, strideW=1, fusedActivationFunction=1)
    case(f"depthwise_{n}", B.DEPTHWISE_CONV_2D, [q(1, 6, 7, 3), q(1, 3, 2, 6, scale=[0.01] * 6 if dtype == np.int8 else 0.01, z=wz, constant=True, axis=3), bias(6, 0.0003)], S.DepthwiseConv2DOptionsT, outputs=o(0.05), version=3 if dtype == np.int8 else 1, padding=0, strideH=1, strideW=2, depthMultiplier=2)
    case(f"fully_connected_{n}", B.FULLY_CONNECTED, [q(3, 9), q(5, 9, scale=0.01, z=wz, constant=True), bias(5, 0.0003)], S.FullyConnectedOptionsT, outputs=o(), version=4 if dtype == np.int8 else 1)
    for name, opt, code in [("add", S.AddOptionsT, B.ADD), ("sub", S.SubOptionsT, B.SUB), ("mul", S.MulOptionsT, B.MUL)]:
        case(f"{name}_{n}", code, [q(2, 5, 6), q(1, 6, scale=0.07, z=zero - 20)], opt, outputs=o(0.09), version=2 if dtype == np.int8 else 1, fusedActivationFunction=1)
    for name, code in [("average_pool", B.AVERAGE_POOL_2D), ("max_pool", B.MAX_POOL_2D)]:
        case(f"{name}_{n}", code, [q(1, 5, 6, 3)], S.Pool2DOptionsT, outputs=(out(dtype, 0.03, zero + 5),), version=2 if dtype == np.int8 else 1, padding=0, strideH=2, strideW=2, filterHeight=3, filterWidth=2, fusedActivationFunction=3)
    case(f"softmax_{n}", B.SOFTMAX, [q(3, 8, scale=0.1)], S.SoftmaxOptionsT, outputs=(out(dtype, 1 / 256, low),), version=2 if dtype == np.int8 else 1, beta=1.0)
    case(f"logistic_{n}", B.LOGISTIC, [q(6, 50)], outputs=(out(dtype, 1 / 256, low),), version=2 if dtype == np.int8 else 1)
    case(f"tanh_{n}", B.TANH, [q(6, 50)], outputs=(out(dtype, 1 / 128, zero),), version=2 if dtype == np.int8 else 1)
    for name in ["RELU", "RELU6", "RELU_N1_TO_1"]:
        case(f"{name.lower()}_{n}", getattr(B, name), [q(4, 20)], outputs=o(0.02, low + 10), version=1 if "N1" in name else 2)
    case(f"leaky_relu_{n}", B.LEAKY_RELU, [q(6, 20)], S.LeakyReluOptionsT, outputs=o(0.04), version=2, alpha=0.3)
    case(f"leaky_relu_negative_{n}", B.LEAKY_RELU, [q(6, 20)], S.LeakyReluOptionsT, outputs=o(0.04), version=2, alpha=-0.3)
    case(f"prelu_{n}", B.PRELU, [q(1, 4, 4, 3), q(1, 1, 3, scale=0.01, z=zero + 9, constant=True)], outputs=o(0.04))
    case(f"hard_swish_{n}", B.HARD_SWISH, [q(6, 40)], outputs=o(0.031, low + 20))
    case(f"l2_normalization_{n}", B.L2_NORMALIZATION, [q(4, 9)], S.L2NormOptionsT, outputs=(out(dtype, 1 / 128, zero),), version=2 if dtype == np.int8 else 1)
    case(f"mean_{n}", B.MEAN, [q(2, 5, 6, 3), Const(i(1, 2))], S.ReducerOptionsT, outputs=o(0.025), version=2 if dtype == np.int8 else 1)
    case(f"concatenation_{n}", B.CONCATENATION, [q(2, 3), q(2, 4, scale=0.03 if dtype == np.int8 else 0.05, z=zero + 5 if dtype == np.int8 else 120)], S.ConcatenationOptionsT, outputs=(out(dtype, 0.03 if dtype == np.int8 else 0.06, zero + 5 if dtype == np.int8 else 100),), version=2 if dtype == np.int8 else 1, axis=1)
    for flag in ("alignCorners", "halfPixelCenters"):
        case(f"bilinear_{flag.lower()}_{n}", B.RESIZE_BILINEAR, [q(1, 4, 5, 3), Const(i(7, 9))], S.ResizeBilinearOptionsT, outputs=(out(dtype, 0.03, zero + 5),), version=3, **{flag: True})
    for name in ["EQUAL", "LESS", "GREATER_EQUAL"]:
        case(f"{name.lower()}_{n}", getattr(B, name), [q(5, 30), q(1, 30, scale=0.028, z=zero + 2)], outputs=(np.bool_,), version=2)
    case(f"quantize_{n}", B.QUANTIZE, [f(5, 30, low=-9, high=9)], S.QuantizeOptionsT, outputs=o(0.06))
    case(f"dequantize_{n}", B.DEQUANTIZE, [q(5, 30)], S.DequantizeOptionsT, version=2)
    case(f"requantize_{n}", B.QUANTIZE, [q(5, 30)], S.QuantizeOptionsT, outputs=o(0.041), version=2)
    case(f"maximum_{n}", B.MAXIMUM, [q(2, 9), q(2, 9)], outputs=(out(dtype, 0.03, zero + 5),), version=2)
    case(f"space_to_batch_{n}", B.SPACE_TO_BATCH_ND, [q(1, 3, 4, 2), Const(i(2, 2)), Const(np.array([[1, 0], [0, 2]], np.int32))], outputs=(out(dtype, 0.03, zero + 5),), version=2)
case("requantize_uint8_int8", B.QUANTIZE, [Q(np.uint8, (5, 30), 0.03, 131)], S.QuantizeOptionsT, outputs=(out(np.int8, 0.03, 3),))
case("requantize_int16_int8", B.QUANTIZE, [Q(np.int16, (5, 30), 0.0003, 0)], S.QuantizeOptionsT, outputs=(out(np.int8, 0.05, 3),), version=2)
case("requantize_int8_int16", B.QUANTIZE, [Q(np.int8, (5, 30), 0.03, -4)], S.QuantizeOptionsT, outputs=(out(np.int16, 0.0002, 0),), version=2)
for op, opt in [("ADD", S.AddOptionsT), ("SUB", S.SubOptionsT)]:
    case(f"{op.lower()}_int16_power_of_two", getattr(B, op), [Q(np.int16, (4, 30), 2.0**-12, 0), Q(np.int16, (4, 30), 2.0**-14, 0)], opt, outputs=(out(np.int16, 2.0**-12, 0),), potScaleInt16=True)
for log in (-12, -11):
    case(f"tanh_int16_{-log}", B.TANH, [Q(np.int16, (4, 60), 2.0**log, 0)], outputs=(out(np.int16, 2.0**-15, 0),), version=3)
case("logistic_int16_power_of_two", B.LOGISTIC, [Q(np.int16, (4, 60), 2.0**-12, 0)], outputs=(out(np.int16, 2.0**-15, 0),), version=3)
case("elu_int8", B.ELU, [Q(np.int8, (4, 60), 0.04, 5)], outputs=(out(np.int8, 0.03, -40),))
case("sqrt_int8", B.SQRT, [Q(np.int8, (4, 60), 0.04, -128)], outputs=(out(np.int8, 0.02, -128),), version=2)


def lstm(name, shape, hidden, **fields):
    """A layer of 8 bits with 16-bit gates; `shape` is [batch, time, depth], or [time, batch, depth]."""
    batch = shape[1] if fields.get("timeMajor") else shape[0]
    w = lambda columns, scale: Q(np.int8, (hidden, columns), scale, 0, constant=True, low=-127)
    b = lambda: Q(np.int32, (hidden,), 0.0003, 0, constant=True, low=-3000, high=3000)
    state, cell = Q(np.int8, (batch, hidden), 0.0078125, -4, state=True), Q(np.int16, (batch, hidden), 2.0**-11, 0, state=True)
    weights = [w(shape[2], s) for s in (0.011, 0.012, 0.013, 0.01)] + [w(hidden, s) for s in (0.008, 0.0085, 0.009, 0.007)]
    inputs = [Q(np.int8, shape, 0.03, -7), *weights, None, None, None, b(), b(), b(), b(), None, None, state, cell, None, None, None, None]
    inner = [out(np.int16, 2.0**-12, 0)] * 4 + [out(np.int8, 0.0078125, -4)]
    case(name, B.UNIDIRECTIONAL_SEQUENCE_LSTM, inputs, S.UnidirectionalSequenceLSTMOptionsT, outputs=(out(np.int8, 0.0078125, -4),), inner=inner, fusedActivationFunction=4, **fields)


lstm("lstm_int8", (2, 7, 5), 6)
lstm("lstm_int8_time_first", (9, 1, 3), 4, timeMajor=True, cellClip=1.5)

np.savez_compressed("operators.npz", **arrays)
print(len([k for k in arrays if k.endswith(".model")]), "files")
