"""Activations that the operator before computes on its way."""

from __future__ import annotations

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.opset import OPSET
from layoutopt.tfl.rewrites.arithmetic import is_scalar
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_ACTIVATING = tuple(code for code, each in OPSET.items() if each.activation)


@rule("RELU", "RELU6", "RELU_N1_TO_1")
def fuse_activation(operation: Operation, uses: Uses) -> Value | None:
    """Make an activation of a convolution, a product, a pool or arithmetic part of it."""
    source = uses.producer(operation[0], *_ACTIVATING)
    if source is None or source.options["fused_activation_function"] != "NONE":
        return None
    if source.result.dtype is not DType.FLOAT32:
        return None
    return record_again(source, *source.operands, fused_activation_function=operation.code)


@rule("MAXIMUM")
def use_relu(operation: Operation, _: Uses) -> Value | None:
    """Write ``max(x, 0)`` as RELU, which the operator before can compute on its way."""
    for x, other in ((operation[0], operation[1]), (operation[1], operation[0])):
        if is_scalar(other, 0) and x.dtype is DType.FLOAT32 and x.shape == operation.result.shape is not None:
            return tfl.relu(x)
    return None


@rule("RELU")
def drop_repeated_activation(operation: Operation, uses: Uses) -> Value | None:
    """Drop a RELU of what a RELU, fused or not, has computed: it changes nothing."""
    source = operation[0].producer
    if source is None or None in uses.readers(operation.result):
        return None
    activation = source.options.get("fused_activation_function") if source.code in _ACTIVATING else source.code
    return operation[0] if activation in ("RELU", "RELU6") else None


_MOVING = ("DEPTH_TO_SPACE", "EXPAND_DIMS", "RESHAPE", "SPACE_TO_DEPTH", "SQUEEZE", "TRANSPOSE")
"""Operators that move every element once, so that an activation may come before as well as after."""


@rule("RELU", "RELU6", "RELU_N1_TO_1")
def activate_before_moving(operation: Operation, uses: Uses) -> Value | None:
    """Make an activation of what is only moved part of the operator that computes it."""
    moved = uses.producer(operation[0], *_MOVING)
    source = None if moved is None else uses.producer(moved[0], *_ACTIVATING)
    if moved is None or source is None or source.options["fused_activation_function"] != "NONE":
        return None
    if source.result.dtype is not DType.FLOAT32:
        return None
    activated = record_again(source, *source.operands, fused_activation_function=operation.code)
    activated.shape = source.result.shape
    return record_again(moved, activated, *moved.operands[1:])
