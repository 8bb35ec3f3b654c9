"""Constants that are added to a convolution or a product: they are its bias."""

from __future__ import annotations

import numpy as np

from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.opset import OPSET, definition
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_BIASED = tuple(code for code, each in OPSET.items() if each.bias is not None)


@rule("ADD", "SUB")
def fuse_bias(operation: Operation, uses: Uses) -> Value | None:
    """Write ``conv(x, w, b) + c`` as ``conv(x, w, b + c)`` where ``c`` is a number for each channel, or for all."""
    for index in (0, 1):
        if operation.code == "SUB" and index == 1:  # c - conv(x) has another sign
            continue
        source, addend = uses.producer(operation.operand(index), *_BIASED), operation[1 - index]
        if source is None or source.options["fused_activation_function"] != "NONE":
            continue
        bias = channel_constant(addend, source.result)
        if bias is None or operation.result.shape != source.result.shape:
            continue
        activation = operation.options["fused_activation_function"]
        return add_bias(
            source, -bias if operation.code == "SUB" else bias, source[0], fused_activation_function=activation
        )
    return None


def channel_constant(addend: Value, result: Value) -> Array | None:
    """Return a constant as one number for each channel of ``result``; None where it is something else."""
    if addend.data is None or addend.dtype is not DType.FLOAT32 or result.shape is None or not result.shape[-1]:
        return None
    channels, sizes = result.shape[-1], addend.sizes
    if len(sizes) > len(result.shape) or any(size != 1 for size in sizes[:-1]):
        return None
    if sizes and sizes[-1] not in (1, channels):
        return None
    return np.broadcast_to(addend.data.reshape(-1), (channels,))


def add_bias(operation: Operation, bias: Array, x: Value, **options: object) -> Value | None:
    """Record the operation with another input ``x`` and ``more`` added to its bias; None if the bias is computed.

    Args:
        operation: a convolution or a product.
        bias: to add, a number for each channel.
        x: in place of its first operand.
        options: those that differ.
    """
    place = definition(operation.code).bias
    assert place is not None
    old = operation.operand(place)
    if old is not None and old.data is None:
        return None
    added = Value.constant(bias if old is None or old.data is None else old.data + bias)
    return record_again(operation, x, *operation.operands[1:place], added, **options)
