"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.

A QuantizeLinear and the DequantizeLinear after it are together QUANTIZE and DEQUANTIZE, with the scale and the zero
point of the model; `layoutopt.tfl.rewrites.integers` makes integer operators of what lies between two such pairs. Bytes
are quantized as INT8, 128 lower if they have no sign, since that is what kernels take. What stands alone is arithmetic
that gives ONNX's numbers: it rounds half to even and saturates.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from layoutopt.lowering.node import Node, dtype_of, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Quantization, Value

_STORED = (DType.INT8, DType.UINT8, DType.INT16, DType.UINT16)
_VIEWS = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE")

_quantized: WeakKeyDictionary[Value, Value] = WeakKeyDictionary()
"""Of each result of a QuantizeLinear, that of the QUANTIZE that stands for the same numbers."""


@lowers("QuantizeLinear")
@lowers("QuantizeLinear", domain="com.microsoft")
def quantize(node: Node) -> Value:
    """Lower QuantizeLinear to rounding and saturation; a QUANTIZE beside them is for the DequantizeLinear after it."""
    dtype, x = _stored_type(node), node.x
    scale, zero = _parameters(node, node.shape)
    grid = _grid(node, dtype)
    if grid is None or x.is_constant or x.dtype is not DType.FLOAT32:
        return _rounded(x, scale, zero, dtype)
    integers = tfl.quantize(x, DType.INT8, grid)
    # What a caller hands in is rounded as ONNX has it; what a kernel rounds already is not rounded twice.
    stored = _rounded(x if x.producer is None else tfl.dequantize(integers), scale, zero, dtype)
    _quantized[stored] = integers
    return stored


@lowers("DequantizeLinear")
@lowers("DequantizeLinear", domain="com.microsoft")
def dequantize(node: Node) -> Value:
    """Lower DequantizeLinear to ``(x - zero) * scale``; to DEQUANTIZE after a QuantizeLinear of the same parameters."""
    x, target = node.x, _real_type(node)
    scale, zero = _parameters(node, node.shape)
    if x.is_constant and scale.is_constant and zero.is_constant:
        whole = x.array.astype(np.int64) - zero.array.astype(np.int64)
        real = whole.astype(np.float32) * scale.array.astype(np.float32)
        return Value.constant(real.astype(target.numpy))
    if x.dtype not in (*_STORED, DType.INT32):
        raise node.unsupported(f"LiteRT computes nothing from {x.dtype}: quantize to 8 or 16 bits")
    grid = _grid(node, x.dtype) if target is DType.FLOAT32 else None
    if grid is not None and (real_above := _real_above(x, grid)) is not None:
        return real_above
    y = (_single(x) - _single(zero)) * _single(scale)
    if grid is not None:
        # On its own grid a QUANTIZE changes nothing, but tells that the numbers are on a grid.
        return tfl.dequantize(tfl.quantize(y, DType.INT8, grid))
    return tfl.cast(y, target)


def is_quantized(x: Value) -> bool:
    """Return whether ``x`` comes from a DequantizeLinear, so that its reader may become an operator on integers."""
    return x.producer is not None and x.producer.code == "DEQUANTIZE"


@lowers("DynamicQuantizeLinear")
def quantize_dynamically(node: Node) -> list[Value]:
    """Lower DynamicQuantizeLinear: scale and zero point from the range of the operand, which is made to hold 0."""
    x = node.x
    low = tfl.minimum(tfl.reduce_min(x), 0.0)
    high = tfl.maximum(tfl.reduce_max(x), 0.0)
    scale = (high - low) / 255.0
    scale = tfl.select_v2(tfl.equal(scale, 0.0), 1.0, scale)
    zero = tfl.round_(_within(-low / scale, DType.UINT8))
    integers = _within(tfl.round_(x / scale) + zero, DType.UINT8)
    return [tfl.cast(integers, DType.UINT8), scale, tfl.cast(zero, DType.UINT8)]


@lowers("ConvInteger", "MatMulInteger")
def integer_product(node: Node) -> Value:
    """Refuse what ``expand-quantized-operators`` leaves: sums that float32 cannot hold."""
    raise node.unsupported(
        "LiteRT has no such operator, and float32 could not hold its sums: make the weights constants, smaller, or "
        "quantize the model with scales (QuantizeLinear and DequantizeLinear)"
    )


@lowers("QLinearConv", "QLinearMatMul")
def linear_product(node: Node) -> Value:
    """Refuse what ``expand-quantized-operators`` leaves, or never saw."""
    raise node.unsupported(
        "it goes to LiteRT as a float operator between DequantizeLinear and QuantizeLinear, which the pass "
        "expand-quantized-operators makes of it where its scales are one or one for each channel"
    )


# --- parameters ------------------------------------------------------------------------------------------------------


def _grid(node: Node, dtype: DType) -> Quantization | None:
    """Return the scale and the zero point as INT8 has them, of bytes that have one of each, known now; else None."""
    scale, zero = node[1], node.optional(2)
    if dtype.bits != 8 or not scale.is_constant or scale.count != 1 or scale.dtype is not DType.FLOAT32:
        return None
    if zero is not None and (not zero.is_constant or zero.count != 1):
        return None
    number = 0 if zero is None else int(zero.array.reshape(()))
    return Quantization((float(scale.array.reshape(())),), (number - (128 if dtype.is_unsigned else 0),))


def _parameters(node: Node, shape: tuple[int, ...]) -> tuple[Value, Value]:
    """Return scale and zero point such that they broadcast to ``shape``."""
    zero = node.optional(2)
    return _spread(node, node[1], shape), _spread(node, tfl.int32(0) if zero is None else zero, shape)


def _spread(node: Node, parameter: Value, shape: tuple[int, ...]) -> Value:
    if parameter.count == 1:
        return tfl.reshape(parameter, ())
    axis, block = node.integer("axis", 1) % len(shape), node.integer("block_size", 0)
    if not block:
        return tfl.reshape(parameter, [size if index == axis else 1 for index, size in enumerate(shape)])
    return tfl.gather(parameter, (np.arange(shape[axis]) // block).astype(np.int32), axis)


def _stored_type(node: Node) -> DType:
    """Return the type of the zero point, or what the node says."""
    zero, code = node.optional(2), node.integer("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_of(code) if code else DType.UINT8
    if dtype not in _STORED:
        raise node.unsupported(f"LiteRT computes nothing in {dtype}: quantize to 8 or 16 bits")
    return dtype


def _real_type(node: Node) -> DType:
    """Return the type of the scale, or what the node says."""
    code = node.integer("output_dtype", 0)
    return dtype_of(code) if code else node[1].dtype


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _rounded(x: Value, scale: Value, zero: Value, dtype: DType) -> Value:
    """Record half to even, then into the range of ``dtype``."""
    return tfl.cast(_within(tfl.round_(_divided(_single(x), _single(scale))) + _single(zero), dtype), dtype)


def _divided(x: Value, scale: Value) -> Value:
    """Record ``x / scale``, for a power of two as a product, which is as exact."""
    if scale.is_constant and (np.frexp(scale.array)[0] == 0.5).all():
        return x * (1 / scale)
    return x / scale


def _single(x: Value) -> Value:
    """Return ``x`` as FLOAT32, which holds every number of 16 bits."""
    return tfl.cast(x, DType.FLOAT32)


def _within(x: Value, dtype: DType) -> Value:
    return tfl.minimum(tfl.maximum(x, float(dtype.min)), float(dtype.max))


# --- views -----------------------------------------------------------------------------------------------------------


def _real_above(x: Value, grid: Quantization) -> Value | None:
    """Return the real numbers that ``x`` stands for, where it is a view of the result of a QuantizeLinear."""
    views: list[Operation] = []
    while x not in _quantized:
        if x.producer is None or x.producer.code not in _VIEWS:
            return None
        views.append(x.producer)
        x = x.producer[0]
    integers = _quantized[x]
    if integers.quantization != grid:
        return None
    real = tfl.dequantize(integers)
    for view in reversed(views):
        real = (
            tfl.transpose(real, view[1].array.tolist())
            if view.code == "TRANSPOSE"
            else tfl.reshape(real, view.result.sizes)
        )
    return real
