"""Questions to LiteRT's kernels, each a model of one operator: what `benchmarks.kernel_limits` asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.opset import OPSET
from layoutopt.tfl.recorder import one, record
from layoutopt.tfl.shapes import ShapeError


@dataclass(frozen=True, slots=True)
class Question:
    """The question whether kernels take an operator.

    Attributes:
        code: of the operator.
        dtype: of the elements that it computes or moves.
        rank: of its operand.
        quantized: whether integers stand for real numbers.
        broadcast: whether operands have different shapes.
        xnnpack: whether XNNPACK runs what it can.
    """

    code: str
    dtype: DType
    rank: int
    quantized: bool = False
    broadcast: bool = False
    xnnpack: bool = False


Make = Callable[[Question, Value], object]
"""Records the operator of a question, of its first operand."""

SIZE = 2
SHAPES = {"DEPTH_TO_SPACE": (1, 1, 1, 4), "SQUEEZE": (1, 2, 2)}
"""Of first operands that are not of twos."""
ELEMENTWISE = {code for code, facts in OPSET.items() if facts.operands == ("a", "b") and code != "BATCH_MATMUL"}
UNARY = {code for code, facts in OPSET.items() if facts.operands == ("x",) and facts.rule is not None}
BROADCASTING = {*ELEMENTWISE, "BATCH_MATMUL", "SELECT_V2"}
PADDING: Mapping[str, Any] = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
PADDING_3D: Mapping[str, Any] = {"stride_d": 1, **PADDING}


def shape_of(question: Question, *, first: bool) -> tuple[int, ...]:
    """Return the shape of the first operand, or of another; in broadcasting, axes of one and of the other alternate."""
    if question.broadcast:
        return tuple(SIZE if axis % 2 == first else 1 for axis in range(question.rank))
    return SHAPES.get(question.code, (SIZE,) * question.rank)


def grid_of(question: Question, result: bool) -> Quantization | None:
    """Scale and zero point of the operands, or of the result, which some kernels need."""
    if not question.quantized:
        return None
    bits = question.dtype.bits
    if result and (exponent := FIXED_GRIDS.get(question.code)) is not None:
        lowest = 0 if bits == 16 else int(question.dtype.min)
        zero = {"TANH": 0 if question.dtype.min else 128, "LOG_SOFTMAX": int(question.dtype.max)}
        return Quantization((2.0 ** (-15 if bits == 16 else -exponent),), (zero.get(question.code, lowest),))
    return Quantization((0.5,), (0,))


FIXED_GRIDS = {"LOGISTIC": 8, "SOFTMAX": 8, "TANH": 7, "LOG_SOFTMAX": 4}
"""The steps of results between 0 and 1, between -1 and 1, or below 0, as negative powers of 2 for 8 bits."""


def another(question: Question, shape: Sequence[int] | None = None) -> Value:
    """Return one more operand like the first, of its own shape if it is given."""
    found = shape_of(question, first=False) if shape is None else tuple(shape)
    return Value(question.dtype, found, quantization=grid_of(question, result=False))


def weights_of(question: Question, shape: Sequence[int], axis: int) -> Value:
    """Return ones of the type that goes with the operand's: int8, a scale for each channel, with int8 and int16."""
    narrow = question.quantized and question.dtype in (DType.INT8, DType.INT16)
    value = Value.constant(np.ones(shape, np.int8 if narrow else question.dtype.numpy))
    if question.quantized:
        count = shape[axis] if narrow else 1
        value.quantization = Quantization((0.5,) * count, (0,) * count, axis)
    return value


def bias_of(question: Question, count: int) -> Value:
    wide = np.int64 if question.dtype is DType.INT16 else np.int32
    value = Value.constant(np.zeros(count, wide if question.quantized else question.dtype.numpy))
    if question.quantized:
        value.quantization = Quantization((0.25,) * count, (0,) * count)
    return value


def product(shape: Sequence[int], axis: int, **options: Any) -> Make:
    """Return an operator of an operand, weights and a bias."""
    return lambda q, x: one(q.code, x, weights_of(q, shape, axis), bias_of(q, SIZE), **options)


def transposed(shape: Sequence[int], axis: int, **options: Any) -> Make:
    """Return a transposed convolution, which is told the shape of its result first."""
    return lambda q, x: one(q.code, tfl.int32(x.sizes), weights_of(q, shape, axis), x, **options)


def scalar(question: Question, number: int) -> Value:
    value = Value.constant(np.asarray(number).astype(question.dtype.numpy))
    value.quantization = grid_of(question, result=False)
    return value


def floats(question: Question) -> Value:
    return Value(DType.FLOAT32, shape_of(question, first=True))


def there_and_back(question: Question, _: Value) -> Value:
    other = DType.INT32 if question.dtype is DType.FLOAT32 else DType.FLOAT32
    return tfl.cast(tfl.cast(Value(other, shape_of(question, first=True)), question.dtype), other)


def of_axes(x: Value, number: int) -> Value:
    return tfl.int32([number] * x.rank)


def pooled(question: Question, x: Value) -> Value:
    return one(question.code, x, **PADDING, filter_height=2, filter_width=2)


def padded(question: Question, x: Value) -> Value:
    filler = [scalar(question, 1)] if question.code == "PADV2" else []
    return one(question.code, x, Value.constant(np.ones((x.rank, 2), np.int32)), *filler)


def resized(question: Question, x: Value) -> Value:
    return one(question.code, x, tfl.int32([3, 3]), align_corners=False, half_pixel_centers=False)


def selected(question: Question, x: Value) -> Value:
    return one("SELECT_V2", Value(DType.BOOL, shape_of(question, first=False)), x, another(question, x.sizes))


def reshaped(_: Question, x: Value) -> object:
    target = np.array([x.count], np.int32)
    return one("RESHAPE", x, Value.constant(target), new_shape=target)


INDICES = np.array([1, 0], np.int32)
MAKE: Mapping[str, Make] = {
    **dict.fromkeys(ELEMENTWISE, lambda q, x: one(q.code, x, another(q))),
    **dict.fromkeys(UNARY, lambda q, x: one(q.code, x)),
    "ARG_MAX": lambda _, x: tfl.arg_max(x, 0),
    "ARG_MIN": lambda _, x: tfl.arg_min(x, 0),
    "AVERAGE_POOL_2D": pooled,
    "BATCH_MATMUL": lambda q, x: one(q.code, x, another(q)),
    "BROADCAST_TO": lambda _, x: one("BROADCAST_TO", x, of_axes(x, SIZE)),
    "BITCAST": lambda _, x: record("BITCAST", x, results=[(x.dtype, x.shape)]),
    "CAST": there_and_back,
    "CONCATENATION": lambda q, x: one("CONCATENATION", x, another(q), axis=0),
    "CONV_2D": product((SIZE, 1, 1, SIZE), 0, **PADDING),
    "CONV_3D": product((1, 1, 1, SIZE, SIZE), 4, **PADDING_3D),
    "CONV_3D_TRANSPOSE": transposed((1, 1, 1, SIZE, SIZE), 4, **PADDING_3D),
    "CUMSUM": lambda _, x: tfl.cumsum(x, 0),
    "DEPTHWISE_CONV_2D": product((1, 1, 1, SIZE), 3, depth_multiplier=1, **PADDING),
    "DEPTH_TO_SPACE": lambda _, x: tfl.depth_to_space(x, 2),
    "DEQUANTIZE": lambda _, x: tfl.dequantize(x),
    "DYNAMIC_UPDATE_SLICE": lambda q, x: tfl.dynamic_update_slice(x, another(q, (1,) * q.rank), of_axes(x, 1)),
    "EXPAND_DIMS": lambda _, x: one("EXPAND_DIMS", x, tfl.int32(0)),
    "FILL": lambda q, _: one("FILL", tfl.int32([SIZE] * q.rank), another(q, ())),
    "FULLY_CONNECTED": product((SIZE, SIZE), 0, keep_num_dims=True),
    "GATHER": lambda _, x: tfl.gather(x, INDICES),
    "GATHER_ND": lambda _, x: tfl.gather_nd(x, INDICES[:, None]),
    "MAX_POOL_2D": pooled,
    "MIRROR_PAD": lambda q, x: one(q.code, x, Value.constant(np.ones((x.rank, 2), np.int32)), mode="REFLECT"),
    "NON_MAX_SUPPRESSION_V4": lambda q, _: record(
        q.code, another(q, (SIZE, 4)), another(q, (SIZE,)), tfl.int32(1), scalar(q, 0), scalar(q, 0)
    ),
    "ONE_HOT": lambda q, _: one(
        "ONE_HOT",
        Value.constant(np.ones((SIZE,) * (q.rank - 1), np.int32)),
        tfl.int32(SIZE),
        another(q, ()),
        another(q, ()),
    ),
    "PACK": lambda q, x: one("PACK", x, another(q), values_count=2, axis=0),
    "PAD": padded,
    "PADV2": padded,
    "PRELU": lambda q, x: one("PRELU", x, another(q, x.sizes[1:])),
    "QUANTIZE": lambda q, _: tfl.quantize(
        Value(DType.FLOAT32, shape_of(q, first=True)), q.dtype, Quantization((0.5,), (0,))
    ),
    "RANGE": lambda q, _: one("RANGE", scalar(q, 0), another(q, ()), scalar(q, 1)),
    "RESHAPE": reshaped,
    "RESIZE_BILINEAR": resized,
    "RESIZE_NEAREST_NEIGHBOR": resized,
    "REVERSE_SEQUENCE": lambda _, x: tfl.reverse_sequence(x, tfl.int32([1] * SIZE), 1, 0),
    "REVERSE_V2": lambda _, x: tfl.reverse(x, [0]),
    "SCATTER_ND": lambda _, x: tfl.scatter_nd(INDICES[:, None], x, x.sizes),
    "SELECT_V2": selected,
    "SHAPE": lambda _, x: one("SHAPE", x, out_type="INT32"),
    "SLICE": lambda _, x: one("SLICE", x, of_axes(x, 1), of_axes(x, 1)),
    "SPACE_TO_DEPTH": lambda _, x: tfl.space_to_depth(x, 2),
    "SPLIT": lambda _, x: record("SPLIT", tfl.int32(0), x, num_splits=2),
    "SPLIT_V": lambda _, x: record("SPLIT_V", x, tfl.int32([1, 1]), tfl.int32(0), num_splits=2),
    "SQUEEZE": lambda _, x: one("SQUEEZE", x, squeeze_dims=np.array([0], np.int32)),
    "STRIDED_SLICE": lambda _, x: one("STRIDED_SLICE", x, of_axes(x, 0), of_axes(x, SIZE), of_axes(x, 2)),
    "TILE": lambda _, x: one("TILE", x, of_axes(x, 2)),
    "TOPK_V2": lambda _, x: record("TOPK_V2", x, tfl.int32(1)),
    "TRANSPOSE": lambda _, x: one("TRANSPOSE", x, tfl.int32(list(range(x.rank))[::-1])),
    "TRANSPOSE_CONV": transposed((SIZE, 1, 1, SIZE), 0, **PADDING),
    "UNIQUE": lambda _, x: tfl.unique(x),
    "UNPACK": lambda _, x: record("UNPACK", x, num=SIZE, axis=0),
    **{
        code: lambda q, x: one(q.code, x, tfl.int32([0] * SIZE), tfl.int32(1))
        for code in OPSET
        if code.startswith("UNSORTED_SEGMENT")
    },
    **{
        code: lambda q, x: one(q.code, x, tfl.int32([0]), keep_dims=False)
        for code, facts in OPSET.items()
        if facts.options == "ReducerOptions"
    },
}


def model_of(question: Question) -> Model | None:
    """Return the question as a model; None where it makes no sense."""
    x = Value(question.dtype, shape_of(question, first=True), quantization=grid_of(question, result=False))
    graph = Graph()
    try:
        with tfl.recording(graph):
            MAKE[question.code](question, x)
    except (AssertionError, IndexError, ShapeError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not graph.operations:
        return None
    made = {result for operation in graph.operations for result in operation.results}
    read = [each for operation in graph.operations for each in operation.operands if each is not None]
    graph.inputs = [each for each in dict.fromkeys(read) if each.data is None and each not in made]
    graph.outputs = graph.operations[-1].results
    for result in graph.outputs:
        if result.dtype is question.dtype:
            result.quantization = grid_of(question, result=True)
    return Model(graph, [f"x{at}" for at in range(len(graph.inputs))], [f"y{at}" for at in range(len(graph.outputs))])
