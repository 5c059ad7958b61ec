"""Translates a symbol graph of MXNet into an ONNX model that computes the same at inference.

Operations and attributes without a translation are refused by name, since a model that is silently wrong is worse than
none. The meaning of operations and attributes is that of MXNet 1.9.1's operator reference.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workbench.mxnet_files import SymbolGraph

# Old enough for the runtimes that labs have (onnxruntime 1.12 of 2022 and later).
OPSET, IR_VERSION = 17, 8
INPUT, OUTPUT = "data", "probabilities"
# These say how MXNet computes or trains, or repeat what the weights' shapes say.
_WITHOUT_EFFECT = {"workspace", "cudnn_tune", "cudnn_off", "num_args", "num_filter", "momentum", "use_global_stats",
                   "output_mean_var", "no_bias", "is_int", "p", "multi_input_mode", "__profiler_scope__"}  # fmt: skip


class NotExportable(ValueError):
    """The network has something that can't be said in ONNX here; the message names it, for people."""


class Attributes(dict[str, str]):
    """A node's attributes, as MXNet writes them: text. Attributes that no translation takes are refused in the end."""

    def take(self, name: str, default: Any = None) -> Any:
        text = self.pop(name, None)
        if text is None:
            return default
        if len(text) > 200:
            raise ValueError(f"{name} is {len(text)} characters long")
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def require(self, name: str, default: Any, *allowed: Any) -> None:
        if (value := self.take(name, default)) not in allowed:
            raise ValueError(f"{name} = {value} is not supported")

    def pair(self, name: str, default: int) -> list[int]:
        """Two numbers, (rows, traces)."""
        value = self.take(name, ()) or (default, default)
        if len(value) != 2:
            raise ValueError(f"{name} = {value} is not of two dimensions")
        return [int(number) for number in value]


class GraphBuilder:
    """The ONNX graph as it grows. Results are known by their names."""

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters = parameters
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        for name in inputs:
            if name in self.parameters and name not in self.initializers:
                self.initializers[name] = numpy_helper.from_array(self.parameters[name], name)
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def constant(self, values: Any, kind: type = np.int64) -> str:
        array: np.ndarray = np.asarray(values, dtype=kind)
        name = f"constant{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name


Translation = Callable[[GraphBuilder, str, list[str], Attributes], Any]
_TRANSLATIONS: dict[str, Translation] = {}


def _translates(*operations: str) -> Callable[[Translation], Translation]:
    def register(translation: Translation) -> Translation:
        _TRANSLATIONS.update(dict.fromkeys(operations, translation))
        return translation

    return register


def translate(
    symbol: SymbolGraph, parameters: Mapping[str, np.ndarray], channels: int, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """The ONNX model of a network with input `data` and one output.

    Parameters
    ----------
    symbol : the graph, as `mxnet_files.read_symbol` gives it
    parameters : float32 arrays by name
    channels : channels of the input; batch, rows and traces are left open
    metadata : text by name, kept in the model

    Raises NotExportable, which names the operation, attribute or parameter that stands in the way.
    """
    builder = GraphBuilder(parameters)
    for node in symbol.nodes:
        if node.op == "null":
            if node.name != INPUT and node.name not in parameters:
                raise NotExportable(f"The model's parameters lack '{node.name}', which its network needs.")
            continue
        if node.op not in _TRANSLATIONS:
            raise NotExportable(
                f"The network's node '{node.name}' is a '{node.op}', which is not translated to ONNX yet: "
                "add it to workbench/onnx_graph.py, with its case in the parity test."
            )
        if any(output for _, output, _ in node.inputs):
            raise NotExportable(
                f"The network's node '{node.name}' takes a second output, which is not translated to ONNX."
            )
        inputs = [symbol.nodes[source].name for source, _, _ in node.inputs]
        attributes = Attributes({name: text for name, text in node.attrs.items() if name not in _WITHOUT_EFFECT})
        try:
            _TRANSLATIONS[node.op](builder, node.name, inputs, attributes)
            if attributes:
                raise ValueError(f"{', '.join(sorted(attributes))} is not known")
        except (ValueError, TypeError, LookupError) as error:
            raise NotExportable(
                f"The network's node '{node.name}', a '{node.op}', can't be translated to ONNX: {error}."
            ) from error
    builder.add("Identity", [symbol.nodes[symbol.heads[0][0]].name], OUTPUT)
    graph = helper.make_graph(
        builder.nodes,
        "firnline",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", channels, "rows", "traces"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "outputs", "rows", "columns"])],
        list(builder.initializers.values()),
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="firnline", opset_imports=[opset], ir_version=IR_VERSION)
    helper.set_model_props(model, dict(metadata))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise NotExportable(f"The network makes no valid ONNX graph ({error}).") from error
    return model


_PLAIN = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "_copy": "Identity", "BlockGrad": "Identity",
    "elemwise_add": "Add", "broadcast_add": "Add", "add_n": "Sum", "elemwise_sub": "Sub", "broadcast_sub": "Sub",
    "elemwise_mul": "Mul", "broadcast_mul": "Mul", "elemwise_div": "Div", "broadcast_div": "Div",
    "broadcast_maximum": "Max", "broadcast_minimum": "Min",
}  # fmt: skip


def _plain(operation: str) -> Translation:
    return lambda g, name, x, a: g.add(operation, x, name)


for _mxnet, _onnx in _PLAIN.items():
    _translates(_mxnet)(_plain(_onnx))


_SCALAR = {"_plus_scalar": "Add", "_minus_scalar": "Sub", "_mul_scalar": "Mul", "_div_scalar": "Div"}
_REVERSED_SCALAR = {"_rminus_scalar": "Sub", "_rdiv_scalar": "Div"}


def _scalar(operation: str, reverse: bool) -> Translation:
    def translation(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
        operands = [x[0], g.constant(float(a.take("scalar")), np.float32)]
        g.add(operation, operands[::-1] if reverse else operands, name)

    return translation


for _mxnet, _onnx in (_SCALAR | _REVERSED_SCALAR).items():
    _translates(_mxnet)(_scalar(_onnx, _mxnet in _REVERSED_SCALAR))


@_translates("_ones")
def _ones(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("dtype", "float32", "float32", None)
    a.take("ctx")
    g.add("Identity", [g.constant(np.ones(a.take("shape")), np.float32)], name)


@_translates("Dropout")
def _dropout(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("mode", "training", "training")
    a.take("axes")
    g.add("Identity", x, name)


@_translates("Convolution")
def _convolution(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    g.add("Conv", x, name, **_window(a))


@_translates("Deconvolution")
def _deconvolution(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("target_shape", (), (), None)
    g.add("ConvTranspose", x, name, output_padding=a.pair("adj", 0), **_window(a))


def _window(a: Attributes) -> dict[str, Any]:
    a.require("layout", "NCHW", "NCHW", None)
    pad = a.pair("pad", 0)
    return {"kernel_shape": a.pair("kernel", 1), "strides": a.pair("stride", 1), "dilations": a.pair("dilate", 1),
            "group": int(a.take("num_group", 1)), "pads": pad + pad}  # fmt: skip


@_translates("BatchNorm")
def _batch_norm(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("axis", 1, 1)
    data, gamma, *others = x
    if a.take("fix_gamma", True):
        gamma = g.constant(np.ones(g.parameters[gamma].shape), np.float32)
    g.add("BatchNormalization", [data, gamma, *others], name, epsilon=float(a.take("eps", 1e-3)))


@_translates("Activation")
def _activation(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    known = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}
    kind = a.take("act_type")
    if kind not in known:
        raise ValueError(f"act_type = {kind} is not supported")
    g.add(known[kind], x, name)


@_translates("LeakyReLU")
def _leaky_relu(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    kind, slope = a.take("act_type", "leaky"), float(a.take("slope", 0.25))
    if kind == "prelu":
        per_channel = g.add("Reshape", [x[1], g.constant([-1, 1, 1])], f"{name}/slope")
        g.add("PRelu", [x[0], per_channel], name)
    elif kind in ("leaky", "elu"):
        g.add("LeakyRelu" if kind == "leaky" else "Elu", x, name, alpha=slope)
    else:
        raise ValueError(f"act_type = {kind} is not supported")


@_translates("Pooling")
def _pooling(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("layout", "NCHW", "NCHW", None)
    a.require("pooling_convention", "valid", "valid")
    kind = a.take("pool_type", "max")
    operation = {"max": "MaxPool", "avg": "AveragePool"}.get(kind)
    if operation is None:
        raise ValueError(f"pool_type = {kind} is not supported")
    everywhere = a.take("global_pool", False)
    count = {"count_include_pad": int(a.take("count_include_pad", True))} if kind == "avg" else {}
    a.take("count_include_pad")
    kernel, stride, pad = a.pair("kernel", 1), a.pair("stride", 1), a.pair("pad", 0)
    if everywhere:
        g.add(f"Global{operation}", x, name)
    else:
        g.add(operation, x, name, kernel_shape=kernel, strides=stride, pads=pad + pad, **count)


@_translates("UpSampling")
def _up_sampling(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("sample_type", None, "nearest")
    scale = int(a.take("scale"))
    if len(x) != 1:
        raise ValueError("it enlarges several inputs")
    # Asymmetric and floor: output row r is input row r // scale, for whole numbers exactly.
    g.add("Resize", [x[0], "", g.constant([1, 1, scale, scale], np.float32)], name, mode="nearest",
          coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip


@_translates("Concat")
def _concat(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    g.add("Concat", x, name, axis=int(a.take("dim", 1)))


@_translates("stack")
def _stack(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    axis = int(a.take("axis", 0))
    parts = [g.add("Unsqueeze", [part, g.constant([axis])], f"{name}/part{i}") for i, part in enumerate(x)]
    g.add("Concat", parts, name, axis=axis)


@_translates("expand_dims")
def _expand(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    g.add("Unsqueeze", [x[0], g.constant([int(a.take("axis"))])], name)


@_translates("transpose")
def _transpose(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    axes = a.take("axes", ())
    g.add("Transpose", x, name, **({"perm": list(axes)} if axes else {}))


@_translates("slice_axis")
def _slice_axis(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    begin, end = int(a.take("begin")), a.take("end")
    _slice(g, name, x[0], int(a.take("axis")), begin, end)


def _slice(g: GraphBuilder, name: str, x: str, axis: int, begin: int, end: int | None) -> str:
    last = np.iinfo(np.int64).max if end is None else end
    return g.add("Slice", [x, g.constant([begin]), g.constant([last]), g.constant([axis])], name)


@_translates("mean")
def _mean(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    a.require("exclude", False, False)
    axis = a.take("axis", ())
    axes = [axis] if isinstance(axis, int) else list(axis or ())
    g.add("ReduceMean", x, name, keepdims=int(a.take("keepdims", False)), **({"axes": axes} if axes else {}))


@_translates("Pad")
def _pad(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    width, mode, value = a.take("pad_width"), a.take("mode"), float(a.take("constant_value", 0.0))
    if mode not in ("constant", "edge", "reflect"):
        raise ValueError(f"mode = {mode} is not supported")
    pads = g.constant([*width[0::2], *width[1::2]])
    g.add("Pad", [x[0], pads, g.constant(value, np.float32)], name, mode=mode)


@_translates("Reshape")
def _reshape(g: GraphBuilder, name: str, x: list[str], a: Attributes) -> None:
    """MXNet's codes are applied to the input's shape as the model runs, since no size is known before."""
    a.require("reverse", False, False)
    codes = [int(code) for code in a.take("shape")]
    shape = g.add("Shape", x, f"{name}/shape")
    pieces: list[str] = []
    position = 0

    def sizes(count: int | None) -> str:
        """The next `count` sizes of the input, or all that are left."""
        end = None if count is None else position + count
        return _slice(g, f"{name}/sizes{len(pieces)}", shape, 0, position, end)

    while codes:
        code = codes.pop(0)
        used = 1
        if code > 0 or code == -1:
            piece = g.constant([code])
        elif code == 0:
            piece = sizes(1)
        elif code == -2:
            if any(later <= 0 for later in codes):
                raise ValueError("in its shape, -2 is not the last of the codes")
            piece = sizes(None)
        elif code == -3:
            used = 2
            piece = g.add("ReduceProd", [sizes(2)], f"{name}/product{len(pieces)}", axes=[0], keepdims=1)
        elif code == -4:
            left, right = codes.pop(0), codes.pop(0)
            known = max(left, right)
            if known < 1:
                raise ValueError(f"it splits a size into {left} and {right}")
            rest = g.add("Div", [sizes(1), g.constant([known])], f"{name}/rest{len(pieces)}")
            halves = [rest if half == -1 else g.constant([half]) for half in (left, right)]
            piece = g.add("Concat", halves, f"{name}/halves{len(pieces)}", axis=0)
        else:
            raise ValueError(f"the code {code} in its shape has no meaning")
        pieces.append(piece)
        position += used
    g.add("Reshape", [x[0], g.add("Concat", pieces, f"{name}/target", axis=0)], name)
