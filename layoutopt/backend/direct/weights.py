"""Weights in half precision or in 8 bits, for arithmetic that stays in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Quantization, Value

_MIN_ELEMENTS = 1024
"""Weights of fewer elements stay float: there is next to nothing to save. TensorFlow's converter has the same bound."""

_CHANNEL_AXES: Mapping[str, int] = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Operators with kernels for float operands and int8 weights, and the axis along which each channel has a scale."""


_STORED_AXES: Mapping[str, int] = {**_CHANNEL_AXES, "TRANSPOSE_CONV": 0}
"""Operators with weights, and the axis along which each channel has a scale."""


def halve_weights(graph: Graph) -> None:
    """Store float32 constants as FLOAT16, each with a DEQUANTIZE before its readers, which XNNPACK reads through.

    Numbers beyond the range of FLOAT16, 65504, become its largest; a single number stays as it is.
    """
    for each in graph.all_graphs():
        made: dict[int, Value] = {}
        recorded = Graph()
        for operation in each.operations:
            with tfl.recording(recorded), tfl.scope(operation.scope):
                operation.operands = [_half(operand, made) for operand in operation.operands]
            recorded.operations.append(operation)
        each.operations = recorded.operations


def _half(operand: Value | None, made: dict[int, Value]) -> Value | None:
    if operand is None or operand.data is None or operand.dtype is not DType.FLOAT32 or operand.data.size <= 1:
        return operand
    key = id(operand.data)
    if key not in made:
        most = np.finfo(np.float16).max
        finite = np.isfinite(operand.data)
        halves = np.where(finite, np.clip(operand.data, -most, most), operand.data).astype(np.float16)
        made[key] = tfl.dequantize(Value.constant(halves))
    return made[key]


def quantize_weights(graph: Graph) -> None:
    """Store large weights of convolutions and products as INT8 with a scale for each channel (dynamic range).

    LiteRT quantizes the operands of these operators as they come. The grid is symmetric: -127 to 127.
    """
    for operation in graph.all_operations():
        axis = _CHANNEL_AXES.get(operation.code)
        if axis is None or not _is_large(operation.operand(1)):
            continue
        operation.operands[1] = _quantized(operation[1].array, axis)
        if "asymmetric_quantize_inputs" in operation.options:
            operation.options["asymmetric_quantize_inputs"] = True


def store_weights_in_bytes(graph: Graph) -> None:
    """Store large weights as INT8 with a scale for each channel, and a DEQUANTIZE before their readers.

    LiteRT makes floats of them once, when the file is loaded, and computes in float32: no range of any activation is
    needed, and nothing else is rounded.
    """
    for each in graph.all_graphs():
        recorded, made = Graph(), dict[tuple[int, int], Value]()
        for operation in each.operations:
            axis = _STORED_AXES.get(operation.code)
            if axis is not None and _is_large(operation.operand(1)):
                key = id(operation[1].data), axis
                if key not in made:
                    with tfl.recording(recorded), tfl.scope(operation.scope):
                        made[key] = tfl.dequantize(_quantized(operation[1].array, axis))
                operation.operands[1] = made[key]
            recorded.operations.append(operation)
        each.operations = recorded.operations


def _is_large(weights: Value | None) -> bool:
    if weights is None or weights.data is None:
        return False
    return weights.dtype is DType.FLOAT32 and weights.data.size >= _MIN_ELEMENTS


def _quantized(weights: Array, axis: int) -> Value:
    others = tuple(each for each in range(weights.ndim) if each != axis)
    scales = (np.abs(weights).max(others) / 127).astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 1  # channels of zeros: XNNPACK takes no scale that is not normal
    spread = scales.reshape([-1 if each == axis else 1 for each in range(weights.ndim)])
    value = Value.constant(np.clip(np.rint(weights / spread), -127, 127).astype(np.int8))
    value.quantization = Quantization(tuple(scales.tolist()), (0,) * len(scales), axis)
    return value
