"""A small recorded graph for every operator of LiteRT, and for what may go wrong with some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Shape, Value
from layoutopt.tfl.recorder import one

Array: TypeAlias = "npt.NDArray[Any]"
Build: TypeAlias = "Callable[..., Value | Sequence[Value]]"
_RNG = np.random.default_rng(5)


@dataclass(frozen=True, slots=True)
class Case:
    """A graph that holds one operator.

    Attributes:
        code: of the operator.
        build: records it on the inputs.
        arrays: what the inputs are.
        shapes: of the inputs as the graph declares them, where they are not those of the arrays.
        becomes: the operators that the converter makes of it, where they are not those that are recorded.
        why: reason for that.
    """

    code: str
    build: Build
    arrays: Sequence[Array]
    shapes: Sequence[Shape] = ()
    becomes: Mapping[str, int] = field(default_factory=dict)
    why: str = ""

    def model(self) -> Model:
        """The recorded graph."""
        shapes = self.shapes or [array.shape for array in self.arrays]
        graph = Graph([Value(DType.of(x.dtype), shape) for x, shape in zip(self.arrays, shapes, strict=True)])
        with tfl.recording(graph), tfl.scope("stage/node 1"):
            results = self.build(*graph.inputs)
        graph.outputs = [results] if isinstance(results, Value) else list(results)
        return Model(graph, self.input_names, [f"y.{i}" for i in range(len(graph.outputs))])

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, which TensorFlow would not take."""
        return [f"x.{i}" for i in range(len(self.arrays))]

    def operators(self) -> Counter[str]:
        """The operators that are to be in the .tflite."""
        recorded = Counter(operation.code for operation in self.model().graph.all_operations())
        return Counter(self.becomes) if self.becomes else recorded


def floats(*shape: int) -> Array:
    """Standard normal."""
    return _RNG.standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> Array:
    """Between 0.5 and 2."""
    return _RNG.uniform(0.5, 2, shape).astype(np.float32)


def ints(*shape: int, low: int = -9, high: int = 9, dtype: npt.DTypeLike = np.int32) -> Array:
    """From ``low`` up to ``high``, which is left out."""
    return _RNG.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> Array:
    """Either."""
    return _RNG.random(shape) < 0.5


def _cases() -> Iterator[Case]:
    yield from _elements()
    yield from _windows()
    yield from _products()
    yield from _shapes()
    yield from _indices()
    yield from _at_run_time()
    yield from _quantization()
    yield from _control_flow()


def _elements() -> Iterator[Case]:
    x, y, row = floats(2, 3, 4), floats(2, 3, 4), floats(4)
    for name in ("abs_", "ceil", "cos", "elu", "exp", "floor", "gelu", "hard_swish", "logistic", "log_softmax", "neg"):
        yield Case(name.rstrip("_").upper(), getattr(tfl, name), [x])
    for name in ("relu", "relu6", "relu_n1_to_1", "round_", "sign", "sin", "softmax", "square", "tanh"):
        yield Case(name.rstrip("_").upper(), getattr(tfl, name), [4 * x])
    for name in ("log", "rsqrt", "sqrt"):
        yield Case(name.upper(), getattr(tfl, name), [positive(2, 3, 4)])
    yield Case("ATAN2", tfl.atan2, [x, y])
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "squared_difference"):
        yield Case(name.upper(), getattr(tfl, name), [x, y])
        becomes = {"MUL": 1} if name == "div" else {}
        why = "a division by constants is a product with their reciprocals"
        yield Case(name.upper(), partial(getattr(tfl, name), b=row), [x], becomes=becomes, why=why)
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "floor_div", "floor_mod"):
        yield Case(name.upper(), getattr(tfl, name), [ints(3, 4), ints(3, 4, low=1)])
    for name in ("logical_and", "logical_or"):
        yield Case(name.upper(), getattr(tfl, name), [bools(3, 4), bools(3, 4)])
    yield Case("LOGICAL_NOT", tfl.logical_not, [bools(3, 4)])
    yield Case("POW", tfl.pow_, [positive(3, 4), floats(3, 4)])
    yield Case("GELU", lambda x: tfl.gelu(x, approximate=True), [x])
    for activation in ("RELU", "RELU6", "RELU_N1_TO_1"):
        options: dict[str, Any] = {"fused_activation_function": activation}
        yield Case("ADD", lambda x, options=options: one("ADD", x, tfl.value_of(row), **options), [4 * x])
    why = "TensorFlow has no beta"
    yield Case("SOFTMAX", partial(tfl.softmax, beta=2.0), [x], becomes={"MUL": 1, "SOFTMAX": 1}, why=why)
    infinite = np.array([-np.inf, 0, np.inf, 1], np.float32)
    yield Case("MAXIMUM", lambda x: [tfl.maximum(x, infinite), tfl.less(x, infinite)], [x])
    yield Case("EXP", lambda x: tfl.log(tfl.sin(tfl.exp(x))), [x])
    yield Case("DIV", tfl.div, [ints(3, 4), ints(3, 4, low=1)])
    yield Case("BITWISE_XOR", tfl.bitwise_xor, [ints(3, 4), ints(3, 4)])
    yield Case("RIGHT_SHIFT", tfl.right_shift, [ints(3, 4), ints(3, 4, low=0, high=5)])
    yield Case("LEAKY_RELU", lambda x: tfl.leaky_relu(x, 0.3), [x])
    slope = positive(1, 4)
    yield Case("PRELU", lambda x: tfl.prelu(x, slope), [x])
    why = "operands of one shape need no broadcasting"
    yield Case("SELECT_V2", tfl.select_v2, [bools(2, 3, 4), x, y], becomes={"SELECT": 1}, why=why)
    yield Case("SELECT_V2", tfl.select_v2, [bools(2, 1, 4), x, floats(1)])
    yield Case("CAST", lambda x: tfl.cast(x, DType.INT32), [9 * x])
    yield Case("BITCAST", lambda x: tfl.bitcast(x, DType.INT32), [x])
    yield Case("BITCAST", lambda x: tfl.bitcast(x, DType.UINT8), [ints(3, 4)])


def _windows() -> Iterator[Case]:
    x, filters, bias = floats(1, 8, 9, 4), floats(6, 3, 2, 4), floats(6)
    yield Case("CONV_2D", partial(tfl.conv_2d, filters=filters, bias=bias, strides=(2, 1), padding="SAME"), [x])
    yield Case("CONV_2D", partial(tfl.conv_2d, filters=filters, dilations=(2, 3)), [x])
    yield Case("CONV_2D", partial(tfl.conv_2d, filters=floats(6, 3, 3, 2)), [x])  # two groups
    constants = tfl.values_of(filters, bias)
    options: dict[str, Any] = {"stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU"}
    yield Case("CONV_2D", lambda x: one("CONV_2D", x, *constants, **options), [x])
    deep, own = partial(tfl.depthwise_conv_2d, filters=floats(1, 3, 3, 8)), floats(8)
    yield Case("DEPTHWISE_CONV_2D", partial(deep, bias=own, strides=(2, 2), padding="SAME"), [x])
    yield Case("DEPTHWISE_CONV_2D", partial(deep, dilations=(2, 2)), [x])
    spread, own = partial(tfl.transpose_conv, filters=floats(5, 3, 3, 4), strides=(2, 2)), floats(5)
    yield Case("TRANSPOSE_CONV", partial(spread, shape=(1, 16, 18, 5), bias=own, padding="SAME"), [x])
    yield Case("TRANSPOSE_CONV", partial(spread, shape=(1, 17, 19, 5), padding="VALID"), [x])
    yield from _volumes()
    for name in ("max_pool_2d", "average_pool_2d"):
        yield Case(name.upper(), partial(getattr(tfl, name), kernel=(3, 2), strides=(2, 1), padding="SAME"), [x])
    for name in ("resize_bilinear", "resize_nearest_neighbor"):
        for corners, centers in ((False, False), (True, False), (False, True)):
            flags = {"align_corners": corners, "half_pixel_centers": centers}
            yield Case(name.upper(), partial(getattr(tfl, name), size=(13, 5), **flags), [x])
    yield Case("DEPTH_TO_SPACE", lambda x: tfl.depth_to_space(x, 2), [floats(1, 3, 4, 12)])
    yield Case("SPACE_TO_DEPTH", lambda x: tfl.space_to_depth(x, 2), [floats(1, 4, 6, 3)])
    normalize = partial(tfl.local_response_normalization, radius=1, bias=1.5, alpha=0.2, beta=0.75)
    yield Case("LOCAL_RESPONSE_NORMALIZATION", normalize, [x])


def _volumes() -> Iterator[Case]:
    x, filters, why = floats(1, 5, 6, 7, 3), floats(2, 3, 2, 3, 4), "the converter gives it a bias of zeros alone"
    conv = partial(tfl.conv_3d, filters=filters, strides=(2, 1, 2), padding="SAME")
    yield Case("CONV_3D", conv, [x])
    yield Case("CONV_3D", partial(conv, bias=floats(4)), [x], becomes={"CONV_3D": 1, "ADD": 1}, why=why)
    shape, filters = (1, 10, 12, 14, 4), floats(2, 3, 2, 4, 3)
    back = partial(tfl.conv_3d_transpose, filters=filters, shape=shape, strides=(2, 2, 2), padding="SAME")
    yield Case("CONV_3D_TRANSPOSE", back, [x])


def _products() -> Iterator[Case]:
    x = floats(2, 3, 4)
    matrix, bias = floats(5, 4), floats(5)
    for name in ("sum_", "mean", "reduce_max", "reduce_min", "reduce_prod"):
        for keep in (False, True):
            reduced = partial(getattr(tfl, name), axes=[0, 2], keep_dims=keep)
            yield Case(name.rstrip("_").upper(), reduced, [x])
    for name in ("reduce_any", "reduce_all"):
        yield Case(name.upper(), partial(getattr(tfl, name), axes=[1]), [bools(3, 4)])
    for name in ("arg_max", "arg_min"):
        yield Case(name.upper(), partial(getattr(tfl, name), axis=1), [x])
        yield Case(name.upper(), partial(getattr(tfl, name), axis=1, dtype=DType.INT32), [x])
    yield Case("CUMSUM", lambda x: tfl.cumsum(x, 1), [x])
    yield Case("CUMSUM", lambda x: tfl.cumsum(x, 2, exclusive=True, reverse=True), [x])
    yield Case("FULLY_CONNECTED", lambda x: tfl.fully_connected(x, matrix, bias), [floats(3, 4)])
    yield Case("FULLY_CONNECTED", lambda x: tfl.fully_connected(x, matrix, bias), [x])
    yield Case("FULLY_CONNECTED", lambda x: tfl.fully_connected(x, matrix), [x])
    yield Case("FULLY_CONNECTED", lambda x: tfl.fully_connected(x, matrix, bias, keep_num_dims=False), [x])
    yield Case("FULLY_CONNECTED", tfl.fully_connected, [floats(3, 4), matrix])
    yield Case("BATCH_MATMUL", tfl.batch_matmul, [x, floats(2, 4, 5)])
    yield Case("BATCH_MATMUL", lambda a, b: tfl.batch_matmul(a, b, adj_y=True), [x, floats(2, 5, 4)])
    yield Case("BATCH_MATMUL", lambda a, b: tfl.batch_matmul(a, b, adj_x=True), [x, floats(2, 3, 5)])
    yield Case("BATCH_MATMUL", tfl.batch_matmul, [floats(3, 4), floats(4, 5)])
    why = "a product with a constant matrix"
    yield Case("BATCH_MATMUL", partial(tfl.batch_matmul, b=matrix.T), [x], becomes={"FULLY_CONNECTED": 1}, why=why)


def _shapes() -> Iterator[Case]:
    x, more, open_ = floats(2, 3, 4), floats(2, 3, 1), (None, 3, 1)
    yield Case("RESHAPE", lambda x: tfl.reshape(x, (4, 6)), [x])
    why = "with one size that is known at run time only, a RESHAPE says the same"
    yield Case("SQUEEZE", lambda x: tfl.squeeze(x, [2]), [floats(2, 3, 1)], [open_], {"RESHAPE": 1}, why)
    yield Case("SQUEEZE", lambda x: tfl.squeeze(x, [2]), [floats(2, 3, 1)], [(None, None, 1)])
    yield Case("EXPAND_DIMS", lambda x: tfl.expand_dims(x, 1), [floats(2, 3, 1)], [open_])
    yield Case("TRANSPOSE", lambda x: tfl.transpose(x, (2, 0, 1)), [x])
    yield Case("CONCATENATION", lambda a, b: tfl.concatenation([a, b, more], 2), [x, floats(2, 3, 2)])
    yield Case("PACK", lambda a, b: tfl.pack([a, b], 1), [x, floats(2, 3, 4)])
    yield Case("UNPACK", lambda x: tfl.unpack(x, 1), [x])
    yield Case("SPLIT", lambda x: tfl.split(x, 2, 2), [x])
    yield Case("SPLIT_V", lambda x: tfl.split_v(x, [1, 3], 2), [x])
    yield Case("SLICE", lambda x: x[:, 1:, :3], [x])
    yield Case("STRIDED_SLICE", lambda x: x[:, ::2, 1::2], [x])
    yield Case("STRIDED_SLICE", lambda x: x[1:, :2], [floats(2, 3, 1)], [open_])
    yield Case("PAD", lambda x: tfl.pad(x, [[0, 1], [2, 0], [0, 0]]), [x])
    yield Case("PADV2", lambda x: tfl.pad(x, [[0, 1], [2, 0], [0, 0]], 7.0), [x])
    paddings = tfl.int32([[0, 1], [2, 0], [0, 3]])
    for mode in ("REFLECT", "SYMMETRIC"):
        yield Case("MIRROR_PAD", lambda x, mode=mode: one("MIRROR_PAD", x, paddings, mode=mode), [x])
    yield Case("TILE", lambda x: tfl.tile(x, (1, 2, 3)), [x])
    yield Case("BROADCAST_TO", lambda x: tfl.broadcast_to(x, (2, 3, 4)), [floats(3, 1)])
    yield Case("FILL", lambda shape: tfl.fill(shape, 2.5), [np.array([2, 3], np.int32)])
    yield Case("SHAPE", tfl.shape_of, [floats(2, 3, 1)], [open_])
    yield Case("SHAPE", lambda x: tfl.shape_of(x, DType.INT64), [floats(2, 3, 1)], [open_])
    yield Case("RANGE", lambda limit: tfl.range_(2, limit, 3), [np.array(12, np.int32)])
    yield Case("REVERSE_V2", lambda x: tfl.reverse(x, [1]), [x])
    yield Case("REVERSE_SEQUENCE", lambda x, n: tfl.reverse_sequence(x, n, 1, 0), [x, np.array([2, 3], np.int32)])


def _indices() -> Iterator[Case]:
    x, places = floats(5, 3, 4), ints(2, 3, low=0, high=3)
    pairs = np.array([[0, 1], [4, 2], [0, 1]], np.int32)
    yield Case("GATHER", lambda x, i: tfl.gather(x, i, 1), [x, places])
    yield Case("GATHER", lambda x, i: tfl.gather(x, i, 1, batch_dims=1), [floats(2, 3, 4), places])
    yield Case("GATHER_ND", tfl.gather_nd, [x, pairs])
    yield Case("SCATTER_ND", lambda i, u: tfl.scatter_nd(i, u, (5, 3, 4)), [pairs, floats(3, 4)])
    yield Case("ONE_HOT", lambda i: tfl.one_hot(i, 4, 3.0, -1.0, axis=1), [places])
    yield Case("WHERE", tfl.where, [bools(3, 4)])
    yield Case("UNIQUE", tfl.unique, [ints(9, low=0, high=4)])
    yield Case("TOPK_V2", lambda x: tfl.topk_v2(x, 2), [x])
    yield Case("TOPK_V2", tfl.topk_v2, [x, np.array(2, np.int32)])
    yield Case("DYNAMIC_UPDATE_SLICE", tfl.dynamic_update_slice, [x, floats(2, 3, 4), np.array([1, 0, 0], np.int32)])
    segments = np.array([1, 0, 1, 2, 0], np.int32)
    for name in ("max", "min", "prod", "sum"):
        function = getattr(tfl, f"unsorted_segment_{name}")
        yield Case(f"UNSORTED_SEGMENT_{name.upper()}", lambda x, i, f=function: f(x, i, 3), [x, segments])
    corners = _RNG.uniform(0, 1, (6, 2))
    boxes = np.concatenate([corners, corners + _RNG.uniform(0.2, 1, (6, 2))], 1).astype(np.float32)
    yield Case(
        "NON_MAX_SUPPRESSION_V4",
        lambda boxes, scores: tfl.non_max_suppression_v4(boxes, scores, 4, 0.3, 0.1),
        [boxes, _RNG.permutation(6).astype(np.float32)],
    )


def _at_run_time() -> Iterator[Case]:
    """Operands that are constants mostly."""
    x, row = floats(2, 3, 4), floats(4)
    pair, triple = np.array([6, 4], np.int32), np.array([1, 2, 2], np.int32)
    yield Case("RESHAPE", tfl.reshape, [x, pair])
    yield Case("SUM", tfl.sum_, [x, np.array([1], np.int32)])
    yield Case("CUMSUM", tfl.cumsum, [x, np.array(1, np.int32)])
    yield Case("SLICE", tfl.slice_, [x, np.array([0, 1, 1], np.int32), triple])
    yield Case("STRIDED_SLICE", lambda x, begin: tfl.strided_slice(x, begin, [2, 3, 4], [1, 1, 2]), [x, triple - 1])
    yield Case("PAD", tfl.pad, [x, ints(3, 2, low=0, high=3)])
    yield Case("PADV2", tfl.pad, [x, ints(3, 2, low=0, high=3), np.array(2.5, np.float32)])
    yield Case("TILE", tfl.tile, [x, triple])
    yield Case("BROADCAST_TO", tfl.broadcast_to, [floats(4), np.array([2, 3, 4], np.int32)])
    yield Case("SPLIT_V", lambda x, sizes: tfl.split_v(x, sizes, 2), [x, np.array([1, 3], np.int32)])
    yield Case("SCATTER_ND", tfl.scatter_nd, [np.array([[1], [0]], np.int32), x, np.array([5, 3, 4], np.int32)])
    becomes, why = {"FULLY_CONNECTED": 1, "ADD": 1}, "only a constant is a bias"
    yield Case("FULLY_CONNECTED", tfl.fully_connected, [floats(3, 4), floats(5, 4), floats(5)], (), becomes, why)
    resize = partial(tfl.resize_bilinear, align_corners=False, half_pixel_centers=True)
    yield Case("RESIZE_BILINEAR", lambda x, size: resize(x, size), [floats(1, 3, 4, 2), pair])
    yield Case("CONV_2D", partial(tfl.conv_2d, strides=(2, 1)), [floats(1, 5, 6, 4), floats(6, 3, 2, 4)])
    becomes, why = {"RELU": 1, "MINIMUM": 1, "MUL": 1, "ADD": 1}, "only a constant is a slope"
    yield Case("PRELU", tfl.prelu, [x, floats(1, 4)], (), becomes, why)
    why = "nothing is computed twice; each output has a tensor of its own"
    yield Case(
        "ADD",
        lambda x: [tfl.add(x, row), tfl.add(x, row), x, tfl.value_of(row)],
        [x],
        (),
        {"ADD": 1, "RESHAPE": 3},
        why,
    )


def _quantization() -> Iterator[Case]:
    x, scale = 3 * floats(2, 3, 4), Quantization((0.05,), (7,))
    yield Case("QUANTIZE", lambda x: tfl.dequantize(tfl.quantize(x, DType.INT8, scale)), [x])
    yield Case("DEQUANTIZE", lambda x: tfl.dequantize(tfl.quantize(x, DType.UINT8, scale)), [x])
    yield Case("QUANTIZE", lambda x: _viewed(tfl.quantize(x, DType.INT8, scale), scale), [x])
    why = "somebody reads the integers"
    integers = {"MUL": 1, "ROUND": 1, "ADD": 1, "MAXIMUM": 1, "MINIMUM": 1, "CAST": 2}
    yield Case(
        "QUANTIZE",
        lambda x: tfl.cast(tfl.quantize(x, DType.INT8, scale), DType.INT32),
        [x],
        becomes=integers,
        why=why,
    )
    each, why = Quantization((0.05, 0.1, 0.2, 0.4), (7, 0, -3, 5), 2), "one scale for each index of an axis"
    becomes = {**integers, "SUB": 1, "MUL": 2}
    yield Case("QUANTIZE", lambda x: tfl.dequantize(tfl.quantize(x, DType.INT8, each)), [x], (), becomes, why)
    grid = ints(2, 3, low=-128, high=128, dtype=np.int8)
    becomes, why = {"CAST": 1, "SUB": 1, "MUL": 1, "QUANTIZE": 1, "DEQUANTIZE": 1}, "what a caller gives has no scale"
    yield Case("DEQUANTIZE", lambda x: tfl.dequantize(_scaled(x, scale)), [grid], (), becomes, why)
    becomes, why = {"ADD": 1}, "a constant is computed now"
    yield Case(
        "DEQUANTIZE", lambda x: x + tfl.dequantize(_scaled(tfl.value_of(grid), scale)), [floats(2, 3)], (), becomes, why
    )
    why = "the converter keeps it for constants"
    yield Case("DEQUANTIZE", tfl.dequantize, [floats(2, 3).astype(np.float16)], becomes={"CAST": 1}, why=why)


def _scaled(x: Value, scale: Quantization) -> Value:
    x.quantization = scale
    return x


def _viewed(x: Value, scale: Quantization) -> Value:
    """Turn integers round before they become real numbers."""
    for view in (partial(tfl.reshape, shape=(6, 4)), partial(tfl.transpose, perm=(1, 0))):
        x = _scaled(view(x), scale)
    return tfl.dequantize(x)


def _control_flow() -> Iterator[Case]:
    x = floats(2, 3)
    for condition in (True, False):
        yield Case(
            "IF",
            lambda c, x, y: tfl.if_(c, lambda: [tfl.exp(x), x], lambda: [tfl.sin(y), tfl.neg(x)]),
            [np.array(condition), x, floats(2, 3)],
        )
    yield Case(
        "WHILE",
        lambda n, x, y: tfl.while_(
            lambda i, _: tfl.less(i, n), lambda i, z: [tfl.add(i, 1), tfl.add(z, tfl.sin(y))], [np.int32(0), x]
        ),
        [np.array(3, np.int32), x, floats(2, 3)],
    )
    yield Case(
        "WHILE",
        lambda x: tfl.while_(
            lambda i, _: tfl.less(i, 3),
            lambda i, z: [tfl.add(i, 1), tfl.concatenation([z, x], 0)],
            [np.int32(0), x],
            [(), (None, 3)],
        ),
        [x],
    )

    yield Case(
        "WHILE",
        lambda c, x: tfl.while_(
            lambda i, _: tfl.less(i, 3),
            lambda i, z: [tfl.add(i, 1), *tfl.if_(c, lambda: [tfl.sin(z)], lambda: [tfl.mul(z, x)])],
            [np.int32(0), x],
        ),
        [np.array(False), x],
    )
    row, becomes, why = floats(2, 3), {"IF": 1, "EXP": 1, "RESHAPE": 1}, "each output has a tensor of its own"
    never = np.array(False)
    yield Case("IF", lambda c, x: tfl.if_(c, lambda: [tfl.exp(x)], lambda: [row]), [never, x], (), becomes, why)


CASES: Sequence[Case] = tuple(_cases())
