"""Inputs and outputs that are integers: a caller's are taken and given as they are, without arithmetic around them.

A DequantizeLinear of an input is lowered to arithmetic, and so is a QuantizeLinear of an output. Where the scale and
the zero point are those of the QUANTIZE after one, or of the DEQUANTIZE before the other, the integers are the same.
"""

from __future__ import annotations

import numpy as np

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Quantization, Value

_BYTES = (DType.INT8, DType.UINT8)
_SIGN = 128
"""The difference of INT8 and the UINT8 that stands for the same number."""
_SAME_SCALE = 1e-6
"""The relative error of a scale with which the whole numbers up to 255 are still the same."""

SAME_ZERO = 1e-4
"""The error of a zero point in steps that is rounding."""


def take_integers(graph: Graph) -> None:
    """Let inputs of bytes be what a QUANTIZE would make of their real numbers."""
    for operation in list(graph.operations):
        if operation.code != "QUANTIZE" or (found := _integers_before(operation[0])) is None:
            continue
        integers, scale, zero = found
        own, target = _grid(operation.result, integers.dtype), operation.result
        if integers not in graph.inputs or own is None or not _is_grid(own, scale, zero):
            continue
        if integers.quantization not in (None, own):
            continue
        integers.quantization = own
        if integers.dtype is DType.INT8:
            graph.replace_uses({target: integers})
        else:
            operation.operands = [integers]


def give_integers(graph: Graph) -> None:
    """Let outputs of bytes be the integers that a DEQUANTIZE makes their real numbers of."""
    for place, output in enumerate(graph.outputs):
        if (found := _real_before(output)) is None:
            continue
        real, scale, zero = found
        producer = real.producer
        if producer is None or producer.code != "DEQUANTIZE":
            continue
        integers = producer[0]
        own = _grid(integers, output.dtype)
        if integers.dtype is not DType.INT8 or own is None or not _is_grid(own, scale, zero):
            continue
        graph.outputs[place] = integers if output.dtype is DType.INT8 else _unsigned(graph, integers, own, producer)


def _unsigned(graph: Graph, integers: Value, grid: Quantization, like: Operation) -> Value:
    """Record a QUANTIZE of INT8 to UINT8, which only turns a bit."""
    result = Value(DType.UINT8, integers.shape, quantization=grid)
    result.producer = Operation("QUANTIZE", [integers], [result], {}, scope=like.scope)
    graph.operations.append(result.producer)
    return result


def _grid(integers: Value, dtype: DType) -> Quantization | None:
    """Return the scale and the zero point of INT8 as ``dtype`` has them; None where there are several or none."""
    found = integers.quantization
    if found is None or len(found.scales) > 1:
        return None
    return Quantization(found.scales, (found.zero_points[0] + (_SIGN if dtype is DType.UINT8 else 0),))


def _is_grid(grid: Quantization, scale: float, zero: float) -> bool:
    return abs(zero - grid.zero_points[0]) <= SAME_ZERO and abs(scale - grid.scales[0]) <= _SAME_SCALE * grid.scales[0]


def _integers_before(real: Value) -> tuple[Value, float, float] | None:
    """Return the bytes, the scale and the zero point of ``(bytes - zero) * scale``; None for any other value."""
    real, scale = _without_number(real, "MUL", 1.0)
    real, zero = _without_number(real, "SUB", 0.0)
    cast = real.producer
    if cast is None or cast.code != "CAST" or cast[0].dtype not in _BYTES:
        return None
    return cast[0], scale, zero


def _real_before(integers: Value) -> tuple[Value, float, float] | None:
    """Return what is rounded to bytes, the scale and the zero point; None for any other value."""
    cast, dtype = integers.producer, integers.dtype
    if cast is None or cast.code != "CAST" or dtype not in _BYTES:
        return None
    value, most = _without_number(cast[0], "MINIMUM", 0.0)
    value, least = _without_number(value, "MAXIMUM", 0.0)
    value, zero = _without_number(value, "ADD", 0.0)
    rounded = value.producer
    if (least, most) != (dtype.min, dtype.max) or rounded is None or rounded.code != "ROUND":
        return None
    value, divisor = _without_number(rounded[0], "DIV", 1.0)
    value, factor = _without_number(value, "MUL", 1.0)
    return (value, divisor / factor, zero) if factor > 0 else None


def _without_number(value: Value, code: str, neutral: float) -> tuple[Value, float]:
    """Return what an operator takes with a constant number, and the number; of any other, the value and ``neutral``."""
    operation = value.producer
    number = None if operation is None or operation.code != code else same_number(operation[1])
    return (value, neutral) if operation is None or number is None else (operation[0], number)


def same_number(value: Value) -> float | None:
    """Return the number that all elements of a constant are, up to rounding; None where there is none."""
    if value.data is None or not value.data.size or not np.allclose(value.data, value.data.flat[0], _SAME_SCALE, 0):
        return None
    return float(value.data.flat[0])
