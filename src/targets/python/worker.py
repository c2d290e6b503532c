"""Runs one model file in the runtime it was made for. Started by worker.ts; needs nothing but that runtime and numpy.

Requests are JSON lines on standard input, replies JSON lines on descriptor 3. Tensors are .npy files in the folder that the
first argument names. What a runtime prints goes to standard error. When standard input ends, so does the process group.
Nothing here decides what is right: it loads, runs and reports.
"""

import collections
import json
import os
import queue
import re
import shutil
import signal
import sys
import threading
import time

FOLDER = sys.argv[1]


class Refused(Exception):
    """What the user has to know, in one line."""


class Unsupported(Exception):
    """What the runtime can't run, all of it: how often each is there."""

    def __init__(self, counts):
        super().__init__("not supported: " + ", ".join(counts))
        self.counts = counts


UNCONVERTED = {"this graph, by its converter": 1}


def untrusted(what):
    return Refused(f"{what}, which could run any code. Use --trust if you trust where the file comes from")


# --- tensors ---------------------------------------------------------------------------------------------------------


def read_tensor(name):
    import numpy

    array = numpy.load(os.path.join(FOLDER, name), allow_pickle=False)
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:
        import ml_dtypes

        return array.view(ml_dtypes.bfloat16)
    return array


def write_tensor(name, array):
    import numpy

    array = numpy.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.view("V2")
    elif array.dtype.name in ("int4", "uint4"):
        array = array.astype(array.dtype.name.replace("4", "8"))
    elif array.dtype == object or array.dtype.kind == "S":
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in array.reshape(-1)]
        array = numpy.array(texts, dtype=str).reshape(array.shape)
    if not array.flags.c_contiguous:
        array = numpy.array(array, order="C")
    numpy.save(os.path.join(FOLDER, name), array, allow_pickle=False)


def dtype_name(dtype):
    """Strata's name for a numpy type."""
    import numpy

    name = numpy.dtype(dtype).name
    return "string" if name.startswith(("object", "str", "bytes")) else name


def dims(shape):
    """A shape with null where a dimension is unknown; null where even the rank is."""
    if shape is None:
        return None
    return [int(d) if d is not None and int(d) >= 0 else None for d in shape]


def value(name, dtype, shape):
    return {"name": name, "dtype": dtype, "shape": dims(shape)}


def check_count(given, expected):
    if len(given) != len(expected):
        names = ", ".join(v["name"] for v in expected)
        raise Refused(f"expected {len(expected)} inputs ({names}), got {len(given)}")


def timed(call):
    """What the call returns, and its milliseconds: on the wall, and of the processor, all threads of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return result, {"ms": wall * 1000, "cpuMs": processor * 1000}


# --- TensorFlow Lite -------------------------------------------------------------------------------------------------


class Litert:
    """.tflite in ai-edge-litert. Options: kernels (default, builtin, reference), threads, inner."""

    def __init__(self, path, options):
        from ai_edge_litert import interpreter

        kernels = options.get("kernels", "default")
        types = interpreter.OpResolverType
        resolvers = {
            "default": types.AUTO,
            "builtin": types.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": types.BUILTIN_REF,
        }
        if kernels not in resolvers:
            raise Refused(f"kernels: expected {', '.join(resolvers)}, got {kernels}")
        inner = bool(options.get("inner"))
        if inner and kernels == "default":
            raise Refused("inner values can't be read from XNNPACK. Use kernels builtin or reference")
        self.model = interpreter.Interpreter(
            model_path=path,
            num_threads=options.get("threads", 1),
            experimental_op_resolver_type=resolvers[kernels],
            experimental_preserve_all_tensors=inner,
        )
        self.model.allocate_tensors()
        self.ins = self.model.get_input_details()
        self.outs = self.model.get_output_details()
        self.inputs = [self.describe(d) for d in self.ins]
        self.outputs = [self.describe(d) for d in self.outs]
        # Tensors share names rarely; the later ones are told apart by their number in the file.
        self.all = {}
        if inner:
            for d in self.model.get_tensor_details():
                self.all[d["name"] if d["name"] not in self.all else f"{d['name']}#{d['index']}"] = d
        self.values = [{**self.describe(d), "name": n} for n, d in self.all.items() if n]
        self.facts = {"kernels": kernels, "threads": options.get("threads", 1)}

    @staticmethod
    def describe(d):
        signature = d["shape_signature"] if len(d["shape_signature"]) else d["shape"]
        q = d["quantization_parameters"]
        extra = {}
        if len(q["scales"]):
            extra["quantization"] = {
                "scale": [float(s) for s in q["scales"]],
                "zeroPoint": [int(z) for z in q["zero_points"]],
                "axis": int(q["quantized_dimension"]),
            }
        return {**value(d["name"], dtype_name(d["dtype"]), signature), **extra}

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        resized = False
        for d, v, a in zip(self.model.get_input_details(), self.inputs, arrays):
            if dtype_name(a.dtype) != v["dtype"]:
                raise Refused(f"input {v['name']}: expected {v['dtype']}, got {dtype_name(a.dtype)}")
            if list(d["shape"]) == list(a.shape):
                continue
            known = v["shape"]
            if len(known) != a.ndim or any(k is not None and k != s for k, s in zip(known, a.shape)):
                shown = ", ".join("?" if k is None else str(k) for k in known)
                raise Refused(f"input {v['name']}: expected [{shown}], got {list(a.shape)}")
            self.model.resize_tensor_input(d["index"], a.shape, strict=True)
            resized = True
        if resized:
            self.model.allocate_tensors()
        # State tensors of recurrent operators live on between invocations otherwise.
        self.model.reset_all_variables()
        for d, a in zip(self.ins, arrays):
            self.model.set_tensor(d["index"], a)
        _, times = timed(self.model.invoke)
        for name in fetch:
            if name not in self.all:
                raise Refused(f"no value {name}")
        wanted = [d["index"] for d in self.outs] + [self.all[n]["index"] for n in fetch]
        return [self.model.get_tensor(i) for i in wanted], times


# --- TensorFlow ------------------------------------------------------------------------------------------------------

# Operators with state that stay inside the process. Everything stateful that isn't here needs trust.
INSIDE = re.compile(
    r"^(VarHandleOp|ReadVariableOp|Assign(Add|Sub)?(VariableOp)?|VarIsInitializedOp|Variable(V2)?|IsVariableInitialized|"
    r"(Stateful)?PartitionedCall|(Stateless)?(If|While|Case)|Placeholder(WithDefault)?|Stack\w*V2|TensorArray\w*|"
    r"(Stateful|Stateless)?(Random|Truncated|Parameterized)\w*|Multinomial|Resource(Gather|Scatter)\w*|"
    r"(Mutable)?HashTable(V2)?|AnonymousHashTable|LookupTable(Find|Size|Import)(V2)?|InitializeTable(V2)?|"
    r"Assert|NoOp|Print(V2)?)$"
)
# Stateless by name only: these read or write files, or call Python.
OUTSIDE = re.compile(r"File|Py|Debug|Dataset|Iterator|Save|Restore|Checkpoint|Directory|Remote|Sql|Bigtable|Audio\w*Summary")


def unsafe_operators(nodes, functions, roots):
    """Operators reachable from the named nodes (through functions too) that could leave the process."""
    from tensorflow.python.framework import op_def_registry

    by_name = {n.name: n for n in nodes}
    library = {f.signature.name: f for f in functions}
    found, seen_functions = set(), set()

    def visit_function(name):
        if name in library and name not in seen_functions:
            seen_functions.add(name)
            for n in library[name].node_def:
                visit(n)

    def visit(n):
        if n.op in library:
            visit_function(n.op)
        else:
            op = op_def_registry.get(n.op)
            inside = INSIDE.match(n.op)
            if op is None or OUTSIDE.search(n.op) or (op.is_stateful and not inside):
                found.add(n.op)
        for a in n.attr.values():
            for f in [a.func, *a.list.func]:
                if f.name:
                    visit_function(f.name)

    stack, seen = [r.split(":")[0].lstrip("^") for r in roots], set()
    while stack:
        name = stack.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        visit(by_name[name])
        stack += [i.split(":")[0].lstrip("^") for i in by_name[name].input]
    return sorted(found)


def quiet_tensorflow(options):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow

    threads = options.get("threads", 1)
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow


def read_proto(message, path):
    with open(path, "rb") as f:
        try:
            message.ParseFromString(f.read())
        except Exception as e:
            raise Refused(f"{path}: damaged: {e}") from e
    return message


class Session:
    """A TensorFlow graph: a SavedModel folder or a frozen GraphDef. Options: signature, threads, outputs."""

    def __init__(self, path, options):
        tf = quiet_tensorflow(options)
        self.graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=options.get("threads", 1), inter_op_parallelism_threads=1
        )
        self.session = tf.compat.v1.Session(graph=self.graph, config=config)
        load = self.load_saved_model if os.path.isdir(path) else self.load_graph
        named_inputs, named_outputs = load(tf, path, options)
        self.ins = list(named_inputs.values())
        self.outs = list(named_outputs.values())
        self.inputs = [self.describe(n, self.graph.get_tensor_by_name(t)) for n, t in named_inputs.items()]
        self.outputs = [self.describe(n, self.graph.get_tensor_by_name(t)) for n, t in named_outputs.items()]
        self.values = self.inner_values(tf) if options.get("inner") else []
        self.facts = {"threads": options.get("threads", 1)}

    @staticmethod
    def describe(name, t):
        shape = None if t.shape.rank is None else t.shape.as_list()
        return value(name, dtype_name(t.dtype.as_numpy_dtype), shape)

    def inner_values(self, tf):
        """What the outputs are computed from, in the graph's order; weights and their plumbing aside."""
        needed, stack = set(), [self.graph.get_tensor_by_name(t).op for t in self.outs]
        while stack:
            op = stack.pop()
            if op not in needed:
                needed.add(op)
                stack += [t.op for t in op.inputs]
        skipped = ("Const", "VarHandleOp", "VariableV2", "ReadVariableOp", "NoOp")
        return [
            self.describe(t.name, t)
            for op in self.graph.get_operations()
            if op in needed and op.type not in skipped and not op.name.startswith("unused_control_flow_input")
            for t in op.outputs
            if t.dtype.is_numpy_compatible and t.dtype not in (tf.resource, tf.variant)
        ]

    def load_saved_model(self, tf, path, options):
        from tensorflow.core.protobuf import saved_model_pb2

        saved = read_proto(saved_model_pb2.SavedModel(), os.path.join(path, "saved_model.pb"))
        graphs = [g for g in saved.meta_graphs if "serve" in g.meta_info_def.tags] or list(saved.meta_graphs)
        if not graphs:
            raise Refused(f"{path}: a SavedModel without a graph")
        meta = graphs[0]
        key = options.get("signature", "serving_default")
        usable = {k: s for k, s in meta.signature_def.items() if not k.startswith("__saved_model") and s.outputs}
        if key not in usable:
            if len(usable) != 1 or "signature" in options:
                raise Refused(f"{path}: no signature {key}, it has {', '.join(sorted(usable)) or 'none'}")
            key = next(iter(usable))
        signature = usable[key]
        inits = [
            n
            for c in ("saved_model_main_op", "legacy_init_op")
            for n in meta.collection_def[c].node_list.value
        ] + [t.name for k, s in meta.signature_def.items() if k.startswith("__saved_model") for t in s.outputs.values()]
        roots = [t.name for t in signature.outputs.values()] + inits
        unsafe = unsafe_operators(meta.graph_def.node, meta.graph_def.library.function, roots)
        if unsafe and not options.get("trust"):
            raise untrusted(f"{path}: uses {', '.join(unsafe)}")
        if options.get("inner") and meta.graph_def.library.function:
            # Loading it as TensorFlow 2 does runs what creates and fills its resources, whatever the signature needs.
            resources = [n for n in meta.object_graph_def.nodes if n.WhichOneof("kind") == "resource"]
            if resources and not options.get("trust"):
                raise untrusted(f"{path}: inner values need its resources loaded, with their own initialisers")
            return self.load_frozen(tf, path, list(meta.meta_info_def.tags), key)
        with self.graph.as_default():
            tf.compat.v1.saved_model.loader.load(self.session, list(meta.meta_info_def.tags), path)
        by_name = lambda m: {k: m[k].name for k in sorted(m)}
        return by_name(signature.inputs), by_name(signature.outputs)

    def load_frozen(self, tf, path, tags, key):
        """TensorFlow 2 hides inner values in functions: the signature with its calls inlined and its variables constant."""
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        # Held until it is frozen: a signature doesn't keep its variables.
        saved = tf.saved_model.load(path, tags=tags)
        function = saved.signatures[key]
        frozen = convert_variables_to_constants_v2(function)
        with self.graph.as_default():
            tf.import_graph_def(frozen.graph.as_graph_def(), name="")
        # Flattened by sorted key, as the function's own inputs and outputs are; captured resources come after them.
        ins = sorted(function.structured_input_signature[1])
        outs = sorted(function.structured_outputs)
        return (
            {n: t.name for n, t in zip(ins, frozen.inputs)},
            {n: t.name for n, t in zip(outs, frozen.outputs)},
        )

    def load_graph(self, tf, path, options):
        graph = read_proto(tf.compat.v1.GraphDef(), path)
        consumed, used = set(), set()
        for n in graph.node:
            for i in n.input:
                consumed.add(i.split(":")[0].lstrip("^"))
        # A frozen function leaves placeholders for its control flow behind, and sinks that aren't outputs.
        ins = [
            n.name
            for n in graph.node
            if n.op.startswith("Placeholder") and n.op != "PlaceholderWithDefault" and n.name in consumed
            and not n.name.startswith("unused_control_flow_input")
        ]
        sinks = [n.name for n in graph.node if n.name not in consumed and n.op not in ("Const", "NoOp", "Assert")
                 and not n.op.startswith("Placeholder")]
        identities = sorted((s for s in sinks if re.fullmatch(r"Identity(_\d+)?", s)), key=lambda s: (len(s), s))
        outs = identities or sinks
        if options.get("outputs"):
            outs = [o for o in str(options["outputs"]).split(",") if o]
        unsafe = unsafe_operators(graph.node, graph.library.function, outs)
        if unsafe and not options.get("trust"):
            raise untrusted(f"{path}: uses {', '.join(unsafe)}")
        with self.graph.as_default():
            tf.import_graph_def(graph, name="")
        full = lambda n: n if ":" in n else f"{n}:0"
        for n in outs:
            try:
                self.graph.get_tensor_by_name(full(n))
            except KeyError as e:
                raise Refused(f"{path}: no value {n}") from e
        return {full(n): full(n) for n in ins}, {full(n): full(n) for n in outs}

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        return timed(lambda: self.session.run(self.outs + list(fetch), dict(zip(self.ins, arrays))))


# Functions of TensorFlow's that a Keras 2 TFOpLambda layer may name: arithmetic on tensors only.
SAFE_FUNCTION = re.compile(r"^((__operators__|math|nn|linalg|image|compat\.v1\.nn|compat\.v1\.math|signal|keras\.backend)\.\w+|"
                           r"(cast|concat|expand_dims|squeeze|reshape|transpose|stack|unstack|split|tile|pad|gather|shape|"
                           r"where|zeros_like|ones_like|convert_to_tensor|clip_by_value|reverse|slice|strided_slice|identity|"
                           r"one_hot|boolean_mask|broadcast_to|compat\.v1\.(gather|transpose|where|shape|pad|squeeze|expand_dims)))$")


def unsafe_config(config):
    """What in a Keras configuration names code: lambdas, functions, classes outside Keras."""
    found = set()

    def visit(c):
        if isinstance(c, list):
            for x in c:
                visit(x)
        if not isinstance(c, dict):
            return
        name, module = str(c.get("class_name", "")), c.get("module")
        if name in ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"):
            found.add(name)
        elif name == "function":
            if not re.match(r"^(keras|tf_keras)(\.src)?\.(activations|ops)\b", str(module)):
                found.add(f"the function {c.get('config')}")
        elif name in ("TFOpLambda", "SlicingOpLambda"):
            function = str(c.get("config", {}).get("function", ""))
            if not SAFE_FUNCTION.match(function):
                found.add(f"the function {function}")
        elif isinstance(module, str) and not re.match(r"^(keras|tf_keras|builtins)(\.|$)", module):
            found.add(f"{module}.{name}")
        for x in c.values():
            visit(x)

    visit(config)
    return sorted(found)


class Keras:
    """.h5 and .keras, in the Keras that wrote them: 3, or 2 as tf_keras."""

    def __init__(self, path, options):
        config, version = self.read_config(path)
        unsafe = unsafe_config(config)
        trust = bool(options.get("trust"))
        if unsafe and not trust:
            raise untrusted(f"{path}: holds {', '.join(unsafe)}")
        self.tf = tf = quiet_tensorflow(options)
        import keras

        libraries = [keras]
        try:
            import tf_keras

            libraries.insert(0 if not version.startswith("3") else 1, tf_keras)
        except ImportError:
            pass
        errors = []
        for library in libraries:
            try:
                self.model = self.load(library, path, trust)
                break
            except Exception as e:
                errors.append(f"Keras {library.__version__}: {one_line(e)}")
        else:
            raise Refused(f"{path}: {'; '.join(errors)}")
        self.inputs = [self.describe(t) for t in self.model.inputs]
        self.outputs = [self.describe(t) for t in self.model.outputs]
        self.inner = {}
        if options.get("inner"):
            for layer in self.model.layers:
                for i, t in enumerate(tf.nest.flatten(layer.output)):
                    self.inner[layer.name if i == 0 else f"{layer.name}:{i}"] = t
        self.values = [{**self.describe(t), "name": n} for n, t in self.inner.items()]
        self.probes = {}
        self.library = library
        self.facts = {"keras": library.__version__, "tensorflow": tf.__version__, "threads": options.get("threads", 1)}

    @staticmethod
    def read_config(path):
        import zipfile

        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as z:
                read = lambda n: json.loads(z.open(n).read(64 << 20))
                return read("config.json"), str(read("metadata.json").get("keras_version", "3"))
        import h5py

        with h5py.File(path, "r") as f:
            config = f.attrs.get("model_config")
            if config is None:
                raise Refused(f"{path}: holds weights without a model. Rebuild the model in Keras and save it whole")
            text = lambda t: t.decode("utf-8") if isinstance(t, bytes) else str(t)
            return json.loads(text(config)), text(f.attrs.get("keras_version", "2"))

    @staticmethod
    def load(library, path, trust):
        if not library.__version__.startswith("3"):
            if path.endswith(".keras"):
                return library.saving.load_model(path, compile=False, safe_mode=not trust)
            return library.models.load_model(path, compile=False)
        return library.saving.load_model(path, compile=False, safe_mode=not trust)

    def describe(self, t):
        dtype = t.dtype if isinstance(t.dtype, str) else t.dtype.name
        return value(t.name, dtype, None if t.shape is None else list(t.shape))

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        model = self.model
        if fetch:
            key = tuple(fetch)
            for n in fetch:
                if n not in self.inner:
                    raise Refused(f"no value {n}")
            if key not in self.probes:
                self.probes[key] = self.library.Model(self.model.inputs, self.model.outputs + [self.inner[n] for n in fetch])
            model = self.probes[key]
        tensors = [self.tf.convert_to_tensor(a) for a in arrays]
        given = tensors if len(tensors) > 1 else tensors[0]
        return timed(lambda: [r.numpy() for r in self.tf.nest.flatten(model(given, training=False))])


def tensorflow_model(path, options):
    with open(path, "rb") if not os.path.isdir(path) else open(os.devnull, "rb") as f:
        head = f.read(8)
    keras = head == b"\x89HDF\r\n\x1a\n" or head[:4] == b"PK\x03\x04"
    return Keras(path, options) if keras else Session(path, options)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


class Torch:
    """TorchScript (.pt) and exported programs (.pt2). Both hold code, so both need trust."""

    def __init__(self, path, options):
        if not options.get("trust"):
            raise untrusted(f"{path}: holds code")
        import torch
        import zipfile

        self.torch = torch
        torch.set_num_threads(options.get("threads", 1))
        with zipfile.ZipFile(path) as z:
            names = z.namelist()
        exported = any(n.endswith(("models/model.json", "serialized_exported_program.json")) for n in names)
        if exported:
            program = torch.export.load(path)
            self.model = program.module()
            ins, outs = program.graph_signature.user_inputs, program.graph_signature.user_outputs
            meta = {n.name: n.meta.get("val") for n in program.graph.nodes}
            self.inputs = [self.describe(n, meta.get(n)) for n in ins]
            self.outputs = [self.describe(n, meta.get(n)) for n in outs]
        else:
            self.model = torch.jit.load(path, map_location="cpu").eval()
            graph = self.model.graph
            self.inputs = [value(i.debugName(), "float32", None) for i in list(graph.inputs())[1:]]
            kind = next(graph.outputs()).type()
            count = len(kind.elements()) if kind.kind() == "TupleType" else 1
            self.outputs = [value(f"output_{i}", "float32", None) for i in range(count)]
        self.values = []
        self.facts = {"threads": options.get("threads", 1)}

    def describe(self, name, example):
        import numpy

        if example is None:
            return value(name, "float32", None)
        dtype = str(example.dtype).replace("torch.", "")
        return value(name, dtype, [d if isinstance(d, int) else None for d in example.shape])

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        tensors = [self.torch.from_numpy(a.copy()) for a in arrays]
        with self.torch.no_grad():
            results, times = timed(lambda: self.model(*tensors))
        return [self.array(t) for t in self.flatten(results)], times

    def flatten(self, x):
        if isinstance(x, dict):
            return [t for v in x.values() for t in self.flatten(v)]
        if isinstance(x, (list, tuple)):
            return [t for v in x for t in self.flatten(v)]
        return [x]

    def array(self, t):
        t = t.detach()
        if t.is_quantized:
            t = t.dequantize()
        if t.dtype == self.torch.bfloat16:
            return t.view(self.torch.int16).numpy().view("V2")
        return t.contiguous().numpy()


# --- ONNX ------------------------------------------------------------------------------------------------------------


class Onnxruntime:
    """.onnx in onnxruntime for Python. Options: level (disabled, basic, extended, all), threads."""

    def __init__(self, path, options):
        import onnxruntime

        levels = onnxruntime.GraphOptimizationLevel
        level = options.get("level", "all")
        named = {
            "disabled": levels.ORT_DISABLE_ALL,
            "basic": levels.ORT_ENABLE_BASIC,
            "extended": levels.ORT_ENABLE_EXTENDED,
            "all": levels.ORT_ENABLE_ALL,
        }
        if level not in named:
            raise Refused(f"level: expected {', '.join(named)}, got {level}")
        session = onnxruntime.SessionOptions()
        session.graph_optimization_level = named[level]
        session.intra_op_num_threads = options.get("threads", 1)
        session.inter_op_num_threads = 1
        session.log_severity_level = 4
        self.model = onnxruntime.InferenceSession(path, session, providers=["CPUExecutionProvider"])
        self.inputs = [self.describe(v) for v in self.model.get_inputs()]
        self.outputs = [self.describe(v) for v in self.model.get_outputs()]
        self.values = []
        self.facts = {"level": level, "threads": options.get("threads", 1)}

    @staticmethod
    def describe(v):
        names = {"float": "float32", "double": "float64"}
        kind = re.sub(r"^tensor\((\w+)\)$", r"\1", v.type)
        return {"name": v.name, "dtype": names.get(kind, kind), "shape": list(v.shape)}

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        return timed(lambda: self.model.run(None, {v["name"]: a for v, a in zip(self.inputs, arrays)}))


class Openvino:
    """.onnx in OpenVINO's CPU plugin, in float32 (its default would round to bfloat16 where the processor can)."""

    def __init__(self, path, options):
        import openvino

        core = openvino.Core()
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": options.get("threads", 1)}
        self.model = core.compile_model(core.read_model(path), "CPU", config)
        self.inputs = [self.describe(p) for p in self.model.inputs]
        self.outputs = [self.describe(p) for p in self.model.outputs]
        self.values = []
        self.facts = {"threads": options.get("threads", 1)}

    @staticmethod
    def describe(port):
        shape = port.partial_shape
        known = [d.get_length() if d.is_static else None for d in shape] if shape.rank.is_static else None
        return value(next(iter(port.names), ""), dtype_name(port.element_type.to_dtype()), known)

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        results, times = timed(lambda: self.model(list(arrays)))
        return [results[p] for p in self.model.outputs], times


class Mnn:
    """.onnx in MNN's CPU backend through MNN's own converter, in float32 (its default precision may be lower)."""

    def __init__(self, path, options):
        import subprocess

        import MNN.expr
        import MNN.nn

        converted = path + ".mnn"
        # The converter itself: the script around it, mnnconvert, installs a package that tells its makers of its use.
        convert = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]
        files = ["-f", "ONNX", "--modelFile", path, "--MNNModel", converted, "--bizCode", "x"]
        subprocess.run(convert + files, check=False)
        if not os.path.exists(converted):
            raise Unsupported(UNCONVERTED)
        threads = options.get("threads", 1)
        config = {"backend": "CPU", "numThread": threads, "precision": "high"}
        self.model = MNN.nn.load_module_from_file(
            converted, [], [], runtime_manager=MNN.nn.create_runtime_manager((config,))
        )
        os.remove(converted)
        self.expr = MNN.expr
        self.kinds = {k: getattr(MNN.expr, k.removesuffix("32")) for k in ("float32", "int32", "int64", "uint8", "int8")}
        named = {v: k for k, v in self.kinds.items()}
        info = self.model.get_info()
        self.inputs = [value(n, named[v.dtype], v.shape) for n, v in zip(info["inputNames"], info["inputs"])]
        # Types of outputs are known when they are computed.
        self.outputs = [value(n, "float32", None) for n in info["outputNames"]]
        self.values = []
        self.facts = {"threads": threads}

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        for v, a in zip(self.inputs, arrays):
            if a.dtype.name not in self.kinds:
                raise Refused(f"input {v['name']}: expected {', '.join(self.kinds)}, got {dtype_name(a.dtype)}")
        given = [self.expr.const(a, list(a.shape), self.expr.NCHW, self.kinds[a.dtype.name]) for a in arrays]
        # Reading belongs to it: what is computed may be put off until then.
        return timed(lambda: [v.read() for v in self.model.forward(given)])


class Ncnn:
    """.onnx in ncnn through its own converter, pnnx, in float32 (by default it would round weights to float16)."""

    def __init__(self, path, options):
        import importlib.util
        import subprocess

        import ncnn

        # A program in a package, which isn't imported because it would import PyTorch.
        package = importlib.util.find_spec("pnnx")
        if package is None:
            raise Refused("its converter is missing. Install it with: pip install --no-deps pnnx")
        pnnx = os.path.join(os.path.dirname(package.origin), "pnnx.exe" if sys.platform == "win32" else "pnnx")
        subprocess.run([pnnx, path, "fp16=0"], check=False)
        name = path.removesuffix(".onnx")
        if not os.path.exists(f"{name}.ncnn.param"):
            raise Unsupported(UNCONVERTED)
        with open(f"{name}.ncnn.param", encoding="utf-8") as f:
            layers = collections.Counter(line.split()[0] for line in f.read().splitlines()[2:])
        # pnnx keeps what it has no layer for under the name that it had.
        unknown = {n: count for n, count in sorted(layers.items()) if ncnn.layer_to_index(n) < 0}
        if unknown:
            raise Unsupported(unknown)
        threads = options.get("threads", 1)
        self.model = ncnn.Net()
        opt = self.model.opt
        opt.num_threads = threads
        opt.use_fp16_storage = opt.use_fp16_packed = opt.use_fp16_arithmetic = False
        if self.model.load_param(f"{name}.ncnn.param") or self.model.load_model(f"{name}.ncnn.bin"):
            raise Refused("can't load what its converter made")
        # Which axis is the batch, if any, is written in the example beside the model only.
        with open(f"{name}_ncnn.py", encoding="utf-8") as f:
            example = f.read()
        batches = lambda call: [(n, int(b or 233)) for n, b in re.findall(call + r"(?:batch_index=(\d+))?\)", example)]
        self.ins = batches(r"ncnn\.Mat\((in\d+)\.numpy\(\)(?:, )?")
        self.outs = batches(r"from_numpy\((out\d+)\.numpy\(")
        for made in os.listdir(FOLDER):
            os.remove(os.path.join(FOLDER, made))
        self.mat = ncnn.Mat
        self.inputs = [value(n, "float32", None) for n, _ in self.ins]
        self.outputs = [value(n, "float32", None) for n, _ in self.outs]
        self.values = []
        self.facts = {"threads": threads}

    def run(self, arrays, fetch):
        check_count(arrays, self.inputs)
        for v, a in zip(self.inputs, arrays):
            if a.dtype.name != "float32":
                raise Refused(f"input {v['name']}: expected float32, got {dtype_name(a.dtype)}")
        # Copied, because it wants memory that is aligned.
        given = [self.mat(a, batch_index=batch).clone() for (_, batch), a in zip(self.ins, arrays)]

        def run():
            extractor = self.model.create_extractor()
            for (name, _), a in zip(self.ins, given):
                extractor.input(name, a)
            return [extractor.extract(name) for name, _ in self.outs]

        results, times = timed(run)
        if any(status for status, _ in results):
            raise Refused("failed to run")
        return [a.numpy(batch_index=batch) for (_, batch), (_, a) in zip(self.outs, results)], times


RUNTIMES = {
    "litert": Litert,
    "tensorflow": tensorflow_model,
    "torch": Torch,
    "onnxruntime": Onnxruntime,
    "openvino": Openvino,
    "mnn": Mnn,
    "ncnn": Ncnn,
}

# --- requests --------------------------------------------------------------------------------------------------------


def one_line(e):
    lines = [s.strip() for s in str(e).splitlines() if s.strip()]
    text = lines[0] if lines else ""
    return (text if len(text) < 400 else f"{text[:400]}…") or type(e).__name__


def end_with_input(requests, lines):
    """Hands requests on; when the sender is gone, leaves neither files nor processes."""
    for line in lines:
        requests.put(line)
    shutil.rmtree(FOLDER, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main():
    # Replies keep their own descriptor; whatever a runtime prints, from C too, must not reach it.
    replies = os.fdopen(os.dup(3), "w", buffering=1, encoding="utf-8")
    os.close(3)
    lines = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    # Where memory runs out, the system should end this process before any other.
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")
    except OSError:
        pass
    requests = queue.Queue()
    threading.Thread(target=end_with_input, args=(requests, lines), daemon=True).start()
    model = None
    count = 0
    while True:
        request = json.loads(requests.get())
        try:
            if request["do"] == "load":
                model = RUNTIMES[request["runtime"]](request["path"], request["options"])
                reply = {k: getattr(model, k) for k in ("inputs", "outputs", "values", "facts")}
            else:
                arrays = [read_tensor(n) for n in request["inputs"]]
                results, times = model.run(arrays, request.get("fetch", []))
                reply = {"outputs": [], **times}
                for r in results:
                    count += 1
                    write_tensor(f"out{count}.npy", r)
                    reply["outputs"].append(f"out{count}.npy")
        except Exception as e:
            reply = {"error": str(e) if isinstance(e, Refused) else one_line(e)}
            if isinstance(e, Unsupported):
                reply["unsupported"] = e.counts
        replies.write(json.dumps(reply) + "\n")


main()
