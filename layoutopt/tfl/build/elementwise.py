"""Operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Quantization, Value
from layoutopt.tfl.recorder import Operand, one, value_of, values_of


def _unary(code: str) -> Callable[[Operand], Value]:
    def function(x: Operand) -> Value:
        return one(code, value_of(x))

    function.__doc__ = f"Record {code}."
    return function


def _binary(code: str) -> Callable[[Operand, Operand], Value]:
    def function(a: Operand, b: Operand) -> Value:
        return one(code, *values_of(a, b))

    function.__doc__ = f"Record {code} of operands that broadcast."
    return function


abs_, ceil, cos, elu, exp, floor = map(_unary, ("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR"))
hard_swish, log, logical_not, logistic, neg = map(_unary, ("HARD_SWISH", "LOG", "LOGICAL_NOT", "LOGISTIC", "NEG"))
relu, relu6, relu_n1_to_1, round_, rsqrt = map(_unary, ("RELU", "RELU6", "RELU_N1_TO_1", "ROUND", "RSQRT"))
sign, sin, sqrt, square, tanh, log_softmax = map(_unary, ("SIGN", "SIN", "SQRT", "SQUARE", "TANH", "LOG_SOFTMAX"))

add, sub, mul, div = map(_binary, ("ADD", "SUB", "MUL", "DIV"))
maximum, minimum, pow_, atan2 = map(_binary, ("MAXIMUM", "MINIMUM", "POW", "ATAN2"))
floor_div, floor_mod, squared_difference = map(_binary, ("FLOOR_DIV", "FLOOR_MOD", "SQUARED_DIFFERENCE"))
less, less_equal, greater = map(_binary, ("LESS", "LESS_EQUAL", "GREATER"))
greater_equal, equal, not_equal = map(_binary, ("GREATER_EQUAL", "EQUAL", "NOT_EQUAL"))
logical_and, logical_or = map(_binary, ("LOGICAL_AND", "LOGICAL_OR"))
right_shift, bitwise_xor = map(_binary, ("RIGHT_SHIFT", "BITWISE_XOR"))


def leaky_relu(x: Operand, alpha: float) -> Value:
    """Record LEAKY_RELU: ``x`` where it is positive, else ``alpha * x``."""
    return one("LEAKY_RELU", value_of(x), alpha=float(alpha))


def gelu(x: Operand, *, approximate: bool = False) -> Value:
    """Record GELU, by tanh if ``approximate``."""
    return one("GELU", value_of(x), approximate=approximate)


def prelu(x: Operand, slope: Operand) -> Value:
    """Record PRELU: ``x`` where it is positive, else ``slope * x``; the slope has one axis less than ``x``."""
    return one("PRELU", *values_of(x, slope))


def softmax(x: Operand, *, beta: float = 1.0) -> Value:
    """Record SOFTMAX of ``beta * x`` along the last axis."""
    return one("SOFTMAX", value_of(x), beta=beta)


def select_v2(condition: Operand, a: Operand, b: Operand) -> Value:
    """Record SELECT_V2: ``a`` where the condition holds, else ``b``; all broadcast."""
    return one("SELECT_V2", value_of(condition), *values_of(a, b))


def bitcast(x: Operand, dtype: DType) -> Value:
    """Record BITCAST: the same bits; elements of other sizes add or take a last axis."""
    value = value_of(x)
    if value.dtype is dtype:
        return value
    shape = value.shape
    if shape is not None and dtype.size < value.dtype.size:
        shape = (*shape, value.dtype.size // dtype.size)
    elif shape is not None and dtype.size > value.dtype.size:
        shape = shape[:-1]
    return one("BITCAST", value, results=[(dtype, shape)])


def quantize(x: Operand, dtype: DType, quantization: Quantization) -> Value:
    """Record QUANTIZE: real numbers, or integers of another scale, to integers."""
    value = value_of(x)
    result = one("QUANTIZE", value, results=[(dtype, value.shape)])
    result.quantization = quantization
    return result


def dequantize(x: Value) -> Value:
    """Record DEQUANTIZE: integers, or halves, to real numbers."""
    return one("DEQUANTIZE", x, results=[(DType.FLOAT32, x.shape)])
