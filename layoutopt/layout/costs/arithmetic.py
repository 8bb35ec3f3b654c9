"""What arithmetic costs: multiplications, and the time that they and the data between them take in LiteRT.

A product of matrices takes its multiplications over a rate that depends on its shape: kernels compute tiles of several
columns, so few columns leave lanes empty, and short sums spend their time on loading and storing. Whatever else an
operator does is priced by the bytes that it reads and writes. ``python -m benchmarks.rewrites --table`` measures all
numbers here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.dialect import DOMAIN, MATMUL_TRANSPOSED, OPERATORS
from layoutopt.ir.values import Shape, bits_of, static_shape

DEPTHS = (4, 16, 64, 256, 1024)
"""Lengths of the sums that were measured: channels of the input, times taps of the kernel."""
COLUMNS = (1, 4, 16, 64, 256)
"""Numbers of results for each row that were measured: channels of the output."""
RATES = (
    (1.85, 7.94, 25.8, 16.3, 13.9),
    (2.95, 11.5, 39.8, 52.0, 60.9),
    (2.31, 10.3, 43.8, 87.4, 81.9),
    (1.38, 10.7, 52.9, 83.9, 82.8),
    (2.63, 12.5, 55.0, 81.8, 73.5),
)
"""Multiplications per nanosecond: a row for each depth, a column for each number of columns."""
DEPTHWISE = 19.0
"""Multiplications per nanosecond of a convolution that keeps channels apart."""
BYTES = 34.0
"""Bytes per nanosecond that an operator without products reads and writes."""
OPERATOR = 420.0
"""Nanoseconds that each operator takes beside its work."""
ERROR = 0.15
"""How far the time of a small part of a network is from what this model says: a gain below that is none."""


@dataclass(frozen=True, slots=True)
class Work:
    """What some operators cost.

    Attributes:
        products: multiplications of convolutions and products of matrices.
        nanoseconds: on one thread.
    """

    products: int = 0
    nanoseconds: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.products + other.products, self.nanoseconds + other.nanoseconds)

    def shared_by(self, count: int) -> Work:
        """Return the share of one of ``count`` readers in what all of them need."""
        return Work(self.products // count, self.nanoseconds / count)

    def exceeds(self, other: Work) -> bool:
        """Whether ``other`` is quicker, by more than the model's error."""
        return self.nanoseconds > other.nanoseconds * (1 + ERROR)


def product(rows: int, depth: int, columns: int, *, groups: int = 1) -> Work:
    """The work of a product of matrices, or of a convolution.

    Args:
        rows: of the left matrix; pixels of the result.
        depth: of the sum of each element, in its group.
        columns: of the right matrix; channels of the result.
        groups: of channels.
    """
    count = rows * depth * columns
    each = columns // groups
    rate = DEPTHWISE if groups > 1 and each == 1 else _rate(depth, each)
    return Work(count, OPERATOR * (groups if groups > 1 and each > 1 else 1) + count / rate)


def passing(*shapes: Shape, bits: int = 32) -> Work:
    """The work of one operator without products that reads and writes tensors of ``shapes``."""
    return Work(0, OPERATOR + sum(map(prod, shapes)) * bits / 8 / BYTES)


def _rate(depth: int, columns: int) -> float:
    """Multiplications per nanosecond, between the measured shapes and no further than these reach."""
    rows = [np.interp(log(columns), np.log(COLUMNS), np.log(row)) for row in RATES]
    return exp(np.interp(log(depth), np.log(DEPTHS), rows))


def multiplications(model: ir.Model) -> int:
    """How many multiplications the convolutions and products of matrices of ``model`` take, bodies counted once."""
    return sum(work.products for node in model.graph.all_nodes() if (work := products_of(node)) is not None)


def products_of(node: ir.Node) -> Work | None:
    """The work of a convolution or a product of matrices; None for other operators, and where shapes are not known."""
    operator = _ONNX.get(node.op_type) if node.domain == DOMAIN else node.op_type if node.domain == "" else None
    if operator not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "MatMulTransposed"):
        return None
    shapes = [static_shape(value) if value is not None else None for value in (*node.inputs[:2], node.outputs[0])]
    left, right, result = shapes
    if left is None or right is None or result is None:
        return None
    if operator in ("MatMul", "MatMulTransposed"):
        columns = 1 if len(right) == 1 else right[-1 if operator == "MatMul" else -2]
        return product(prod(result) // columns, left[-1], columns)
    if operator == "Gemm":
        return product(result[0], left[integer(node, "transA", 0) != 1], result[1])
    groups = integer(node, "group", 1) or 1
    taps = prod(right[2:])
    if operator == "ConvTranspose":
        columns = right[1] * groups
        pixels = prod(left) // right[0]
        return product(pixels, right[0] // groups, columns * taps)
    return product(prod(result) // right[0], right[1] * taps, right[0], groups=groups)


def work_of(node: ir.Node) -> Work:
    """The work of any operator: that of its products, or of the bytes that it reads and writes."""
    if (work := products_of(node)) is not None:
        return work
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    sizes = [(static_shape(value) or (), bits_of(value)) for value in values]
    return Work(0, OPERATOR + sum(prod(shape) * bits / 8 for shape, bits in sizes) / BYTES)


_ONNX = {form.name: operator for operator, ranks in OPERATORS.items() for form in ranks.values()} | dict.fromkeys(
    MATMUL_TRANSPOSED.values(), "MatMulTransposed"
)
"""What the operators of the NHWC dialect are called in ONNX."""
