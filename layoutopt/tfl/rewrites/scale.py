"""Constants that a convolution or a product is multiplied by: they go into its weights."""

from __future__ import annotations

import numpy as np

from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.rewrites.bias import channel_constant
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""The axis of the weights along which the channels of the result lie."""


@rule("MUL")
def fuse_scale(operation: Operation, uses: Uses) -> Value | None:
    """Write ``conv(x, w, b) * c`` as ``conv(x, w * c, b * c)`` where ``c`` is a number for each channel, or for all."""
    for index in (0, 1):
        source = uses.producer(operation.operand(index), *_CHANNEL_AXES)
        if source is None or source.options["fused_activation_function"] != "NONE":
            continue
        scale = channel_constant(operation[1 - index], source.result)
        if scale is not None and operation.result.shape == source.result.shape:
            return _scaled(source, scale, operation.options["fused_activation_function"])
    return None


def _scaled(source: Operation, scale: Array, activation: str) -> Value | None:
    place, axis, weights = definition(source.code).bias, _CHANNEL_AXES[source.code], source[1]
    assert place is not None
    bias = source.operand(place)
    if weights.data is None or (bias is not None and bias.data is None):
        return None
    spread = scale.reshape([-1 if each == axis else 1 for each in range(weights.rank)])
    operands = [*source.operands]
    operands[1] = Value.constant(weights.data * spread)
    if bias is not None and bias.data is not None:
        operands[place] = Value.constant(np.asarray(bias.data * scale))
    return record_again(source, *operands, fused_activation_function=activation)
