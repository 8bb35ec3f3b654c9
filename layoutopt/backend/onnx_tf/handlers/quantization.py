"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.

A QuantizeLinear and the DequantizeLinear behind it are together one FakeQuant, which the TFLite converter writes as a
QUANTIZE and a DEQUANTIZE; `layoutopt.backend.onnx_tf.int8` makes integer operators of what lies between them. One
that stands alone is arithmetic that gives ONNX's numbers: it rounds half to even and saturates.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Array, Node, Operand, handles, reshaped, shape_of, type_of

_STORED = (tf.int8, tf.uint8, tf.int16, tf.uint16)
_VIEWS = ("Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose")


@dataclass(frozen=True, slots=True)
class _Quantized:
    """The real numbers that a quantized tensor stands for.

    Attributes:
        real: the tensor that FakeQuant makes.
        scale: of all elements.
        zero: of all elements.
    """

    real: tf.Tensor
    scale: float
    zero: int


_known: WeakKeyDictionary[tf.Graph, dict[str, _Quantized]] = WeakKeyDictionary()
"""Of each graph that is being traced, the results of QuantizeLinear by the names of their operations."""


@handles("QuantizeLinear")
@handles("QuantizeLinear", domain="com.microsoft")
def quantize(node: Node) -> Operand:
    """Saturates ``round(x / scale) + zero``; what the DequantizeLinear behind it needs of it is remembered."""
    dtype = _stored_type(node)
    x, scale, zero = node.x, *_parameters(node, node.shape)
    one = _one(node)
    if one is None or not isinstance(x, tf.Tensor) or dtype.size != 1 or type_of(x) != tf.float32:
        return _stored(x, scale, zero, dtype)
    low, high = ((limit - one.zero) * one.scale for limit in (dtype.min, dtype.max))
    real = tf.quantization.fake_quant_with_min_max_args(x, low, high)
    # What a caller hands in is rounded as ONNX has it; what a kernel rounds already is not rounded twice.
    stored: tf.Tensor = _stored(x if x.op.type == "Placeholder" else real, scale, zero, dtype)
    _known.setdefault(stored.graph, {})[stored.op.name] = _Quantized(real, one.scale, one.zero)
    return stored


@handles("DequantizeLinear")
@handles("DequantizeLinear", domain="com.microsoft")
def dequantize(node: Node) -> Operand:
    """``(x - zero) * scale``; the FakeQuant where a QuantizeLinear of the same parameters is above."""
    x, one = node.x, _one(node)
    if type_of(x) not in (*_STORED, tf.int32):
        raise node.unsupported(f"LiteRT computes nothing from {type_of(x).name}: quantize to 8 or 16 bits")
    target = _real_type(node)
    if isinstance(x, tf.Tensor) and one is not None and target == tf.float32:
        above = _above(x)
        if above is not None and (above.scale, above.zero) == (one.scale, one.zero):
            return above.real
    scale, zero = _parameters(node, node.shape)
    if isinstance(x, np.ndarray):
        whole = x.astype(np.int64) - np.asarray(zero).astype(np.int64)
        return (whole.astype(np.float32) * np.asarray(scale, np.float32)).astype(target.as_numpy_dtype)
    real = (tf.cast(x, tf.float32) - _single(zero)) * _single(scale)
    if one is not None and type_of(x).size == 1 and target == tf.float32:
        # On its own grid a FakeQuant changes nothing, but tells that the numbers are on a grid.
        low, high = ((limit - one.zero) * one.scale for limit in (type_of(x).min, type_of(x).max))
        return tf.quantization.fake_quant_with_min_max_args(real, low, high)
    return tf.cast(real, target)


def is_quantized(x: Operand) -> bool:
    """Whether ``x`` comes from a DequantizeLinear, so that its reader may become an operator on integers."""
    return isinstance(x, tf.Tensor) and x.op.type == "FakeQuantWithMinMaxArgs"


@handles("DynamicQuantizeLinear")
def quantize_dynamically(node: Node) -> list[Operand]:
    """Scale and zero point from the range of the operand, which is made to hold 0."""
    x = node.x
    low = tf.minimum(tf.reduce_min(x), 0.0)
    high = tf.maximum(tf.reduce_max(x), 0.0)
    scale = (high - low) / 255.0
    scale = tf.where(tf.equal(scale, 0.0), tf.ones_like(scale), scale)
    zero = tf.round(_within(-low / scale, tf.uint8))
    return [tf.cast(_within(tf.round(x / scale) + zero, tf.uint8), tf.uint8), scale, tf.cast(zero, tf.uint8)]


@handles("ConvInteger", "MatMulInteger")
def integer_product(node: Node) -> Operand:
    """What ``expand-quantized-operators`` leaves: sums that float32 cannot hold."""
    raise node.unsupported(
        "TFLite has no such operator, and float32 could not hold its sums: make the weights constants, smaller, or "
        "quantize the model with scales (QuantizeLinear and DequantizeLinear)"
    )


@handles("QLinearConv", "QLinearMatMul")
def linear_product(node: Node) -> Operand:
    """What ``expand-quantized-operators`` leaves, or never saw."""
    raise node.unsupported(
        "it goes to TFLite as a float operator between DequantizeLinear and QuantizeLinear, which the pass "
        "expand-quantized-operators makes of it where its scales are one or one for each channel"
    )


# --- parameters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _One:
    """One scale and one zero point for all elements, known now."""

    scale: float
    zero: int


def _one(node: Node) -> _One | None:
    scale, zero = node[1], node.optional(2)
    if not isinstance(scale, np.ndarray) or scale.size != 1 or scale.dtype != np.float32:
        return None
    if zero is not None and (not isinstance(zero, np.ndarray) or zero.size != 1):
        return None
    return _One(float(scale.reshape(())), 0 if zero is None else int(zero.reshape(())))


def _parameters(node: Node, shape: tuple[int, ...]) -> tuple[Operand, Operand]:
    """Scale and zero point such that they broadcast to ``shape``."""
    zero = node.optional(2)
    return _spread(node, node[1], shape), _spread(node, np.zeros((), np.int32) if zero is None else zero, shape)


def _spread(node: Node, parameter: Operand, shape: tuple[int, ...]) -> Operand:
    sizes, block = shape_of(parameter), node.integer("block_size", 0)
    if int(np.prod(sizes)) == 1:
        return reshaped(parameter, ())
    axis = node.integer("axis", 1) % len(shape)
    if not block:
        return reshaped(parameter, tuple(size if index == axis else 1 for index, size in enumerate(shape)))
    rows = np.arange(shape[axis]) // block
    return (
        np.take(parameter, rows, axis) if isinstance(parameter, np.ndarray) else tf.gather(parameter, rows, axis=axis)
    )


def _stored_type(node: Node) -> tf.DType:
    """The type of the zero point, or what the node says."""
    zero, code = node.optional(2), node.integer("output_dtype", 0)
    if zero is None and code:
        import onnx

        name = onnx.TensorProto.DataType.Name(code).lower()
        dtype = next((each for each in _STORED if each.name == name), None)
    else:
        name = type_of(zero).name if zero is not None else tf.uint8.name
        dtype = type_of(zero) if zero is not None else tf.uint8
    if dtype not in _STORED:
        raise node.unsupported(f"LiteRT computes nothing in {name}: quantize to 8 or 16 bits")
    return dtype


def _real_type(node: Node) -> tf.DType:
    """The type of the scale, or what the node says."""
    import onnx

    code = node.integer("output_dtype", 0)
    return tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(code)) if code else type_of(node[1])


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _stored(x: Operand, scale: Operand, zero: Operand, dtype: tf.DType) -> Operand:
    """Half to even, then into the range of ``dtype``."""
    return tf.cast(_within(tf.round(_divided(_single(x), _single(scale))) + _single(zero), dtype), dtype)


def _divided(x: Operand, scale: Operand) -> Operand:
    """``x / scale``; a constant power of two as the product that the converter would make of it, less exactly."""
    if isinstance(scale, np.ndarray) and (np.frexp(scale)[0] == 0.5).all():
        return x * (1 / scale)
    return x / scale


def _single(operand: Operand) -> Operand:
    """As float32, which holds every number of 16 bits."""
    if isinstance(operand, np.ndarray):
        return operand.astype(np.float32)
    return operand if type_of(operand) == tf.float32 else tf.cast(operand, tf.float32)


def _within(x: Operand, dtype: tf.DType) -> Operand:
    return tf.minimum(tf.maximum(x, np.float32(dtype.min)), np.float32(dtype.max))


def _above(x: tf.Tensor) -> _Quantized | None:
    """The real numbers that ``x`` stands for, where it is a view of the result of a QuantizeLinear."""
    found = _known.get(x.graph, {}).get(x.op.name)
    if found is not None or x.op.type not in _VIEWS:
        return found
    source = _above(x.op.inputs[0])
    if source is None:
        return None
    return _Quantized(_same_view(x, source.real), source.scale, source.zero)


def _same_view(x: tf.Tensor, real: Array | tf.Tensor) -> tf.Tensor:
    """``real`` seen as ``x`` sees its operand."""
    if x.op.type == "Transpose":
        return tf.transpose(real, x.op.inputs[1])
    return tf.reshape(real, shape_of(x))
