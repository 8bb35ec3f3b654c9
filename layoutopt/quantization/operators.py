"""The quantization of each operator of LiteRT: what it needs of the scales of its operands and of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid
from layoutopt.tfl.rewrites.integer_kernels import FIXED_RESULTS, KERNELS, MOVEMENTS, ONE_GRID, WEIGHTED

SAME_GRID = MOVEMENTS.keys() | {"AVERAGE_POOL_2D", "DYNAMIC_UPDATE_SLICE", "PADV2", "RESIZE_BILINEAR"}
"""Operators whose results have the scale of what they take."""

SLOW: Mapping[str, str] = {
    **dict.fromkeys(("BATCH_MATMUL", "HARD_SWISH"), "slower on integers (timed on x86 with XNNPACK)"),
    **dict.fromkeys(
        ("ABS", "ELU", "EXP", "GELU", "LOG", "PRELU", "RSQRT", "SOFTMAX", "SQRT", "SQUARED_DIFFERENCE"),
        "its int8 kernel has not been timed against float",
    ),
}
"""The reason for which operators that could compute with integers do so only where all operators have to."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of the operands of an operator with constant weights.

    Attributes:
        x: what the weights are multiplied with.
        weights: the constant.
        bias: what is added to each channel.
        axis: of the weights, along which the channels of the result are.
    """

    x: int
    weights: int
    bias: int
    axis: int


def positions(operation: Operation) -> Positions | None:
    """Return the positions of an operator with constant float weights; None for any other."""
    if operation.code not in WEIGHTED:
        return None
    found = Positions(*WEIGHTED[operation.code])
    weights, bias = operation[found.weights], operation.operand(found.bias)
    if not is_real_constant(weights) or (bias is not None and not is_real_constant(bias)):
        return None
    return found


def is_real_constant(value: Value) -> bool:
    """Return whether a value is a constant of float32."""
    return value.is_constant and value.dtype is DType.FLOAT32


def is_real(value: Value | None) -> bool:
    """Return whether a value is computed, or given, in float32 and of static shape."""
    return value is not None and value.data is None and value.dtype is DType.FLOAT32 and value.is_static


def data_of(operation: Operation) -> list[int]:
    """Return the positions of operands that are numbers to compute with or to move, and are not constant."""
    if operation.code in MOVEMENTS:
        return [MOVEMENTS[operation.code]]
    return [at for at, operand in enumerate(operation.operands) if is_real(operand)]


def fixed_steps(operation: Operation) -> QuantizationGrid | None:
    """Return the only scale and zero point that the kernel gives its result; None where any will do."""
    return FIXED_RESULTS.get(operation.code)


def clamped(operation: Operation) -> Value | None:
    """Return what MINIMUM or MAXIMUM holds below or above one number, as saturation can do; None for all else."""
    if operation.code not in ("MAXIMUM", "MINIMUM"):
        return None
    values = [each for each in operation.operands if each is not None]
    limits = [float(each.array.reshape(())) for each in values if is_real_constant(each) and each.count == 1]
    if len(limits) != 1 or (limits[0] < 0 if operation.code == "MINIMUM" else limits[0] > 0):
        return None  # ranges hold 0, so that they cannot end before it
    return next(each for each in values if not each.is_constant)


def why_float(operation: Operation) -> str:
    """Return why an operator has to compute with floats; empty where it need not."""
    if operation.bodies:
        return "control flow: its bodies stay float"
    if operation.code not in KERNELS and clamped(operation) is None:
        return "no int8 kernel"
    if operation.code in WEIGHTED and positions(operation) is None:
        return "its weights or its bias are computed"
    if not all(map(is_real, operation.results)):
        return "its result is not of float32, or of no static shape"
    if not all(is_real(operation.operand(at)) for at in data_of(operation)) or not data_of(operation):
        return "an operand is not of float32, or of no static shape"
    if operation.code in ONE_GRID and clamped(operation) is None and len(data_of(operation)) < len(operation.operands):
        return "an operand is constant"
    return ""
