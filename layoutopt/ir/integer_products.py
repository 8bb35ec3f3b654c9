"""Float operators for ConvInteger and MatMulInteger, where sums of whole numbers are exact in float32."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from layoutopt.ir.insertion import Inserter
from layoutopt.ir.values import Array, constant_array, static_shape

_EXACT = 2**24
"""Whole numbers up to this are exact in float32, and so is every sum of which no partial sum is larger."""
_PIECE = 16
"""Weights that are too large are split into multiples of this and the rest."""


def integer_product(insert: Inserter, node: ir.Node) -> list[ir.Value] | None:
    """Expand ConvInteger or MatMulInteger in float32, in two pieces where the sums of one would not be exact."""
    operator = node.op_type.removesuffix("Integer")
    x, weights = node.inputs[:2]
    if x is None or weights is None:
        return None
    zeros = [node.inputs[index] if len(node.inputs) > index else None for index in (2, 3)]
    numbers, zero = constant_array(weights), constant_array(zeros[1])
    known = numbers is not None and (zeros[1] is None or zero is not None)
    whole = _whole(numbers, zero, operator) if known and numbers is not None else None
    if whole is not None:
        pieces = _pieces(whole, operator)
        right = [insert.constant(piece) for piece in pieces]
    elif (terms := _terms(weights, operator)) is not None and terms * 255 * 255 < _EXACT:
        right = [_centred(insert, weights, zeros[1], operator, side=1)]
    else:
        return None
    if not right:
        return None
    left = _centred(insert, x, zeros[0], operator, side=0)
    sums = [insert(operator, left, piece, attributes=dict(node.attributes)) for piece in right]
    results = [_cast(insert, total, ir.DataType.INT32) for total in sums]
    if len(results) == 1:
        return results
    high = insert("Mul", results[0], insert.constant(np.array(_PIECE, np.int32)))
    return [insert("Add", high, results[1])]


def _pieces(whole: Array, operator: str) -> list[Array]:
    """Return ``whole`` in one part or two whose sums of products with a byte are exact; none if two are too few."""
    high = np.round(whole / _PIECE)  # type: ignore[operator]
    for pieces in ([whole], [high, whole - high * _PIECE]):  # type: ignore[operator]
        if all(_largest_sum(piece, operator) * 255 < _EXACT for piece in pieces):
            return [piece.astype(np.float32) for piece in pieces]
    return []


def _largest_sum(weights: Array, operator: str) -> float:
    """Return the largest sum of absolute weights that goes into one result."""
    axes: int | tuple[int, ...] = tuple(range(1, weights.ndim)) if operator == "Conv" else max(weights.ndim - 2, 0)
    return float(np.abs(weights.astype(np.float64)).sum(axes).max(initial=0.0))


def _whole(numbers: Array, zero: Array | None, operator: str) -> Array:
    """Return constant weights less their zero points."""
    whole = numbers.astype(np.int64)
    if zero is None:
        return whole
    shape = (-1, *[1] * (numbers.ndim - 1)) if operator == "Conv" and zero.size > 1 else zero.shape
    return whole - zero.astype(np.int64).reshape(shape if zero.size > 1 else ())


def _terms(weights: ir.Value, operator: str) -> int | None:
    """Return the number of products that a result sums up."""
    shape = static_shape(weights)
    if shape is None:
        return None
    return int(np.prod(shape[1:])) if operator == "Conv" else shape[max(len(shape) - 2, 0)]


def _centred(insert: Inserter, value: ir.Value, zero: ir.Value | None, operator: str, side: int) -> ir.Value:
    """Return ``value`` less its zero point, as floats."""
    real = _cast(insert, value, ir.DataType.FLOAT)
    if zero is None:
        return real
    offset = _cast(insert, zero, ir.DataType.FLOAT)
    per_channel = zero.shape is not None and len(zero.shape) == 1 and zero.shape[0] != 1
    if per_channel and (operator == "Conv" or side == 0):
        rank = len(value.shape or ())
        # Each filter of a convolution, each row of a left matrix.
        ends = [-1, *[1] * (rank - 1)] if operator == "Conv" else [-1, 1]
        offset = insert("Reshape", offset, insert.constant(np.array(ends, np.int64)))
    return insert("Sub", real, offset)


def _cast(insert: Inserter, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    result = insert("Cast", value, attributes={"to": ir.AttrInt64("to", dtype)})
    result.dtype = dtype
    return result
