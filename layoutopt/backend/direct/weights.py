"""Weights in half precision, 8 or 4 bits, for activations that stay in float32."""

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


_LARGE = 1 << 16
"""The elements of a layer's weights from which on `quantize_weights` stores 4 bits, where it may."""
_MAX_INTEGERS: Mapping[DType, int] = {DType.INT4: 7, DType.INT8: 127}
"""The largest integer of each type that weights use; the grid is symmetric."""
_CLIPPING = np.linspace(0.6, 1.0, 21)
"""The shares of the largest weight of a channel that its largest 4-bit integer may stand for."""
_CHUNK = 1 << 22
"""The weights that clipping is tried on at once."""

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


def quantize_weights(graph: Graph, *, linear: DType = DType.INT8) -> None:
    """Store large weights of convolutions and products as INT8 with a scale for each channel (dynamic range).

    LiteRT quantizes the operands of these operators as they come.

    Args:
        graph: of float operators; rewritten in place.
        linear: the type of the weights of large FULLY_CONNECTED, INT8 or INT4.
    """
    for operation in graph.all_operations():
        axis = _CHANNEL_AXES.get(operation.code)
        if axis is None or not _is_large(operation.operand(1)):
            continue
        small = DType.INT8 if operation.code != "FULLY_CONNECTED" or not _packs(operation[1]) else linear
        operation.operands[1] = _quantized(operation[1].array, axis, small)
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


def _packs(weights: Value) -> bool:
    """Return whether weights of FULLY_CONNECTED are worth 4 bits, and XNNPACK takes them: rows fill whole bytes."""
    return weights.array.size >= _LARGE and weights.array.shape[-1] % 2 == 0


def _quantized(weights: Array, axis: int, dtype: DType = DType.INT8) -> Value:
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    most = _MAX_INTEGERS[dtype]
    if dtype is DType.INT4:
        parts = np.array_split(rows, -(-rows.size // _CHUNK))
        scales = np.concatenate([_least_squares_scales(part) for part in parts])
    else:
        scales = np.abs(rows).max(1) / most
    scales = scales.astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 1  # channels of zeros: XNNPACK takes no scale that is not normal
    spread = scales.reshape([-1 if each == axis else 1 for each in range(weights.ndim)])
    value = Value.constant(np.clip(np.rint(weights / spread), -most, most).astype(dtype.numpy))
    value.quantization = Quantization(tuple(scales.tolist()), (0,) * len(scales), axis)
    return value


def _least_squares_scales(rows: Array) -> Array:
    """Return the scale of each row for 4 bits by which the squares of all errors add up to the least.

    15 steps are so few that it pays to cut off the largest weights and have finer steps for all others.
    """
    most = _MAX_INTEGERS[DType.INT4]
    largest = np.maximum(np.abs(rows).max(1), np.finfo(np.float32).tiny)
    best, least = largest / most, np.full(len(rows), np.inf)
    for part in _CLIPPING:
        scales = (largest * (part / most)).astype(np.float32)[:, None]
        errors = ((np.clip(np.rint(rows / scales), -most, most) * scales - rows) ** 2).sum(1)
        best = np.where(errors < least, scales[:, 0], best)
        least = np.minimum(errors, least)
    return np.asarray(best)
