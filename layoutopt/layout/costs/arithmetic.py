"""The costs of arithmetic: multiplications, and the time that they and the data between them take in LiteRT.

A product of matrices takes its multiplications over a rate that depends on its shape: kernels compute tiles of several
columns, so few columns leave lanes empty, and short sums spend their time on loading and storing. `calibration` has the
rates. All other operators take the time of the bytes that they read and write. ``python -m benchmarks.rewrites
--table`` measures the numbers here, and `objectives.OPERATOR`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.dialect import DOMAIN, MATMUL_TRANSPOSED, OPERATORS, Transposed, transposed_operand
from layoutopt.ir.values import Shape, bits_of, static_shape
from layoutopt.layout.costs.calibration import built_in
from layoutopt.layout.costs.objectives import OPERATOR

DEPTHWISE = 19.0
"""Multiplications per nanosecond of a convolution that keeps channels apart."""
BYTES = 34.0
"""Bytes per nanosecond that an operator without products reads and writes."""
ERROR = 0.15
"""The relative error of this model for a small part of a network: a gain below that is none."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work that some operators do.

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
        """Return whether ``other`` is faster, by more than the model's error."""
        return self.nanoseconds > other.nanoseconds * (1 + ERROR)


def work_of_product(rows: int, depth: int, columns: int, *, groups: int = 1) -> Work:
    """Return the work of a product of matrices, or of a convolution.

    Args:
        rows: of the left matrix; pixels of the result.
        depth: of the sum of each element, in its group.
        columns: of the right matrix; channels of the result.
        groups: of channels.
    """
    count = rows * depth * columns
    each = columns // groups
    rate = DEPTHWISE if groups > 1 and each == 1 else built_in().times.products.rate(depth, each)
    return Work(count, OPERATOR * (groups if groups > 1 and each > 1 else 1) + count / rate)


def work_of_elementwise(*shapes: Shape, bits: int = 32) -> Work:
    """Return the work of one operator without products that reads and writes tensors of ``shapes``."""
    return Work(0, OPERATOR + sum(map(prod, shapes)) * bits / 8 / BYTES)


def multiplications(model: ir.Model) -> int:
    """Return how many multiplications the convolutions and matrix products of ``model`` do; bodies count once."""
    return sum(work.products for node in model.graph.all_nodes() if (work := products_of(node)) is not None)


def products_of(node: ir.Node) -> Work | None:
    """Return the work of a convolution or a product of matrices; None for other operators and unknown shapes."""
    operator = _ONNX.get(node.op_type) if node.domain == DOMAIN else node.op_type if node.domain == "" else None
    if operator not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None
    shapes = [static_shape(value) if value is not None else None for value in (*node.inputs[:2], node.outputs[0])]
    left, right, result = shapes
    if left is None or right is None or result is None:
        return None
    if operator == "MatMul":
        transposed = transposed_operand(node.op_type)
        columns = 1 if len(right) == 1 else right[-2 if transposed is Transposed.RIGHT else -1]
        return work_of_product(prod(result) // columns, left[-2 if transposed is Transposed.LEFT else -1], columns)
    if operator == "Gemm":
        return work_of_product(result[0], left[integer(node, "transA", 0) != 1], result[1])
    groups = integer(node, "group", 1) or 1
    taps = prod(right[2:])
    if operator == "ConvTranspose":
        columns = right[1] * groups
        pixels = prod(left) // right[0]
        return work_of_product(pixels, right[0] // groups, columns * taps)
    return work_of_product(prod(result) // right[0], right[1] * taps, right[0], groups=groups)


def work_of(node: ir.Node) -> Work:
    """Return the work of any operator: that of its products, or of the bytes that it reads and writes."""
    if (work := products_of(node)) is not None:
        return work
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    sizes = [(static_shape(value) or (), bits_of(value)) for value in values]
    return Work(0, OPERATOR + sum(prod(shape) * bits / 8 for shape, bits in sizes) / BYTES)


_ONNX = {form.name: operator for operator, ranks in OPERATORS.items() for form in ranks.values()} | dict.fromkeys(
    MATMUL_TRANSPOSED.values(), "MatMul"
)
"""The names in ONNX of the operators of the NHWC dialect."""
