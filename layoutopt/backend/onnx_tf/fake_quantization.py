"""QUANTIZE and DEQUANTIZE, which TensorFlow writes as one operator, FakeQuant, on real numbers.

The TFLite converter makes a QUANTIZE and a DEQUANTIZE of it; `layoutopt.tfl.rewrites.integers` makes integer operators
of what lies between such pairs. Integers that somebody else reads are computed as ONNX has them: they are rounded half
to even and saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Quantization


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """Integers that stand for real numbers.

    Attributes:
        real: the real numbers, as FakeQuant gives them.
        integers: computes the integers themselves.
    """

    real: tf.Tensor
    integers: Callable[[], tf.Tensor]

    def seen(self, view: Callable[[tf.Tensor], tf.Tensor]) -> QuantizedTensor:
        """Return the same integers under a view, such as a permutation of the axes."""
        return QuantizedTensor(view(self.real), cache(lambda: view(self.integers())))


def replay_quantize(operation: Operation, x: Any) -> QuantizedTensor:
    """Return what a QUANTIZE makes of ``x``: real numbers, or integers of another scale."""
    result = operation.result
    to = result.quantization
    assert to is not None, "QUANTIZE without a scale"
    if not isinstance(x, QuantizedTensor) and tf.as_dtype(x.dtype) != tf.float32:
        x = _real(x, operation[0].quantization)
    x = x.real if isinstance(x, QuantizedTensor) else tf.convert_to_tensor(x)
    if len(to.scales) > 1:
        integers = _rounded(x, to, result.dtype)
        return QuantizedTensor(_real(integers, to), lambda: integers)
    real = _on_grid(x, to, result.dtype)
    # What a caller hands in is rounded as ONNX has it; what a kernel rounds already is not rounded twice.
    source = x if x.op.type == "Placeholder" else real
    return QuantizedTensor(real, cache(lambda: _rounded(source, to, result.dtype)))


def replay_dequantize(operation: Operation, x: Any) -> tf.Tensor:
    """Return the real numbers that a DEQUANTIZE finds in ``x``."""
    if isinstance(x, QuantizedTensor):
        return x.real
    source = operation[0]
    if source.quantization is None:
        return tf.cast(x, tf.float32)  # halves
    real = _real(x, source.quantization)
    if source.is_constant or len(source.quantization.scales) > 1 or source.dtype.bits > 8:
        return real
    # On its own grid a FakeQuant changes nothing, but tells that the numbers are on a grid.
    return _on_grid(real, source.quantization, source.dtype)


def _on_grid(x: tf.Tensor, quantization: Quantization, dtype: DType) -> tf.Tensor:
    (scale,), (zero,) = quantization.scales, quantization.zero_points
    low, high = ((limit - zero) * scale for limit in (dtype.min, dtype.max))
    return tf.quantization.fake_quant_with_min_max_args(x, low, high, num_bits=dtype.bits)


def _real(integers: Any, quantization: Quantization | None) -> Any:
    assert quantization is not None, "integers without a scale"
    scale, zero = _parameters(quantization, len(integers.shape))
    if isinstance(integers, np.ndarray):
        return (integers.astype(np.float32) - zero) * scale
    return (tf.cast(integers, tf.float32) - zero) * scale


def _rounded(x: tf.Tensor, quantization: Quantization, dtype: DType) -> tf.Tensor:
    scale, zero = _parameters(quantization, len(x.shape))
    # A power of two as the product that the converter would make of it, less exactly.
    steps = x * (1 / scale) if (np.frexp(scale)[0] == 0.5).all() else x / scale
    low, high = np.float32(dtype.min), np.float32(dtype.max)
    return tf.cast(tf.minimum(tf.maximum(tf.round(steps) + zero, low), high), tf.as_dtype(dtype.numpy))


def _parameters(quantization: Quantization, rank: int) -> tuple[Any, Any]:
    """Return scales and zero points in float32, such that they broadcast."""

    def spread(numbers: Sequence[float]) -> Any:
        array = np.array(numbers, np.float32)
        return (
            array[0] if len(array) == 1 else array.reshape([-1 if i == quantization.axis else 1 for i in range(rank)])
        )

    return spread(quantization.scales), spread(quantization.zero_points)
