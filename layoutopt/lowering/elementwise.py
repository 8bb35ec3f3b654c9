"""Operators that work element by element, with ONNX's broadcasting, which is LiteRT's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np

from layoutopt.lowering.integers import integer_power, quotient, unsigned_quotient
from layoutopt.lowering.kernel_types import ANY, FLOATS, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, dtype_of, lowers
from layoutopt.lowering.types import converted
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value

_UNARY: Mapping[str, Callable[[Value], Value]] = {
    "Acos": lambda x: tfl.atan2(sqrt_one_minus_square(x), x),
    "Acosh": lambda x: log1p((x - 1) + tfl.sqrt(x - 1) * tfl.sqrt(x + 1)),
    "Asin": lambda x: tfl.atan2(x, sqrt_one_minus_square(x)),
    "Asinh": lambda x: tfl.sign(x) * _asinh(tfl.abs_(x)),
    "Atan": lambda x: tfl.atan2(x, tfl.ones_like(x)),  # which does not broadcast
    "Atanh": lambda x: tfl.sign(x) * _atanh(tfl.abs_(x)),
    "Ceil": tfl.ceil,
    "Cos": tfl.cos,
    "Cosh": lambda x: 0.5 * tfl.exp(x) + 0.5 * tfl.exp(-x),
    "Exp": tfl.exp,
    "Floor": tfl.floor,
    "Identity": lambda x: x,
    "IsNaN": lambda x: tfl.not_equal(x, x),
    "Log": tfl.log,
    "Neg": tfl.neg,
    "Not": tfl.logical_not,
    "Reciprocal": lambda x: 1 / x,
    "Round": tfl.round_,
    "Sigmoid": tfl.logistic,
    "Sin": tfl.sin,
    "Sqrt": tfl.sqrt,
    "Tan": lambda x: tfl.sin(x) / tfl.cos(x),
    "Tanh": tfl.tanh,
}
_BINARY: Mapping[str, Callable[[Value, Value], Value]] = {
    "Add": tfl.add,
    "And": tfl.logical_and,
    "Equal": tfl.equal,
    "Greater": tfl.greater,
    "GreaterOrEqual": tfl.greater_equal,
    "Less": tfl.less,
    "LessOrEqual": tfl.less_equal,
    "Mul": tfl.mul,
    "Or": tfl.logical_or,
    "Sub": tfl.sub,
    "Xor": tfl.not_equal,
}
_VARIADIC: Mapping[str, Callable[[Value, Value], Value]] = {"Max": tfl.maximum, "Min": tfl.minimum, "Sum": tfl.add}

# Abramowitz and Stegun, Handbook of Mathematical Functions, formula 7.1.26: absolute error below 1.5e-7.
_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


@lowers(*(operator for operator in _UNARY if operator not in ("Identity", "Neg", "Not")), types=FLOATS)
@lowers("Identity", types=ANY)
@lowers("Neg", types=takes(NUMBERS, DTypeSemantics.MODULAR))
@lowers("Not", types=takes("b"))
def unary(node: Node) -> Value:
    """Lower an operator of one operand to one operator or a formula."""
    return _UNARY[node.operator](node.x)


def sqrt_one_minus_square(x: Value) -> Value:
    """Record sqrt(1 - x * x), exact where x is near 1."""
    return tfl.sqrt((1 - x) * (1 + x))


def log1p(x: Value) -> Value:
    """Record log(1 + x) for x >= 0: near 1, LOG is off by 1e-7, so small x take the first terms of the series."""
    return tfl.select_v2(x < 0.02, x * (1 - x * (0.5 - x * (1 / 3))), tfl.log(1 + x))


def _asinh(x: Value) -> Value:
    """Record asinh for x >= 0, whose square overflows from 1.8e19 on."""
    small = tfl.minimum(x, 1e9)
    hypotenuse = 1 + tfl.sqrt(1 + tfl.square(small))
    large = tfl.log(x) + float(np.log(2))
    return tfl.select_v2(x > 1e9, large, log1p(small + small * (small / hypotenuse)))


def _atanh(x: Value) -> Value:
    """Record atanh for x >= 0; it is no number beyond 1, where the series would give one."""
    ratio = 2 * x / (1 - x)
    return 0.5 * tfl.select_v2(x > 1, tfl.log(ratio), log1p(ratio))


@lowers("Sinh", types=FLOATS)
def sinh(node: Node) -> Value:
    """Lower Sinh to two EXP, or to a formula of tanh(x / 2) where e**x - e**-x cancels."""
    x = node.x
    half = tfl.tanh(0.5 * tfl.relu_n1_to_1(x))
    return tfl.select_v2(tfl.abs_(x) < 1, 2 * half / (1 - tfl.square(half)), 0.5 * tfl.exp(x) - 0.5 * tfl.exp(-x))


@lowers("Abs", types=takes(NUMBERS))
def absolute(node: Node) -> Value:
    """Lower Abs to ABS."""
    return magnitude(node.x)


def magnitude(x: Value) -> Value:
    """Record ABS, which does not take int64."""
    return tfl.maximum(x, -x) if x.dtype is DType.INT64 else tfl.abs_(x)


@lowers("Sign", types=takes(NUMBERS))
def sign(node: Node) -> Value:
    """Lower Sign to SIGN, which does not take int64."""
    if node.x.dtype is DType.INT64:
        return tfl.cast(node.x > 0, DType.INT64) - tfl.cast(node.x < 0, DType.INT64)
    return tfl.sign(node.x)


@lowers("IsInf", types=FLOATS)
def is_infinite(node: Node) -> Value:
    """Lower IsInf to GREATER than the largest number, on the sides that are asked for."""
    negative, positive = (node.integer(f"detect_{side}", 1) == 1 for side in ("negative", "positive"))
    if not negative and not positive:
        return node.x < -np.inf  # which nothing is
    x = tfl.abs_(node.x) if negative and positive else node.x if positive else -node.x
    return x > DType.FLOAT32.max


@lowers("Add", "Equal", "Mul", "Sub", types=takes(NUMBERS, DTypeSemantics.MODULAR))
@lowers("And", "Or", "Xor", types=takes("b"))
@lowers("Greater", "GreaterOrEqual", "Less", "LessOrEqual", types=takes(NUMBERS, DTypeSemantics.ORDER))
def binary(node: Node) -> Value:
    """Lower an operator of two operands to one operator."""
    return _BINARY[node.operator](node[0], _aligned(node, node[1]))


def _aligned(node: Node, second: Value) -> Value:
    """Return the second operand; up to opset 6, ``axis`` says where its axes are among those of the first."""
    if node.opset >= 7 or "axis" not in node.attributes:
        return second
    missing = len(node.shape) - node.axis(0) - second.rank
    return tfl.reshape(second, (*second.sizes, *[1] * missing))


@lowers("Max", "Min", types=takes(NUMBERS, DTypeSemantics.ORDER))
@lowers("Sum", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def variadic(node: Node) -> Value:
    """Lower an operator of any number of operands to one operator fewer."""
    return reduce(_VARIADIC[node.operator], node.given)


@lowers("Mean", types=FLOATS)
def mean(node: Node) -> Value:
    """Lower Mean to ADD and DIV."""
    return reduce(tfl.add, node.given) / len(node.given)


@lowers("Div", types=takes(f"u8 {NUMBERS}"))
def divide(node: Node) -> Value:
    """Lower Div to DIV, which divides integers towards zero as ONNX does, but does not take 64 bits."""
    if node.x.dtype is DType.UINT64:
        return tfl.bitcast(unsigned_quotient(*_as_signed(node)), DType.UINT64)
    if node.x.dtype is DType.INT64:
        return quotient(node[0], node[1])
    return tfl.div(node[0], _aligned(node, node[1]))


def _as_signed(node: Node) -> list[Value]:
    return [tfl.bitcast(operand, DType.INT64) for operand in node.given]


@lowers("Mod", types=takes(f"u8 {NUMBERS}"))
def modulo(node: Node) -> Value:
    """Lower Mod to FLOOR_MOD, whose sign is the divisor's; with ``fmod`` it is to be the dividend's."""
    a, b = node[0], node[1]
    if a.dtype is DType.UINT64:
        a, b = _as_signed(node)
        return tfl.bitcast(a - unsigned_quotient(a, b) * b, DType.UINT64)
    if not node.integer("fmod", 0):
        return tfl.floor_mod(a, b)
    if a.dtype.is_floating:
        return tfl.sign(a) * tfl.floor_mod(tfl.abs_(a), tfl.abs_(b))
    floor = tfl.floor_mod(a, b)
    other_sign = tfl.logical_and(tfl.not_equal(floor, 0), tfl.not_equal(a < 0, b < 0))
    return tfl.select_v2(other_sign, floor - b, floor)


@lowers("Pow", types=takes(NUMBERS))
def power(node: Node) -> Value:
    """Lower Pow to POW, or to what is cheaper for the exponents that networks use."""
    x, exponent = node[0], node[1]
    if x.dtype.is_floating and exponent.is_constant and exponent.count == 1 and exponent.rank <= x.rank:
        match float(exponent.array.reshape(())):
            case 1.0:
                return x
            case 2.0:
                return tfl.square(x)
            case 0.5:
                return tfl.sqrt(x)
            case -0.5:
                return tfl.rsqrt(x)
    if not x.dtype.is_floating and exponent.dtype.is_floating:
        powers = tfl.pow_(converted(x, DType.FLOAT32), converted(exponent, DType.FLOAT32))
        return converted(powers, x.dtype)
    if x.dtype is DType.INT64:
        return integer_power(x, converted(exponent, DType.INT64))
    return tfl.pow_(x, converted(exponent, x.dtype))


@lowers("Where", types=takes("b i1 i2 i4 u4 i8 f4", DTypeSemantics.BITS))
def where(node: Node) -> Value:
    """Lower Where to SELECT_V2."""
    return tfl.select_v2(node[0], node[1], node[2])


@lowers("Cast", types=ANY)
def cast(node: Node) -> Value:
    """Lower Cast to CAST; nothing where the type is that already."""
    return converted(node.x, _target(node))


@lowers("CastLike", types=ANY)
def cast_like(node: Node) -> Value:
    """Lower CastLike to CAST to the type of the second operand."""
    return converted(node.x, node[1].dtype)


@lowers("BitCast", types=ANY)
def bit_cast(node: Node) -> Value:
    """Lower BitCast to BITCAST; a bool is a byte."""
    target = _target(node)
    x = tfl.cast(node.x, DType.UINT8) if node.x.dtype is DType.BOOL else node.x
    if x.dtype is target:
        return x
    return tfl.not_equal(tfl.bitcast(x, DType.UINT8), 0) if target is DType.BOOL else tfl.bitcast(x, target)


def _target(node: Node) -> DType:
    """Return the type that the attribute ``to`` tells.

    Raises:
        UnsupportedOperatorError: kernels know no such elements.
    """
    try:
        target = dtype_of(node.integer("to", 1))
    except TypeError as error:
        raise node.unsupported(str(error)) from None
    if not (target.is_floating or target.is_integer or target is DType.BOOL) or target.bits < 8:
        raise node.unsupported(f"no .tflite can hold the type {target}")
    return target


@lowers("Erf", types=FLOATS)
def erf(node: Node) -> Value:
    """Lower Erf, which has no kernel, to a formula that is exact to 1.5e-7."""
    x = tfl.abs_(node.x)
    t = 1 / (1 + 0.3275911 * x)
    *rest, highest = _ERF
    polynomial = reduce(lambda total, factor: (total + factor) * t, reversed(rest), highest * t)
    return tfl.sign(node.x) * (1 - polynomial * tfl.exp(-tfl.square(x)))


@lowers("Dropout", types=ANY)
def dropout(node: Node) -> list[Value]:
    """Lower Dropout to its operand, and a mask that keeps all: it drops in training only."""
    mode = node.optional(2)
    if mode is not None and not (mode.is_constant and (not mode.array.any() or _keeps_all(node))):
        raise node.unsupported("it drops at random, as in training; export the model for inference")
    if node.results == 1:
        return [node.x]
    return [node.x, tfl.ones_like(node.x, DType.BOOL if node.opset >= 10 else node.x.dtype)]


def _keeps_all(node: Node) -> bool:
    return node.known(1) and not node.constant(1).any()
