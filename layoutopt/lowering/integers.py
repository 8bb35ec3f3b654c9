"""Integers as ONNX counts with them, by the few kernels that LiteRT has for them."""

from __future__ import annotations

import numpy as np

from layoutopt.lowering.kernel_types import takes
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value

_WIDE = (DType.INT64, DType.UINT64)


def floor_divmod(a: Value, b: Value) -> tuple[Value, Value]:
    """Record the floor of a / b and the remainder, in int64, which DIV does not take.

    Each round divides what is left in float32 and leaves less than 2**-22 of it, so after three it is less than b.
    """
    divisor = tfl.cast(b, DType.FLOAT32)
    total, rest = None, a
    for _ in range(3):
        part = tfl.cast(tfl.round_(tfl.cast(rest, DType.FLOAT32) / divisor), DType.INT64)
        total, rest = part if total is None else total + part, rest - part * b
    assert total is not None
    above = tfl.cast(_signs_differ(rest, b), DType.INT64)
    return total - above, rest + above * b


def quotient(a: Value, b: Value) -> Value:
    """Record the quotient of int64, towards zero."""
    floor, rest = floor_divmod(a, b)
    return floor + tfl.cast(tfl.logical_and(tfl.not_equal(rest, 0), _signs_differ(a, b)), DType.INT64)


def _signs_differ(a: Value, b: Value) -> Value:
    """Record whether one is above 0 and the other is below."""
    return tfl.select_v2(b < 0, a > 0, a < 0)


def unsigned_quotient(a: Value, b: Value) -> Value:
    """Record the quotient of uint64, all as the int64 of the same bits: half of a is not negative."""
    half = _wide_shifted_right(a, tfl.value_of(np.int32(1)), unsigned=True)
    nearly = 2 * floor_divmod(half, tfl.maximum(b, 1))[0]
    at_least = _reaches(a - nearly * b, b)
    return tfl.select_v2(b < 0, tfl.cast(_reaches(a, b), DType.INT64), nearly + tfl.cast(at_least, DType.INT64))


def _reaches(a: Value, b: Value) -> Value:
    """Record whether a >= b as uint64."""
    top = np.array(np.iinfo(np.int64).min)
    return a + top >= b + top


def integer_power(x: Value, exponent: Value) -> Value:
    """Record powers of int64, by squaring: from 64 on only 0, 1 and -1 have a power that int64 holds."""
    result: Value | None = None
    for _ in range(6):
        factor = tfl.select_v2(tfl.not_equal(tfl.floor_mod(exponent, 2), 0), x, np.int64(1))
        result = factor if result is None else result * factor
        x, exponent = x * x, floor_divmod(exponent, tfl.value_of(np.int64(2)))[0]
    assert result is not None
    return result


# --- shifts ------------------------------------------------------------------------------------------------------


@lowers("BitShift", types=takes("i1 u1 i2 u2 i4 u4 i8 u8"))
def shift(node: Node) -> Value:
    """Lower BitShift to MUL by a power of 2, or RIGHT_SHIFT; as many bits as there are, or more, shift all out."""
    x, source = node.x, node.x.dtype
    width = source.bits
    count = _count(node[1], width)
    if node.text("direction", "LEFT") == "RIGHT":
        return _shifted_right(x, count, width)
    work = DType.INT64 if width == 64 else DType.INT32
    return _reread(_reread(x, work) * _power_of_two(count, width, work), source)


def _count(by: Value, width: int) -> Value:
    """Record by how many bits, in int32: from 0 to ``width``."""
    wide = tfl.bitcast(by, DType.INT64) if by.dtype is DType.UINT64 else tfl.cast(by, DType.INT64)
    return tfl.cast(tfl.select_v2(wide < 0, np.int64(width), tfl.minimum(wide, width)), DType.INT32)


def _power_of_two(count: Value, width: int, dtype: DType) -> Value:
    """Record 2 ** count, modulo 2 ** width."""
    powers = [1 << n for n in range(width)] + [0]
    return tfl.gather(np.array(powers, np.uint64).astype(dtype.numpy), count)


def _shifted_right(x: Value, count: Value, width: int) -> Value:
    """Record RIGHT_SHIFT, which takes up to 32 bits, and shifts by one less than there are."""
    source = x.dtype
    if width == 64:
        return _reread(_wide_shifted_right(_reread(x, DType.INT64), count, source.is_unsigned), source)
    if source is DType.UINT32:
        half = tfl.right_shift(count, 1)
        first = tfl.right_shift(x, tfl.cast(half, source))
        return tfl.right_shift(first, tfl.cast(count - half, source))
    return _reread(tfl.right_shift(tfl.cast(x, DType.INT32), tfl.minimum(count, 31)), source)


def _wide_shifted_right(x: Value, count: Value, unsigned: bool) -> Value:
    """Record the floor of the quotient; where the top bit is no sign, what it was extended by is taken away."""
    negative = x < 0
    quotient = floor_divmod(x, _power_of_two(tfl.minimum(count, 62), 64, DType.INT64))[0]
    shifted = tfl.select_v2(count > 62, -tfl.cast(negative, DType.INT64), quotient)
    if not unsigned:
        return shifted
    return shifted + tfl.select_v2(negative, _power_of_two(64 - count, 64, DType.INT64), np.int64(0))


def _reread(x: Value, target: DType) -> Value:
    """Record the low bits as another integer type."""
    return tfl.bitcast(x, target) if x.dtype.size == target.size else tfl.cast(x, target)


# --- bit by bit --------------------------------------------------------------------------------------------------


@lowers("BitwiseAnd", "BitwiseOr", "BitwiseXor", types=takes("i1 u1 i2 u2 i4 u4 i8 u8"))
def bitwise(node: Node) -> Value:
    """Lower BitwiseXor to BITWISE_XOR, the others to what follows from it, in 32 bits or in pairs of 32 bits."""
    a, b, target = _in_words(node[0]), _in_words(node[1]), node.x.dtype
    if node.operator == "BitwiseXor":
        words = tfl.bitwise_xor(a, b)
    else:
        both = _and(a, b)
        words = both if node.operator == "BitwiseAnd" else a + b - both
    return tfl.bitcast(words, target) if target in _WIDE else _reread(words, target)


@lowers("BitwiseNot", types=takes("i1 u1 i2 u2 i4 u4 i8 u8"))
def bitwise_not(node: Node) -> Value:
    """Lower BitwiseNot to -1 - x."""
    target = node.x.dtype
    return _reread(-1 - _reread(node.x, DType.INT64 if target in _WIDE else DType.INT32), target)


def _in_words(x: Value) -> Value:
    """Record elements of up to 32 bits in int32; those of 64 as two, along a new last axis."""
    return tfl.bitcast(x, DType.INT32) if x.dtype in _WIDE else _reread(x, DType.INT32)


def _and(a: Value, b: Value) -> Value:
    """Record a & b from a + b = (a ^ b) + 2 * (a & b): the lowest bits apart, without them it does not overflow."""
    high, other = (tfl.right_shift(x, 1) for x in (a, b))
    lowest = tfl.floor_mod(a, 2) * tfl.floor_mod(b, 2)
    return high + other - tfl.bitwise_xor(high, other) + lowest
