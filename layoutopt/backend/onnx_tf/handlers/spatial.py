"""Operators over one or three spatial axes, run as operators over two: x is (N, spatial..., C)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, reshaped, shape_of

PlaneHandler = Callable[[Node], Operand]
"""A handler of one result that works over two spatial axes."""

_PER_AXIS: Mapping[str, int] = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with one number per spatial axis, and what says nothing about an axis of size 1."""


def on_line(handler: PlaneHandler) -> PlaneHandler:
    """Runs ``handler`` for one spatial axis: the second has size 1, in the weights too."""

    @wraps(handler)
    def run(node: Node) -> Operand:
        batch, length, channels = node.shape
        line = _over(node, reshaped(node.x, (batch, length, 1, channels)), 0, None)
        x, *rest = line.operands
        if rest and rest[0] is not None:
            rest[0] = reshaped(rest[0], (*shape_of(rest[0]), 1))
        y = handler(replace(line, operands=(x, *rest)))
        batch, length, _, channels = shape_of(y)
        return reshaped(y, (batch, length, channels))

    return run


def in_turn(handler: PlaneHandler) -> PlaneHandler:
    """Runs ``handler`` for three spatial axes, the last two and then the first, where that computes the same."""

    @wraps(handler)
    def run(node: Node) -> Operand:
        batch, depth, height, width, channels = node.shape
        planes = handler(_over(node, reshaped(node.x, (batch * depth, height, width, channels)), 1, 2))
        _, height, width, channels = shape_of(planes)
        y = handler(_over(node, reshaped(planes, (batch, depth, height * width, channels)), 0, None))
        return reshaped(y, (batch, shape_of(y)[1], height, width, channels))

    return run


def _over(node: Node, x: Operand, *axes: int | None) -> Node:
    """``node`` for ``x`` with the attributes of two of its spatial axes; None is one of size 1."""
    attributes = dict(node.attributes)
    for name, neutral in _PER_AXIS.items():
        if (values := node.ints(name)) is not None:
            attributes[name] = [neutral if axis is None else values[axis] for axis in axes]
    if (pads := node.ints("pads")) is not None:
        half = len(pads) // 2
        attributes["pads"] = [0 if axis is None else pads[start + axis] for start in (0, half) for axis in axes]
    return replace(node, attributes=attributes, operands=(x, *node.operands[1:]))
