"""Each rewrite by itself: the text of the graph after it, and the same numbers in LiteRT before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites import FLOAT_RULES, simplify
from layoutopt.tfl.text import format_graph

_RNG = np.random.default_rng(5)


def floats(*shape: int) -> Array:
    """Standard normal."""
    return _RNG.standard_normal(shape).astype(np.float32)


WEIGHTS, MATRIX, ROWS = floats(4, 3, 3, 3), floats(3, 20), floats(20, 3)
BIAS = floats(20)
ASCENDING, PAIRS = np.array([1, 2, 3, 4], np.float32), np.array([1, 1, 2, 2], np.float32)
DEPTHWISE = floats(1, 3, 3, 3)
PICTURE = (1, 8, 8, 3)
BORDER, MEAN = [[0, 0], [1, 1], [1, 1], [0, 0]], np.array([1, 2, 3], np.float32)


@dataclass(frozen=True)
class Case:
    """A few operations of inputs, and what is left of them.

    Attributes:
        make: records them, and returns the outputs.
        after: the operations of the rewritten graph, without inputs and outputs.
        shapes: of the inputs.
    """

    make: Callable[..., Value | Sequence[Value]]
    after: str
    shapes: tuple[tuple[int, ...], ...] = (PICTURE,)

    def graph(self) -> Graph:
        graph = Graph([Value(DType.FLOAT32, shape) for shape in self.shapes])
        with tfl.recording(graph):
            made = self.make(*graph.inputs)
        graph.outputs = [made] if isinstance(made, Value) else list(made)
        return graph


def conv(x: Value, bias: Array | None = None, padding: str = "VALID") -> Value:
    return tfl.conv_2d(x, WEIGHTS, bias, padding=padding)


def slices(x: Value, *corners: tuple[int, int]) -> Value:
    """Every other row and column from each of the corners on, joined along the channels."""
    parts = [tfl.strided_slice(x, (0, y, x_, 0), (1, 8 + y, 8 + x_, 3), (1, 2, 2, 1)) for y, x_ in corners]
    return tfl.concatenation(parts, 3)


def square(x: Value) -> Value:
    return x * x


def convolution(bias: str, *, activation: str = "", padding: str = "VALID") -> str:
    """The line of a CONV_2D with ``WEIGHTS``."""
    options = [] if padding == "SAME" else [f"padding={padding}"]
    options += ["stride_w=1", "stride_h=1", *([f"fused_activation_function={activation}"] if activation else [])]
    size = 8 if padding == "SAME" else 6
    return f"%1 = CONV_2D(%0, <float32[4,3,3,3]>, {bias}){{{', '.join(options)}}} : float32[1,{size},{size},4]"


CORNERS = (0, 0), (0, 1), (1, 0), (1, 1)
FOCUS = floats(20, 3, 3, 12)
CASES = {
    "slices of a picture": Case(
        lambda x: slices(x, *CORNERS), "%1 = SPACE_TO_DEPTH(%0){block_size=2} : float32[1,4,4,12]"
    ),
    "slices in another order before a convolution": Case(
        lambda x: tfl.conv_2d(slices(x, *CORNERS[::2], *CORNERS[1::2]), FOCUS, BIAS),
        "%1 = SPACE_TO_DEPTH(%0){block_size=2} : float32[1,4,4,12]\n"
        "%2 = CONV_2D(%1, <float32[20,3,3,12]>, <float32[20]>){padding=VALID, stride_w=1, stride_h=1} "
        ": float32[1,2,2,20]",
    ),
    "dead code": Case(lambda x: (tfl.exp(x), tfl.sin(x))[1], "%1 = SIN(%0) : float32[1,8,8,3]"),
    "common subexpressions": Case(
        lambda x: tfl.sin(x) * tfl.sin(x),
        "%1 = SIN(%0) : float32[1,8,8,3]\n%2 = MUL(%1, %1) : float32[1,8,8,3]",
    ),
    "bias": Case(lambda x: conv(x, ASCENDING) + PAIRS, convolution("[2.,3.,5.,6.]")),
    "bias on the left": Case(lambda x: 2 + conv(x), convolution("[2.,2.,2.,2.]")),
    "bias less": Case(lambda x: conv(x) - np.float32(2), convolution("[-2.,-2.,-2.,-2.]")),
    "less a convolution is no bias": Case(
        lambda x: 2 - conv(x),
        convolution("[0.,0.,0.,0.]") + "\n%2 = SUB(2., %1) : float32[1,6,6,4]",
    ),
    "bias with other axes is none": Case(
        lambda x: conv(x) + np.ones((6, 1), np.float32),
        convolution("[0.,0.,0.,0.]") + "\n%2 = ADD(%1, [[1.],[1.],[1.],[1.],[1.],[1.]]) : float32[1,6,6,4]",
    ),
    "bias that makes it larger is none": Case(
        lambda x: conv(x) + np.ones((2, 1, 1, 1), np.float32),
        convolution("[0.,0.,0.,0.]") + "\n%2 = ADD(%1, [[[[1.]]],[[[1.]]]]) : float32[2,6,6,4]",
    ),
    "bias of a value that others read": Case(
        lambda x: (lambda y: [y, y + np.float32(1)])(conv(x)),
        convolution("[0.,0.,0.,0.]") + "\n%2 = ADD(%1, 1.) : float32[1,6,6,4]",
    ),
    "bias of a product": Case(
        lambda x: tfl.batch_matmul(x, MATRIX) + BIAS,
        "%1 = FULLY_CONNECTED(%0, <float32[20,3]>, <float32[20]>) : float32[2,20]",
        ((2, 3),),
    ),
    "scale": Case(lambda x: conv(x, ASCENDING) * np.float32(2), convolution("[2.,4.,6.,8.]")),
    "activation": Case(lambda x: tfl.relu6(conv(x)), convolution("[0.,0.,0.,0.]", activation="RELU6")),
    "activation after a bias": Case(
        lambda x: tfl.relu(conv(x) + np.float32(1)), convolution("[1.,1.,1.,1.]", activation="RELU")
    ),
    "activation of arithmetic": Case(
        lambda x, y: tfl.relu_n1_to_1(x - y),
        "%2 = SUB(%0, %1){fused_activation_function=RELU_N1_TO_1} : float32[1,8,8,3]",
        (PICTURE, PICTURE),
    ),
    "one activation only": Case(
        lambda x, y: tfl.relu6(tfl.relu(x + y)),
        "%2 = ADD(%0, %1){fused_activation_function=RELU} : float32[1,8,8,3]\n%3 = RELU6(%2) : float32[1,8,8,3]",
        (PICTURE, PICTURE),
    ),
    "activation after a move": Case(
        lambda x: tfl.relu(tfl.depth_to_space(conv(x), 2)),
        convolution("[0.,0.,0.,0.]", activation="RELU")
        + "\n%2 = DEPTH_TO_SPACE(%1){block_size=2} : float32[1,12,12,1]",
    ),
    "activation after a reshape": Case(
        lambda x, y: tfl.relu6(tfl.reshape(x + y, (64, 3))),
        "%2 = ADD(%0, %1){fused_activation_function=RELU6} : float32[1,8,8,3]\n"
        "%3 = RESHAPE(%2, [64,3]) : float32[64,3]",
        (PICTURE, PICTURE),
    ),
    "activation after a move that others read": Case(
        lambda x: (lambda y: [tfl.relu(y), tfl.sin(y)])(tfl.depth_to_space(conv(x), 2)),
        convolution("[0.,0.,0.,0.]")
        + "\n%2 = DEPTH_TO_SPACE(%1){block_size=2} : float32[1,12,12,1]\n"
        "%3 = RELU(%2) : float32[1,12,12,1]\n%4 = SIN(%2) : float32[1,12,12,1]",
    ),
    "maximum with zero": Case(
        lambda x: tfl.maximum(0, conv(x)), convolution("[0.,0.,0.,0.]", activation="RELU")
    ),
    "maximum with zeros that make it larger": Case(
        lambda x: tfl.maximum(x, np.zeros((2, 1, 1, 1), np.float32)),
        "%1 = MAXIMUM(%0, [[[[0.]]],[[[0.]]]]) : float32[2,8,8,3]",
    ),
    "an activation twice": Case(
        lambda x: (lambda y: [y, tfl.sin(tfl.relu(y))])(tfl.relu(conv(x))),
        convolution("[0.,0.,0.,0.]", activation="RELU") + "\n%2 = SIN(%1) : float32[1,6,6,4]",
    ),
    "a function between reshapes": Case(
        lambda x: tfl.reshape(tfl.logistic(tfl.reshape(x, (64, 3))), (1, 1, 192)),
        "%1 = LOGISTIC(%0) : float32[1,8,8,3]\n%2 = RESHAPE(%1, [1,1,192]) : float32[1,1,192]",
    ),
    "broadcast before arithmetic": Case(
        lambda x, y: x / tfl.broadcast_to(y, PICTURE),
        "%2 = DIV(%0, %1) : float32[1,8,8,3]",
        (PICTURE, (1, 8, 8, 1)),
    ),
    "broadcast beyond the other operand": Case(
        lambda x, y: x / tfl.broadcast_to(y, PICTURE),
        "%2 = MUL(%1, [[[[1.,1.,1.]]]]) : float32[1,8,8,3]\n%3 = DIV(%0, %2) : float32[1,8,8,3]",
        ((1, 8, 8, 1), (1, 8, 8, 1)),
    ),
    "broadcast before a function": Case(
        lambda x: tfl.sin(tfl.broadcast_to(x, (2, 3, 2, 3))),
        "%1 = MUL(%0, [[[[1.]],[[1.]],[[1.]]],[[[1.]],[[1.]],[[1.]]]]) : float32[2,3,2,3]\n"
        "%2 = SIN(%1) : float32[2,3,2,3]",
        ((2, 3),),
    ),
    "broadcast of six axes": Case(
        lambda x: tfl.sin(tfl.broadcast_to(x, (2, 1, 2, 1, 2, 3))),
        "%1 = MUL(%0, [[[[[[1.,1.,1.]]]]]]) : float32[2,1,2,1,2,3]\n%2 = SIN(%1) : float32[2,1,2,1,2,3]",
        ((2, 1, 2, 1, 2, 1),),
    ),
    "broadcast to more than a file should hold": Case(
        lambda x: tfl.sin(tfl.broadcast_to(x, (200, 200))),
        "%1 = BROADCAST_TO(%0, [200,200]) : float32[200,200]\n%2 = SIN(%1) : float32[200,200]",
        ((1, 1),),
    ),
    "neutral numbers": Case(
        lambda x: tfl.sin((((tfl.sin(x) + np.zeros(3, np.float32)) * 1) - 0) / np.ones(3, np.float32)),
        "%1 = SIN(%0) : float32[1,8,8,3]\n%2 = SIN(%1) : float32[1,8,8,3]",
    ),
    "zero less something": Case(
        lambda x: tfl.sin(0 - tfl.sin(x)),
        "%1 = SIN(%0) : float32[1,8,8,3]\n%2 = SUB(0., %1) : float32[1,8,8,3]\n%3 = SIN(%2) : float32[1,8,8,3]",
    ),
    "a zero that makes it larger": Case(
        lambda x: tfl.sin(tfl.sin(x) + np.zeros((2, 1, 1, 1), np.float32)),
        "%1 = SIN(%0) : float32[1,8,8,3]\n%2 = ADD(%1, [[[[0.]]],[[[0.]]]]) : float32[2,8,8,3]\n"
        "%3 = SIN(%2) : float32[2,8,8,3]",
    ),
    "padding": Case(
        lambda x: conv(tfl.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])), convolution("[0.,0.,0.,0.]", padding="SAME")
    ),
    "padding of a depthwise convolution": Case(
        lambda x: tfl.depthwise_conv_2d(tfl.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), DEPTHWISE),
        "%1 = DEPTHWISE_CONV_2D(%0, <float32[1,3,3,3]>, [0.,0.,0.])"
        "{stride_w=1, stride_h=1, depth_multiplier=1} : float32[1,8,8,3]",
    ),
    "padding that is not SAME": Case(
        lambda x: tfl.max_pool_2d(
            tfl.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], DType.FLOAT32.min), (3, 3), strides=(2, 2), padding="VALID"
        ),
        "%1 = PADV2(%0, [[0,0],[1,1],[1,1],[0,0]], -3.4028235e+38) : float32[1,10,10,3]\n"
        "%2 = MAX_POOL_2D(%1){padding=VALID, stride_w=2, stride_h=2, filter_width=3, filter_height=3}"
        " : float32[1,4,4,3]",
    ),
    "padding of a pool": Case(
        lambda x: tfl.max_pool_2d(
            tfl.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], DType.FLOAT32.min), (3, 3), strides=(2, 2), padding="VALID"
        ),
        "%1 = MAX_POOL_2D(%0){stride_w=2, stride_h=2, filter_width=3, filter_height=3} : float32[1,4,4,3]",
    ),
    "padding of a pool with zeros": Case(
        lambda x: tfl.max_pool_2d(
            tfl.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]), (3, 3), strides=(2, 2), padding="VALID"
        ),
        "%1 = PAD(%0, [[0,0],[0,1],[0,1],[0,0]]) : float32[1,9,9,3]\n"
        "%2 = MAX_POOL_2D(%1){padding=VALID, stride_w=2, stride_h=2, filter_width=3, filter_height=3}"
        " : float32[1,4,4,3]",
    ),
    "reshape of a reshape": Case(
        lambda x: tfl.reshape(tfl.reshape(x, (64, 3)), (8, 24)), "%1 = RESHAPE(%0, [8,24]) : float32[8,24]"
    ),
    "reshapes back": Case(
        lambda x: tfl.sin(tfl.reshape(tfl.reshape(x, (64, 3)), PICTURE)), "%1 = SIN(%0) : float32[1,8,8,3]"
    ),
    "reshape after a reduction": Case(
        lambda x: tfl.reshape(tfl.mean(x, [1, 2], True), (1, 3)), "%1 = MEAN(%0, [1,2]) : float32[1,3]"
    ),
    "reshape of another axis after a reduction": Case(
        lambda x: tfl.reshape(tfl.mean(x, [1, 2], True), (1, 1, 3)),
        "%1 = MEAN(%0, [1,2]){keep_dims=True} : float32[1,1,1,3]\n%2 = RESHAPE(%1, [1,1,3]) : float32[1,1,3]",
    ),
    "reshape around a product": Case(
        lambda x: tfl.reshape(tfl.fully_connected(tfl.reshape(x, (64, 3)), ROWS), (8, 8, 20)),
        "%1 = RESHAPE(%0, [8,8,3]) : float32[8,8,3]\n"
        "%2 = FULLY_CONNECTED(%1, <float32[20,3]>, -){keep_num_dims=True} : float32[8,8,20]",
    ),
    "reshape to rows of a product": Case(
        lambda x: tfl.fully_connected(tfl.reshape(x, (64, 3)), ROWS),
        "%1 = FULLY_CONNECTED(%0, <float32[20,3]>, -) : float32[64,20]",
    ),
    "reshape to rows of a product, and on": Case(
        lambda x: tfl.reshape(tfl.fully_connected(tfl.reshape(x, (64, 3)), ROWS), (8, 8, 4, 5)),
        "%1 = FULLY_CONNECTED(%0, <float32[20,3]>, -) : float32[64,20]\n"
        "%2 = RESHAPE(%1, [8,8,4,5]) : float32[8,8,4,5]",
    ),
    "reshape to other rows of a product": Case(
        lambda x: tfl.fully_connected(tfl.reshape(x, (8, 24)), MATRIX.reshape(1, 60)[:, :24]),
        "%1 = RESHAPE(%0, [8,24]) : float32[8,24]\n"
        "%2 = FULLY_CONNECTED(%1, <float32[1,24]>, -) : float32[8,1]",
    ),
    "reshape that broadcasting does": Case(
        lambda x, y: x * tfl.reshape(y, (1, 1, 1, 3)),
        "%2 = MUL(%0, %1) : float32[1,8,8,3]",
        (PICTURE, (3,)),
    ),
    "reshapes of both operands that broadcasting does": Case(
        lambda x, y: tfl.mean(tfl.reshape(x, (1, 4, 3)) + tfl.reshape(y, (1, 4, 3)), [1], keep_dims=False),
        "%2 = RESHAPE(%1, [1,4,3]) : float32[1,4,3]\n"
        "%3 = ADD(%0, %2) : float32[1,4,3]\n"
        "%4 = MEAN(%3, [1]) : float32[1,3]",
        ((4, 3), (4, 3)),
    ),
    "transposes": Case(
        lambda x: tfl.transpose(tfl.transpose(x, (0, 3, 1, 2)), (0, 3, 1, 2)),
        "%1 = TRANSPOSE(%0, [0,2,3,1]) : float32[1,8,3,8]",
    ),
    "transposes back": Case(
        lambda x: tfl.sin(tfl.transpose(tfl.transpose(x, (0, 3, 1, 2)), (0, 2, 3, 1))),
        "%1 = SIN(%0) : float32[1,8,8,3]",
    ),
    "transpose of an axis of size 1": Case(
        lambda x: tfl.transpose(x, (1, 0, 2, 3)), "%1 = RESHAPE(%0, [8,1,8,3]) : float32[8,1,8,3]"
    ),
    "product with a constant": Case(
        lambda x: tfl.batch_matmul(x, MATRIX),
        "%1 = FULLY_CONNECTED(%0, <float32[20,3]>, -){keep_num_dims=True} : float32[1,8,8,20]",
    ),
    "product with a transposed value": Case(
        lambda x, y: tfl.batch_matmul(x, tfl.transpose(y, (0, 2, 1))),
        "%2 = BATCH_MATMUL(%0, %1){adj_y=True} : float32[2,4,5]",
        ((2, 4, 3), (2, 5, 3)),
    ),
    "rsqrt": Case(lambda x: 1 / tfl.sqrt(tfl.square(x) + 1), "%1 = SQUARE(%0) : float32[1,8,8,3]\n"
        "%2 = ADD(%1, 1.) : float32[1,8,8,3]\n%3 = RSQRT(%2) : float32[1,8,8,3]"),
    "division by a root": Case(
        lambda x, y: tfl.tanh(x / tfl.sqrt(tfl.square(y) + 1)),
        "%2 = SQUARE(%1) : float32[1,8,8,1]\n%3 = ADD(%2, 1.) : float32[1,8,8,1]\n"
        "%4 = RSQRT(%3) : float32[1,8,8,1]\n%5 = MUL(%0, %4) : float32[1,8,8,3]\n%6 = TANH(%5) : float32[1,8,8,3]",
        (PICTURE, (1, 8, 8, 1)),
    ),
    "division by a root that is rounded": Case(
        lambda x, y: tfl.floor(x / tfl.sqrt(tfl.abs_(y))),
        "%2 = ABS(%1) : float32[1,8,8,1]\n%3 = SQRT(%2) : float32[1,8,8,1]\n"
        "%4 = DIV(%0, %3) : float32[1,8,8,3]\n%5 = FLOOR(%4) : float32[1,8,8,3]",
        (PICTURE, (1, 8, 8, 1)),
    ),
    "squared difference": Case(
        lambda x, y: square(x - y), "%2 = SQUARED_DIFFERENCE(%0, %1) : float32[1,8,8,3]", (PICTURE, PICTURE)
    ),
    "square of a difference that others read": Case(
        lambda x, y: (lambda d: [d, tfl.square(d)])(x - y),
        "%2 = SUB(%0, %1) : float32[1,8,8,3]\n%3 = SQUARE(%2) : float32[1,8,8,3]",
        (PICTURE, PICTURE),
    ),
    "division by a power of two": Case(lambda x: x / 8, "%1 = MUL(%0, 0.125) : float32[1,8,8,3]"),
    "division that is rounded": Case(
        lambda x: tfl.floor(x / 3), "%1 = DIV(%0, 3.) : float32[1,8,8,3]\n%2 = FLOOR(%1) : float32[1,8,8,3]"
    ),
    "division by a tiny number": Case(
        lambda x: tfl.sin(x / np.float32(1e-39)),
        "%1 = DIV(%0, 1.e-39) : float32[1,8,8,3]\n%2 = SIN(%1) : float32[1,8,8,3]",
    ),
    "index in INT32": Case(
        lambda x: tfl.cast(tfl.arg_max(x, 3), DType.INT32), "%1 = ARG_MAX(%0, 3){output_type=INT32} : int32[1,8,8]"
    ),
    "casts there and back": Case(
        lambda x: tfl.cast(tfl.cast(tfl.cast(x > 0, DType.INT32), DType.INT64), DType.FLOAT32),
        "%1 = GREATER(%0, 0.) : bool[1,8,8,3]\n"
        "%2 = CAST(%1){in_data_type=BOOL} : float32[1,8,8,3]",
    ),
    "one mean in the border": Case(
        lambda x: tfl.conv_2d(tfl.pad(x - np.float32(2), BORDER), np.ones((1, 3, 3, 3), np.float32), strides=(2, 2)),
        "%1 = PADV2(%0, [[0,0],[1,1],[1,1],[0,0]], 2.) : float32[1,10,10,3]\n"
        "%2 = CONV_2D(%1, <float32[1,3,3,3]>, [-54.]){padding=VALID, stride_w=2, stride_h=2} : float32[1,4,4,1]",
    ),
    "a mean of each channel in the border": Case(
        lambda x: tfl.conv_2d(tfl.pad(x + MEAN, BORDER), np.ones((1, 3, 3, 3), np.float32), strides=(2, 2)),
        "%1 = DYNAMIC_UPDATE_SLICE(<float32[1,10,10,3]>, %0, [0,1,1,0]) : float32[1,10,10,3]\n"
        "%2 = CONV_2D(%1, <float32[1,3,3,3]>, [54.]){padding=VALID, stride_w=2, stride_h=2} : float32[1,4,4,1]",
    ),
    "a mean that somebody else reads": Case(
        lambda x: (lambda y: [tfl.conv_2d(tfl.pad(y, BORDER), WEIGHTS, strides=(2, 2)), tfl.sin(y)])(x + MEAN),
        "%1 = ADD(%0, [1.,2.,3.]) : float32[1,8,8,3]\n"
        "%2 = PAD(%1, [[0,0],[1,1],[1,1],[0,0]]) : float32[1,10,10,3]\n"
        "%3 = CONV_2D(%2, <float32[4,3,3,3]>, [0.,0.,0.,0.]){padding=VALID, stride_w=2, stride_h=2} "
        ": float32[1,4,4,4]\n"
        "%4 = SIN(%1) : float32[1,8,8,3]",
    ),
    "a frame that would be large": Case(
        lambda x: tfl.conv_2d(tfl.pad(x + MEAN, BORDER), WEIGHTS, strides=(2, 2)),
        "%1 = ADD(%0, [1.,2.,3.]) : float32[1,300,300,3]\n"
        "%2 = PAD(%1, [[0,0],[1,1],[1,1],[0,0]]) : float32[1,302,302,3]\n"
        "%3 = CONV_2D(%2, <float32[4,3,3,3]>, [0.,0.,0.,0.]){padding=VALID, stride_w=2, stride_h=2} "
        ": float32[1,150,150,4]",
        ((1, 300, 300, 3),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_leaves_this(name: str) -> None:
    graph = CASES[name].graph()
    simplify(graph, FLOAT_RULES)
    lines = [line.strip() for line in format_graph(graph).splitlines()[1:-1]]
    assert lines == CASES[name].after.splitlines()


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_computes_the_same(name: str, tmp_path: Path) -> None:
    inputs = {f"x{i}": floats(*shape) for i, shape in enumerate(CASES[name].shapes)}
    found = []
    for rewritten in (False, True):
        graph = CASES[name].graph()
        if rewritten:
            simplify(graph, FLOAT_RULES)
        names = [f"y{i}" for i in range(len(graph.outputs))]
        write_tflite(Model(graph, list(inputs), names), tmp_path / "model.tflite")
        found.append(run_tflite(tmp_path / "model.tflite", inputs))
    before, after = found
    for output, expected in before.items():
        assert np.allclose(after[output], expected, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_bodies_are_rewritten_too() -> None:
    def step(i: Value, x: Value) -> list[Value]:
        return [i + 1, tfl.relu(x + 1)]

    graph = Graph([Value(DType.FLOAT32, (2,))])
    with tfl.recording(graph):
        graph.outputs = tfl.while_(lambda i, x: i < 3, step, [np.int32(0), graph.inputs[0]])[1:]
    simplify(graph)
    assert "ADD(%7, 1.){fused_activation_function=RELU}" in format_graph(graph)


def test_every_rule_is_a_case() -> None:
    done = set()
    for case in CASES.values():
        for each in FLOAT_RULES:
            graph = case.graph()
            before = format_graph(graph)
            simplify(graph, rules=(each,))
            if format_graph(graph) != before:
                done.add(each)
    assert done == set(FLOAT_RULES)
