"""Activations, spelled the way the TFLite converter recognises them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.elementwise import log1p
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, shape_of, type_of


@handles("Relu")
def relu(node: Node) -> Operand:
    """RELU, mostly fused into the operator before."""
    return _rectified(node.x)


def _rectified(x: Operand) -> Operand:
    return tf.nn.relu(x) if type_of(x).is_floating else tf.maximum(x, 0)


@handles("Clip")
def clip(node: Node) -> Operand:
    """RELU6, RELU_N1_TO_1 and the like for their bounds, else MINIMUM and MAXIMUM."""
    low, high = _bounds(node)
    x = node.x
    if _is(low, 0) and _is(high, 6) and type_of(x).is_floating:
        return tf.nn.relu6(x)
    if low is not None:
        x = _rectified(x) if _is(low, 0) else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def _bounds(node: Node) -> tuple[Operand | None, Operand | None]:
    """Attributes before opset 11, operands since."""
    if node.opset >= 11:
        return node.optional(1), node.optional(2)
    low, high = (np.float32(node.number(name, 0)) if name in node.attributes else None for name in ("min", "max"))
    return low, high


def _is(bound: Operand | None, value: float) -> bool:
    return isinstance(bound, (np.ndarray, np.generic)) and bound.size == 1 and bool(bound == value)


@handles("LeakyRelu")
def leaky_relu(node: Node) -> Operand:
    """LEAKY_RELU."""
    return tf.nn.leaky_relu(node.x, node.number("alpha", 0.01))


@handles("PRelu")
def prelu(node: Node) -> Operand:
    """PRELU, which wants one rank less for the slope than for the operand."""
    slope, rank = node[1], len(node.x.shape)
    if not isinstance(slope, np.ndarray) or not type_of(node.x).is_floating or rank < 2:
        return _rectified(node.x) + slope * tf.minimum(node.x, 0)
    if slope.ndim == rank and slope.shape[0] == 1:
        slope = slope[0]
    slope = slope.reshape((1,) * (rank - 1 - slope.ndim) + slope.shape)
    return tf.nn.relu(node.x) + -slope * tf.nn.relu(-node.x)


@handles("HardSigmoid")
def hard_sigmoid(node: Node) -> Operand:
    """PyTorch's as ``relu6(x + 3) / 6``, which with a multiplication by x becomes one HARD_SWISH."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if np.isclose(alpha, 1 / 6, rtol=0, atol=1e-6) and beta == 0.5:
        return tf.nn.relu6(node.x + 3) * np.float32(1 / 6)
    return tf.minimum(tf.nn.relu(node.x * alpha + beta), 1)


@handles("HardSwish")
def hard_swish(node: Node) -> Operand:
    """HARD_SWISH."""
    return node.x * tf.nn.relu6(node.x + 3) * np.float32(1 / 6)


@handles("Gelu")
@handles("Gelu", domain="com.microsoft")
def gelu(node: Node) -> Operand:
    """GELU."""
    return tf.nn.gelu(node.x, approximate=node.text("approximate", "none") == "tanh")


@handles("Elu")
def elu(node: Node) -> Operand:
    """ELU, whose alpha is 1, and LEAKY_RELU of it for another alpha."""
    return _elu(node.x, node.number("alpha", 1.0))


@handles("Selu")
def selu(node: Node) -> Operand:
    """Scaled ELU."""
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return gamma * _elu(node.x, alpha)


@handles("Celu")
def celu(node: Node) -> Operand:
    """ELU, its argument divided by alpha and its result multiplied."""
    alpha = node.number("alpha", 1.0)
    return tf.nn.elu(node.x) if alpha == 1 else alpha * tf.nn.elu(node.x * (1 / alpha))


def _elu(x: Operand, alpha: float) -> Operand:
    """ELU keeps the sign, so that its negative side can be scaled behind it."""
    return tf.nn.elu(x) if alpha == 1 else tf.nn.leaky_relu(tf.nn.elu(x), alpha)


@handles("ThresholdedRelu")
def thresholded_relu(node: Node) -> Operand:
    """The operand where it is above alpha, else 0."""
    return tf.where(tf.greater(node.x, node.number("alpha", 1.0)), node.x, tf.zeros_like(node.x))


@handles("Shrink")
def shrink(node: Node) -> Operand:
    """Towards 0 by ``bias``; 0 within ``lambd``."""
    bias, limit = node.number("bias", 0.0), node.number("lambd", 0.5)
    x, nothing = node.x, tf.zeros_like(node.x)
    return tf.where(x < -limit, x + bias, tf.where(x > limit, x - bias, nothing))


@handles("Softplus")
def softplus(node: Node) -> Operand:
    """As ``max(x, 0) + log(1 + exp(-|x|))``, which does not overflow; TFLite's own spelling does from x = 89 on."""
    return tf.nn.relu(node.x) + log1p(tf.exp(-tf.abs(node.x)))


@handles("Softsign")
def softsign(node: Node) -> Operand:
    """X / (1 + |x|)."""
    return node.x / (1 + tf.abs(node.x))


@handles("Mish")
def mish(node: Node) -> Operand:
    """X * tanh(softplus(x)), which is x * u / (2 - u) with u = s * (2 - s) and s = sigmoid(x)."""
    sigmoid = tf.sigmoid(node.x)
    u = sigmoid * (2 - sigmoid)
    return node.x * (u / (2 - u))


@handles("Swish")
def swish(node: Node) -> Operand:
    """X * sigmoid(alpha * x)."""
    alpha = node.number("alpha", 1.0)
    return node.x * tf.sigmoid(node.x if alpha == 1 else node.x * alpha)


@handles("Softmax", "LogSoftmax")
def softmax(node: Node) -> Operand:
    """SOFTMAX or LOG_SOFTMAX, which run on the last axis; any other axis takes two TRANSPOSE."""
    return _along(node, tf.nn.softmax if node.operator == "Softmax" else tf.nn.log_softmax)


@handles("Hardmax")
def hardmax(node: Node) -> Operand:
    """ARG_MAX and ONE_HOT: 1 for the first of the largest."""
    return _along(node, lambda x, axis: tf.one_hot(tf.argmax(x, axis), shape_of(x)[axis], axis=axis))


def _along(node: Node, function: Callable[[Operand, int], Operand]) -> Operand:
    """``function`` along one axis; up to opset 12 all axes from that on are one."""
    if node.opset >= 13:
        return function(node.x, node.axis(-1))
    axis, shape = node.axis(1), shape_of(node.x)
    if axis == len(shape) - 1:
        return function(node.x, axis)
    if all(size == 1 for size in shape[axis + 1 :]):
        flat = [*shape[:axis], int(np.prod(shape[axis:]))]
    else:
        flat = [int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))]
    return tf.reshape(function(tf.reshape(node.x, flat), len(flat) - 1), shape)
