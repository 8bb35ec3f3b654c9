"""Broadcasts that operators make by themselves, and those that none of them does."""

from __future__ import annotations

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.limits import takes_rank
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_BROADCASTING = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")


@rule(*_BROADCASTING)
def broadcast_by_rank(operation: Operation, _: Uses) -> Value | None:
    """Drop a RESHAPE that only adds axes of size 1 before an operand: broadcasting adds them by itself."""
    operands = [_without_leading_axes(operand, operation, index) for index, operand in enumerate(operation.operands)]
    if all(after is not before for after, before in zip(operands, operation.operands, strict=True)):
        operands[1:] = operation.operands[1:]  # one of them has to have the rank of the result
    return record_again(operation, *operands) if operands != operation.operands else None


def _without_leading_axes(operand: Value | None, operation: Operation, index: int) -> Value | None:
    source = None if operand is None else operand.producer
    other, shape = operation[1 - index], operation.result.shape
    if operand is None or source is None or source.code != "RESHAPE" or other.shape is None or shape is None:
        return operand
    inner, outer = source[0].shape, operand.shape
    if inner is None or outer is None or len(inner) >= len(outer) or len(other.shape) != len(shape):
        return operand
    added = len(outer) - len(inner)
    return source[0] if outer[:added] == (1,) * added and outer[added:] == inner else operand


@rule(*_BROADCASTING)
def broadcast_by_itself(operation: Operation, _: Uses) -> Value | None:
    """Drop a BROADCAST_TO of an operand to no more than the result: the operator broadcasts by itself."""
    operands = [_before_broadcast(operand, operation, index) for index, operand in enumerate(operation.operands)]
    return record_again(operation, *operands) if operands != operation.operands else None


def _before_broadcast(operand: Value | None, operation: Operation, index: int) -> Value | None:
    source = None if operand is None else operand.producer
    other, result = operation[1 - index], operation.result
    if source is None or source.code != "BROADCAST_TO" or not (source[0].is_static and other.is_static):
        return operand
    if not result.is_static or result.rank > _MAX_BROADCAST_RANK:
        return operand
    return source[0] if np.broadcast_shapes(source[0].sizes, other.sizes) == result.sizes else operand


_MAX_BROADCAST_RANK = 4
"""LiteRT's kernels broadcast operands of at most so many axes in all types."""


_MAX_ONES = 2**12
"""Elements of the largest constant that a product by ones may add to a file: 16 KiB."""


@rule("BROADCAST_TO")
def broadcast_by_product(operation: Operation, uses: Uses) -> Value | None:
    """Write BROADCAST_TO as a product by ones, where no reader broadcasts by itself.

    XNNPACK has no BROADCAST_TO, and LiteRT's own kernel moves element by element: it takes 3 to 48 times as long as the
    product (``python -m benchmarks.studies.broadcasts``).
    """
    x, result = operation[0], operation.result
    if x.is_constant or x.dtype is not DType.FLOAT32 or not (x.is_static and result.is_static):
        return None  # a product of constants would be folded to all that the file is to be spared
    sizes = (1,) * (result.rank - x.rank) + x.sizes
    ones = tuple(size if size != before else 1 for size, before in zip(result.sizes, sizes, strict=True))
    if np.prod(ones) > _MAX_ONES or not takes_rank("MUL", x, result.rank) or _is_dropped(result, uses):
        return None
    return tfl.mul(x, np.ones(ones, np.float32))


def _is_dropped(value: Value, uses: Uses) -> bool:
    """Return whether `broadcast_by_itself` lets a reader do without this BROADCAST_TO."""
    return any(
        operand is value and _before_broadcast(operand, reader, index) is not value
        for reader in uses.readers(value)
        if reader is not None and reader.code in _BROADCASTING
        for index, operand in enumerate(reader.operands)
    )
