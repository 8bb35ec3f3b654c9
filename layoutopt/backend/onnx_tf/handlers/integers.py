"""Integers as ONNX counts with them, by the few kernels that TFLite has for them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, type_of
from layoutopt.backend.onnx_tf.handlers.types import bits, cast

_WIDE = (tf.int64, tf.uint64)


def divided(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """The floor of a / b and the remainder, in int64, which DIV does not know.

    Each round divides what is left in float32 and leaves less than 2**-22 of it, so after three it is less than b.
    """
    divisor = tf.cast(b, tf.float32)
    total, rest = tf.zeros_like(a), a
    for _ in range(3):
        part = tf.cast(tf.round(tf.cast(rest, tf.float32) / divisor), tf.int64)
        total, rest = total + part, rest - part * b
    above = tf.cast(_signs_differ(rest, b), tf.int64)
    return total - above, rest + above * b


def quotient(a: Operand, b: Operand) -> Operand:
    """The quotient of int64, towards zero."""
    floor, rest = divided(a, b)
    return floor + tf.cast(tf.logical_and(tf.not_equal(rest, 0), _signs_differ(a, b)), tf.int64)


def _signs_differ(a: Operand, b: Operand) -> Operand:
    """Whether one is above 0 and the other is below."""
    return tf.where(b < 0, a > 0, a < 0)


def unsigned_quotient(a: Operand, b: Operand) -> Operand:
    """The quotient of uint64, all as the int64 of the same bits: half of a is not negative, so it divides as usual."""
    half = _wide_shifted_right(a, tf.ones_like(a, tf.int32), unsigned=True)
    nearly = 2 * divided(half, tf.maximum(b, 1))[0]
    at_least = _reaches(a - nearly * b, b)
    return tf.where(b < 0, tf.cast(_reaches(a, b), tf.int64), nearly + tf.cast(at_least, tf.int64))


def _reaches(a: Operand, b: Operand) -> Operand:
    """Whether a >= b as uint64."""
    top = np.array(np.iinfo(np.int64).min)
    return a + top >= b + top


def multiplied_up(x: Operand, exponent: Operand) -> Operand:
    """Powers of int64, by squaring: from 64 on only 0, 1 and -1 have a power that int64 holds."""
    two = np.int64(2)
    result = tf.ones_like(x)
    for _ in range(6):
        odd = tf.not_equal(tf.math.floormod(exponent, two), 0)
        result = result * tf.where(odd, x, tf.ones_like(x))
        x, exponent = x * x, divided(exponent, two)[0]
    return result


# --- shifts ------------------------------------------------------------------------------------------------------


@handles("BitShift")
def shift(node: Node) -> Operand:
    """A product with a power of 2, or RIGHT_SHIFT; as many bits as there are, or more, shift all of them out."""
    x, source = node.x, type_of(node.x)
    width = 8 * source.size
    count = _count(node[1], width)
    if node.text("direction", "LEFT") == "RIGHT":
        return _shifted_right(x, count, width)
    work = tf.int64 if width == 64 else tf.int32
    return _reread(_reread(x, work) * _power(count, width, work), source)


def _count(by: Operand, width: int) -> Operand:
    """By how many bits, in int32: from 0 to ``width``."""
    wide = bits(by, tf.int64) if type_of(by) == tf.uint64 else cast(by, tf.int64)
    return tf.cast(tf.where(wide < 0, np.int64(width), tf.minimum(wide, np.int64(width))), tf.int32)


def _power(count: Operand, width: int, dtype: tf.DType) -> Operand:
    """2 ** count, modulo 2 ** width."""
    powers = [1 << n for n in range(width)] + [0]
    return tf.gather(np.array(powers, np.uint64).astype(dtype.as_numpy_dtype), count)


def _shifted_right(x: Operand, count: Operand, width: int) -> Operand:
    """RIGHT_SHIFT knows up to 32 bits, and shifts by one less than there are."""
    source = type_of(x)
    if width == 64:
        return _reread(_wide_shifted_right(_reread(x, tf.int64), count, source.is_unsigned), source)
    if source == tf.uint32:
        half = tf.bitwise.right_shift(count, np.int32(1))
        first = tf.bitwise.right_shift(x, tf.cast(half, source))
        return tf.bitwise.right_shift(first, tf.cast(count - half, source))
    return _reread(tf.bitwise.right_shift(cast(x, tf.int32), tf.minimum(count, 31)), source)


def _wide_shifted_right(x: Operand, count: Operand, unsigned: bool) -> Operand:
    """The floor of the quotient; where the top bit is none of a sign, what it was extended by is taken away."""
    negative = x < 0
    all_sign = tf.where(negative, np.int64(-1), np.int64(0))
    shifted = tf.where(count > 62, all_sign, divided(x, _power(tf.minimum(count, 62), 64, tf.int64))[0])
    return shifted + tf.where(negative, _power(64 - count, 64, tf.int64), np.int64(0)) if unsigned else shifted


def _reread(x: Operand, target: tf.DType) -> Operand:
    """The low bits as another integer type."""
    if type_of(x) == target:
        return x
    return bits(x, target) if type_of(x).size == target.size else cast(x, target)


# --- bit by bit --------------------------------------------------------------------------------------------------


@handles("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(node: Node) -> Operand:
    """BITWISE_XOR and what follows from it, in 32 bits or in pairs of 32 bits."""
    a, b = (_in_words(operand) for operand in (node[0], node[1]))
    both = {"BitwiseAnd": _and, "BitwiseOr": lambda a, b: a + b - _and(a, b), "BitwiseXor": tf.bitwise.bitwise_xor}
    words, target = both[node.operator](a, b), type_of(node.x)
    return bits(words, target) if target in _WIDE else _reread(words, target)


@handles("BitwiseNot")
def bitwise_not(node: Node) -> Operand:
    """-1 - x."""
    target = type_of(node.x)
    return _reread(-1 - _reread(node.x, tf.int64 if target in _WIDE else tf.int32), target)


def _in_words(x: Operand) -> Operand:
    """Elements of up to 32 bits in int32; those of 64 as two, along a new last axis."""
    if type_of(x) not in _WIDE:
        return _reread(x, tf.int32)
    return x[..., None].view(np.int32) if isinstance(x, np.ndarray) else tf.bitcast(x, tf.int32)


def _and(a: Operand, b: Operand) -> Operand:
    """From a + b = (a ^ b) + 2 * (a & b), which does not overflow without the lowest bits; those are apart."""
    high, other = (tf.bitwise.right_shift(x, np.int32(1)) for x in (a, b))
    lowest = tf.math.floormod(a, 2) * tf.math.floormod(b, 2)
    return high + other - tf.bitwise.bitwise_xor(high, other) + lowest
