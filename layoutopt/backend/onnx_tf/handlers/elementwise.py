"""Operators that work element by element, with ONNX's broadcasting, which is TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.integers import multiplied_up, quotient, unsigned_quotient
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, numpy_type, shape_of, type_of
from layoutopt.backend.onnx_tf.handlers.types import bits, converted

_UNARY: Mapping[str, Callable[[Operand], Operand]] = {
    "Acos": lambda x: tf.atan2(_leg(x), x),
    "Acosh": lambda x: log1p((x - 1) + tf.sqrt(x - 1) * tf.sqrt(x + 1)),
    "Asin": lambda x: tf.atan2(x, _leg(x)),
    "Asinh": lambda x: tf.sign(x) * _asinh(tf.abs(x)),
    "Atan": lambda x: tf.atan2(x, tf.ones_like(x)),
    "Atanh": lambda x: tf.sign(x) * (0.5 * log1p(2 * tf.abs(x) / (1 - tf.abs(x)))),
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Cosh": lambda x: 0.5 * tf.exp(x) + 0.5 * tf.exp(-x),
    "Exp": tf.exp,
    "Floor": tf.floor,
    "IsNaN": tf.math.is_nan,
    "Log": tf.math.log,
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": lambda x: 1 / x,  # of a SQRT, the converter makes one RSQRT
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sin": tf.sin,
    "Sqrt": tf.sqrt,
    "Tan": lambda x: tf.sin(x) / tf.cos(x),
    "Tanh": tf.tanh,
}
_BINARY: Mapping[str, Callable[[Operand, Operand], Operand]] = {
    "Add": tf.add,
    "And": tf.logical_and,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "Mul": tf.multiply,
    "Or": tf.logical_or,
    "Sub": tf.subtract,
    "Xor": tf.math.logical_xor,
}
_VARIADIC: Mapping[str, Callable[[Operand, Operand], Operand]] = {"Max": tf.maximum, "Min": tf.minimum, "Sum": tf.add}

# Abramowitz and Stegun, Handbook of Mathematical Functions, formula 7.1.26: absolute error below 1.5e-7.
_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


@handles(*_UNARY)
def unary(node: Node) -> Operand:
    """One operand, one operator or a formula."""
    return _UNARY[node.operator](node.x)


def _leg(x: Operand) -> Operand:
    """sqrt(1 - x * x), exact where x is near 1."""
    return tf.sqrt((1 - x) * (1 + x))


def log1p(x: Operand) -> Operand:
    """log(1 + x) for x >= 0: near 1, LOG is off by 1e-7, so small x take the first terms of the series."""
    return tf.where(x < 0.02, x * (1 - x * (0.5 - x * (1 / 3))), tf.math.log(1 + x))


def _asinh(x: Operand) -> Operand:
    """For x >= 0, whose square overflows from 1.8e19 on."""
    small = tf.minimum(x, 1e9)
    return tf.where(x > small, tf.math.log(x) + np.float32(np.log(2)), log1p(small + small * (small / _hypot(small))))


def _hypot(x: Operand) -> Operand:
    return 1 + tf.sqrt(1 + tf.square(x))


@handles("Sinh")
def sinh(node: Node) -> Operand:
    """By tanh(x / 2) where e**x - e**-x cancels."""
    x = node.x
    half = tf.tanh(0.5 * tf.clip_by_value(x, -1, 1))
    return tf.where(tf.abs(x) < 1, 2 * half / (1 - tf.square(half)), 0.5 * tf.exp(x) - 0.5 * tf.exp(-x))


@handles("Abs")
def absolute(node: Node) -> Operand:
    """ABS."""
    return magnitude(node.x)


def magnitude(x: Operand) -> Operand:
    """ABS, which does not know int64."""
    return tf.maximum(x, -x) if type_of(x) == tf.int64 else tf.abs(x)


@handles("Sign")
def sign(node: Node) -> Operand:
    """SIGN, which does not know int64."""
    if type_of(node.x) == tf.int64:
        return tf.cast(node.x > 0, tf.int64) - tf.cast(node.x < 0, tf.int64)
    return tf.sign(node.x)


@handles("IsInf")
def is_infinite(node: Node) -> Operand:
    """GREATER than the largest number, on the sides that are asked for."""
    negative, positive = (node.integer(f"detect_{sign}", 1) == 1 for sign in ("negative", "positive"))
    if not negative and not positive:
        return tf.not_equal(tf.zeros_like(node.x), 0)
    x = tf.abs(node.x) if negative and positive else node.x if positive else -node.x
    return x > np.finfo(np.float32).max


@handles(*_BINARY)
def binary(node: Node) -> Operand:
    """Two operands, one operator."""
    return _BINARY[node.operator](node[0], _aligned(node, node[1]))


def _aligned(node: Node, second: Operand) -> Operand:
    """The second operand; up to opset 6, ``axis`` says where its axes stand among those of the first."""
    if node.opset >= 7 or "axis" not in node.attributes:
        return second
    missing = len(node.shape) - node.axis(0) - len(shape_of(second))
    return tf.reshape(second, (*shape_of(second), *[1] * missing))


@handles(*_VARIADIC)
def variadic(node: Node) -> Operand:
    """Any number of operands, one operator fewer."""
    return reduce(_VARIADIC[node.operator], node.given)


@handles("Mean")
def mean(node: Node) -> Operand:
    """The mean of the operands."""
    return reduce(tf.add, node.given) / len(node.given)


@handles("Div")
def divide(node: Node) -> Operand:
    """DIV: ONNX divides integers towards zero."""
    if type_of(node.x) == tf.uint64:
        return bits(unsigned_quotient(*_signed(node)), tf.uint64)
    if type_of(node.x) == tf.int64:
        return quotient(node[0], node[1])
    if type_of(node.x).is_floating:
        return tf.divide(node[0], node[1])
    return tf.raw_ops.Div(x=node[0], y=node[1])


def _signed(node: Node) -> list[Operand]:
    return [bits(operand, tf.int64) for operand in node.given]


@handles("Mod")
def modulo(node: Node) -> Operand:
    """FLOOR_MOD, whose sign is the divisor's; with ``fmod`` it is to be the dividend's."""
    a, b = node[0], node[1]
    if type_of(a) == tf.uint64:
        a, b = _signed(node)
        return bits(a - unsigned_quotient(a, b) * b, tf.uint64)
    if not node.integer("fmod", 0):
        return tf.math.floormod(a, b)
    if type_of(a).is_floating:
        return tf.sign(a) * tf.math.floormod(tf.abs(a), tf.abs(b))
    floor = tf.math.floormod(a, b)
    return tf.where(tf.logical_and(tf.not_equal(floor, 0), (a < 0) != (b < 0)), floor - b, floor)


@handles("Pow")
def power(node: Node) -> Operand:
    """POW, or what is cheaper for the exponents that networks use."""
    x, exponent = node[0], node[1]
    if isinstance(exponent, np.ndarray) and exponent.size == 1 and exponent.ndim <= len(x.shape):
        value = float(exponent.reshape(()))
        cheap = {1.0: tf.identity, 2.0: tf.square, 0.5: tf.sqrt, -0.5: tf.math.rsqrt}.get(value)
        if cheap is not None and np.issubdtype(numpy_type(x), np.floating):
            return cheap(x)
    if not type_of(x).is_floating and type_of(exponent).is_floating:
        powers = tf.pow(converted(x, tf.float32), converted(exponent, tf.float32))
        return tf.cast(powers, x.dtype)
    return (
        multiplied_up(x, converted(exponent, tf.int64))
        if type_of(x) == tf.int64
        else tf.pow(x, converted(exponent, type_of(x)))
    )


@handles("Where")
def where(node: Node) -> Operand:
    """SELECT_V2."""
    return tf.where(node[0], node[1], node[2])


@handles("Cast")
def cast(node: Node) -> Operand:
    """CAST; nothing where the type is that already."""
    target = onnx.helper.tensor_dtype_to_np_dtype(node.integer("to", 1))
    if target.kind not in "biuf" and target.name != "bfloat16":
        raise node.unsupported(f"no .tflite can hold the type {target.name}")
    return converted(node.x, tf.as_dtype(target))


@handles("CastLike")
def cast_like(node: Node) -> Operand:
    """CAST to the type of the second operand."""
    return converted(node.x, type_of(node[1]))


@handles("BitCast")
def bit_cast(node: Node) -> Operand:
    """BITCAST; a bool is a byte."""
    target = tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(node.integer("to", 1)))
    x = tf.cast(node.x, tf.uint8) if type_of(node.x) == tf.bool else node.x
    if type_of(x) == target:
        return x
    return tf.not_equal(bits(x, tf.uint8), 0) if target == tf.bool else bits(x, target)


@handles("Erf")
def erf(node: Node) -> Operand:
    """TFLite has no kernel for erf: a formula that is exact to 1.5e-7."""
    x = tf.abs(node.x)
    t = 1 / (1 + 0.3275911 * x)
    polynomial = reduce(lambda sum_, factor: sum_ * t + factor, reversed(_ERF), tf.zeros_like(t)) * t
    return tf.sign(node.x) * (1 - polynomial * tf.exp(-tf.square(x)))


@handles("Identity")
def identity(node: Node) -> Operand:
    """The operand itself."""
    return node.x


@handles("Dropout")
def dropout(node: Node) -> list[Operand]:
    """The operand itself, and a mask that keeps all: a Dropout drops in training only."""
    mode = node.optional(2)
    if mode is not None and not (isinstance(mode, np.ndarray) and (not mode.any() or _keeps_all(node))):
        raise node.unsupported("it drops at random, as in training; export the model for inference")
    if node.results == 1:
        return [node.x]
    mask = np.ones(node.shape, bool if node.opset >= 10 else numpy_type(node.x))
    return [node.x, mask]


def _keeps_all(node: Node) -> bool:
    return node.known(1) and not node.constant(1).any()
