"""Activations: an operator of LiteRT where there is one, else a formula that stays exact far out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.elementwise import log1p
from layoutopt.lowering.kernel_types import FLOATS, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

_MAX_PRELU_RANK = 4


@lowers("Relu", types=takes(NUMBERS))
def relu(node: Node) -> Value:
    """Lower Relu to RELU."""
    return _rectified(node.x)


def _rectified(x: Value) -> Value:
    """Record RELU, which does not take integers."""
    return tfl.relu(x) if x.dtype.is_floating else tfl.maximum(x, 0)


@lowers("Clip", types=takes(NUMBERS, DTypeSemantics.ORDER))
def clip(node: Node) -> Value:
    """Lower Clip to RELU6, RELU_N1_TO_1 or RELU for their bounds, else to MAXIMUM and MINIMUM."""
    low, high = _bounds(node)
    x = node.x
    if x.dtype.is_floating and _is(low, 0) and _is(high, 6):
        return tfl.relu6(x)
    if x.dtype.is_floating and _is(low, -1) and _is(high, 1):
        return tfl.relu_n1_to_1(x)
    if low is not None:
        x = _rectified(x) if _is(low, 0) else tfl.maximum(x, low)
    return x if high is None else tfl.minimum(x, high)


def _bounds(node: Node) -> tuple[Value | None, Value | None]:
    """Return the bounds: attributes before opset 11, operands since."""
    if node.opset >= 11:
        return node.optional(1), node.optional(2)
    low, high = (
        tfl.value_of(node.number(name, 0), node.x.dtype) if name in node.attributes else None for name in ("min", "max")
    )
    return low, high


def _is(bound: Value | None, number: float) -> bool:
    return bound is not None and bound.is_constant and bound.count == 1 and bool((bound.array == number).all())


@lowers("LeakyRelu", types=FLOATS)
def leaky_relu(node: Node) -> Value:
    """Lower LeakyRelu to LEAKY_RELU."""
    return tfl.leaky_relu(node.x, node.number("alpha", 0.01))


@lowers("PRelu", types=takes(NUMBERS))
def prelu(node: Node) -> Value:
    """Lower PRelu to PRELU, which needs one axis less for the slope than for the operand."""
    x, slope = node.x, node[1]
    if not slope.is_constant or not x.dtype.is_floating or not 2 <= x.rank <= _MAX_PRELU_RANK:
        return _rectified(x) + slope * tfl.minimum(x, 0)
    if slope.rank == x.rank:
        if slope.sizes[0] != 1:
            return _rectified(x) + slope * tfl.minimum(x, 0)
        slope = slope[0]
    return tfl.prelu(x, tfl.reshape(slope, (*(1,) * (x.rank - 1 - slope.rank), *slope.sizes)))


@lowers("HardSigmoid", types=FLOATS)
def hard_sigmoid(node: Node) -> Value:
    """Lower HardSigmoid to ``relu6(x + 3) / 6`` for PyTorch's numbers, else to a clipped line."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if np.isclose(alpha, 1 / 6, rtol=0, atol=1e-6) and beta == 0.5:
        return tfl.relu6(node.x + 3) * (1 / 6)
    return tfl.minimum(tfl.relu(node.x * alpha + beta), 1)


@lowers("HardSwish", types=FLOATS)
@lowers("HardSwish", domain=DOMAIN, types=FLOATS)
def hard_swish(node: Node) -> Value:
    """Lower HardSwish to HARD_SWISH."""
    return tfl.hard_swish(node.x)


@lowers("Gelu", types=FLOATS)
@lowers("Gelu", domain="com.microsoft", types=FLOATS)
@lowers("Gelu", "GeluTanh", domain=DOMAIN, types=FLOATS)
def gelu(node: Node) -> Value:
    """Lower Gelu to GELU."""
    approximate = node.operator == "GeluTanh" or node.text("approximate", "none") == "tanh"
    return tfl.gelu(node.x, approximate=approximate)


@lowers("Elu", types=FLOATS)
def elu(node: Node) -> Value:
    """Lower Elu to ELU, whose alpha is 1, and LEAKY_RELU of it for another alpha."""
    return _elu(node.x, node.number("alpha", 1.0))


@lowers("Selu", types=FLOATS)
def selu(node: Node) -> Value:
    """Lower Selu to a scaled ELU."""
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return gamma * _elu(node.x, alpha)


@lowers("Celu", types=FLOATS)
def celu(node: Node) -> Value:
    """Lower Celu to ELU, its operand divided by alpha and its result multiplied."""
    alpha = node.number("alpha", 1.0)
    return tfl.elu(node.x) if alpha == 1 else alpha * tfl.elu(node.x * (1 / alpha))


def _elu(x: Value, alpha: float) -> Value:
    """Record ELU, which keeps the sign, so that its negative side can be scaled after it."""
    return tfl.elu(x) if alpha == 1 else tfl.leaky_relu(tfl.elu(x), alpha)


@lowers("ThresholdedRelu", types=FLOATS)
def thresholded_relu(node: Node) -> Value:
    """Lower ThresholdedRelu to SELECT_V2 of the operand where it is above alpha, else 0."""
    return tfl.select_v2(node.x > node.number("alpha", 1.0), node.x, 0)


@lowers("Shrink", types=FLOATS)
def shrink(node: Node) -> Value:
    """Lower Shrink to SELECT_V2: towards 0 by ``bias``; 0 within ``lambd``."""
    bias, limit, x = node.number("bias", 0.0), node.number("lambd", 0.5), node.x
    return tfl.select_v2(x < -limit, x + bias, tfl.select_v2(x > limit, x - bias, 0))


@lowers("Softplus", types=FLOATS)
def softplus(node: Node) -> Value:
    """Lower Softplus to ``max(x, 0) + log(1 + exp(-|x|))``, which does not overflow."""
    return tfl.relu(node.x) + log1p(tfl.exp(-tfl.abs_(node.x)))


@lowers("Softsign", types=FLOATS)
def softsign(node: Node) -> Value:
    """Lower Softsign to x / (1 + |x|)."""
    return node.x / (1 + tfl.abs_(node.x))


@lowers("Mish", types=FLOATS)
@lowers("Mish", domain=DOMAIN, types=FLOATS)
def mish(node: Node) -> Value:
    """Lower Mish, x * tanh(softplus(x)), to x * u / (2 - u) with u = s * (2 - s) and s = sigmoid(x)."""
    sigmoid = tfl.logistic(node.x)
    u = sigmoid * (2 - sigmoid)
    return node.x * (u / (2 - u))


@lowers("Swish", types=FLOATS)
def swish(node: Node) -> Value:
    """Lower Swish to x * sigmoid(alpha * x)."""
    alpha = node.number("alpha", 1.0)
    return node.x * tfl.logistic(node.x if alpha == 1 else node.x * alpha)


@lowers("Softmax", "LogSoftmax", types=FLOATS)
def softmax(node: Node) -> Value:
    """Lower Softmax and LogSoftmax to SOFTMAX and LOG_SOFTMAX; another axis than the last takes two TRANSPOSE."""
    return _along_axis(node, tfl.softmax if node.operator == "Softmax" else tfl.log_softmax)


@lowers("Hardmax", types=FLOATS)
def hardmax(node: Node) -> Value:
    """Lower Hardmax to ARG_MAX and ONE_HOT: 1 for the first of the largest."""
    return _along_axis(node, lambda x: tfl.one_hot(tfl.arg_max(x, -1), x.sizes[-1]))


def _along_axis(node: Node, function: Callable[[Value], Value]) -> Value:
    """Record what works along the last axis for another one; up to opset 12 all axes from that on are one."""
    x, axis = node.x, node.integer("axis", -1 if node.opset >= 13 else 1)
    axis %= max(x.rank, 1)
    if axis == x.rank - 1:
        return function(x)
    if node.opset >= 13:
        swapped = list(range(x.rank))
        swapped[axis], swapped[-1] = swapped[-1], axis
        return tfl.transpose(function(tfl.transpose(x, swapped)), swapped)
    before, after = x.sizes[:axis], x.sizes[axis:]
    flat = (*before, prod(after)) if all(size == 1 for size in after[1:]) else (prod(before), prod(after))
    return tfl.reshape(function(tfl.reshape(x, flat)), x.sizes)
