"""Arithmetic that LiteRT has an operator of its own for, or a cheaper one."""

from __future__ import annotations

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule


def is_scalar(value: Value, number: float) -> bool:
    """Return whether a value is a constant of one element, this number up to rounding to float32."""
    return (
        value.data is not None and value.data.size == 1 and bool(np.isclose(float(value.data.item()), number, 1e-6, 0))
    )


_NEUTRAL = {"ADD": 0, "SUB": 0, "MUL": 1, "DIV": 1}
"""The number that changes nothing: on either side of ADD and MUL, on the right one of the others."""


@rule(*_NEUTRAL)
def drop_neutral(operation: Operation, uses: Uses) -> Value | None:
    """Replace ``x + 0``, ``x - 0``, ``x * 1`` and ``x / 1`` by ``x``, where its shape is that of the result."""
    for at in (0, 1) if operation.code in ("ADD", "MUL") else (1,):
        x, constant = operation[1 - at], operation[at].data
        if constant is None or x.producer is None or not x.is_static or x.shape != operation.result.shape:
            continue
        if operation.options["fused_activation_function"] != "NONE" or x.quantization != operation.result.quantization:
            continue
        if None in uses.readers(operation.result) or not (constant == _NEUTRAL[operation.code]).all():
            continue
        return x
    return None


@rule("DIV")
def use_rsqrt(operation: Operation, uses: Uses) -> Value | None:
    """Write ``1 / sqrt(x)`` as RSQRT, and ``y / sqrt(x)`` as a product with it, where y has more elements."""
    root, dividend = uses.producer(operation.operand(1), "SQRT"), operation[0]
    if root is None:
        return None
    activation = operation.options["fused_activation_function"]
    if is_scalar(dividend, 1) and dividend.rank <= root.result.rank:
        return tfl.rsqrt(root[0]) if activation == "NONE" else None
    if not dividend.is_static or not root.result.is_static or dividend.count <= root.result.count:
        return None
    return None if _is_rounded(operation, uses) else _product(dividend, tfl.rsqrt(root[0]), activation)


@rule("SQUARE", "MUL")
def use_squared_difference(operation: Operation, uses: Uses) -> Value | None:
    """Write ``(a - b) ** 2`` as SQUARED_DIFFERENCE, where nobody else reads the difference."""
    difference = operation[0].producer
    if difference is None or difference.code != "SUB" or difference.options["fused_activation_function"] != "NONE":
        return None
    is_square = operation.code == "SQUARE" or operation[1] is operation[0]
    if not is_square or any(reader is not operation for reader in uses.readers(operation[0])):
        return None
    if operation.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    return tfl.squared_difference(difference[0], difference[1])


_ROUNDING = frozenset(
    ("CAST", "CEIL", "EQUAL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL",
     "NOT_EQUAL", "QUANTIZE", "ROUND")
)  # fmt: skip
"""Readers for which one rounding more may make a whole step of difference."""


@rule("DIV")
def multiply_by_reciprocal(operation: Operation, uses: Uses) -> Value | None:
    """Write ``x / c`` as ``x * (1 / c)``, which is cheaper, where it is exact or one more rounding does not matter."""
    divisor = operation[1]
    if divisor.data is None or divisor.dtype is not DType.FLOAT32 or operation[0].is_constant:
        return None
    mantissa, exponent = np.frexp(divisor.data)
    if not (np.abs(exponent) < 126).all() or not divisor.data.all():  # infinities, and reciprocals that are none
        return None
    is_exact = (np.abs(mantissa) == 0.5).all()
    if not is_exact and _is_rounded(operation, uses):
        return None
    return _product(operation[0], 1 / divisor.data, operation.options["fused_activation_function"])


def _is_rounded(operation: Operation, uses: Uses) -> bool:
    """Return whether a reader might round what is computed to another number, or the caller gets it."""
    return any(reader is None or reader.code in _ROUNDING for reader in uses.readers(operation.result))


def _product(a: Value, b: Value | Array, activation: str) -> Value:
    product = tfl.mul(a, b)
    assert product.producer is not None
    if activation == "NONE":
        return product
    return record_again(product.producer, *product.producer.operands, fused_activation_function=activation)
