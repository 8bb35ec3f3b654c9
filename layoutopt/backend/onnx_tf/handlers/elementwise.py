"""Operators that work element by element, with ONNX's broadcasting, which is TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, numpy_type, type_of

_UNARY: Mapping[str, Callable[[Operand], Operand]] = {
    "Abs": tf.abs,
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "Log": tf.math.log,
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": lambda x: 1 / x,  # of a SQRT, the converter makes one RSQRT
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sign": tf.sign,
    "Sin": tf.sin,
    "Sqrt": tf.sqrt,
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
    """One operand, one operator."""
    return _UNARY[node.operator](node.x)


@handles(*_BINARY)
def binary(node: Node) -> Operand:
    """Two operands, one operator."""
    return _BINARY[node.operator](node[0], node[1])


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
    if type_of(node.x).is_floating:
        return tf.divide(node[0], node[1])
    return tf.raw_ops.Div(x=node[0], y=node[1])


@handles("Mod")
def modulo(node: Node) -> Operand:
    """The sign is the divisor's, or with ``fmod`` the dividend's."""
    if node.integer("fmod", 0):
        return tf.math.subtract(node[0], tf.multiply(_towards_zero(tf.divide(node[0], node[1])), node[1]))
    return tf.math.floormod(node[0], node[1])


def _towards_zero(x: Operand) -> Operand:
    return tf.sign(x) * tf.floor(tf.abs(x))


@handles("Pow")
def power(node: Node) -> Operand:
    """POW, or what is cheaper for the exponents that networks use."""
    x, exponent = node[0], node[1]
    if isinstance(exponent, np.ndarray) and exponent.size == 1 and exponent.ndim <= len(node.shape):
        value = float(exponent.reshape(()))
        cheap = {1.0: tf.identity, 2.0: tf.square, 0.5: tf.sqrt, -0.5: tf.math.rsqrt}.get(value)
        if cheap is not None and np.issubdtype(numpy_type(x), np.floating):
            return cheap(x)
    return tf.pow(x, tf.cast(exponent, x.dtype))


@handles("Where")
def where(node: Node) -> Operand:
    """SELECT_V2."""
    return tf.where(node[0], node[1], node[2])


@handles("Cast")
def cast(node: Node) -> Operand:
    """CAST; nothing where the type is that already."""
    target = tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(node.integer("to", 1)))
    return node.x if type_of(node.x) == target else tf.cast(node.x, target)


@handles("Erf")
def erf(node: Node) -> Operand:
    """TFLite has no kernel for erf: a formula that is exact to 1.5e-7."""
    x = tf.abs(node.x)
    t = 1 / (1 + 0.3275911 * x)
    polynomial = reduce(lambda sum_, factor: sum_ * t + factor, reversed(_ERF), tf.zeros_like(t)) * t
    return tf.sign(node.x) * (1 - polynomial * tf.exp(-tf.square(x)))


@handles("Identity", "Dropout")
def identity(node: Node) -> Operand:
    """The operand itself; a Dropout that is exported does nothing."""
    if node.results > 1:
        raise node.unsupported("the mask of a Dropout exists in training only")
    return node.x
