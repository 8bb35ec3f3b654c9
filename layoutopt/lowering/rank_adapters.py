"""Operators over one or three spatial axes, run as operators over two: x is (N, spatial..., C)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps

from layoutopt.lowering.node import Node
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

PlaneLowering = Callable[[Node], Value]
"""A lowering of one result that works over two spatial axes."""

_NEUTRAL: Mapping[str, int] = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with one number per spatial axis, and what says nothing about an axis of size 1."""


def lift_1d(lowering: PlaneLowering) -> PlaneLowering:
    """Return a lowering for one spatial axis: ``lowering`` with a second axis of size 1, in the weights too."""

    @wraps(lowering)
    def run(node: Node) -> Value:
        batch, length, channels = node.shape
        lifted = _with_axes(node, tfl.reshape(node.x, (batch, length, 1, channels)), 0, None)
        x, *rest = lifted.operands
        if rest and isinstance(rest[0], Value):
            rest[0] = tfl.reshape(rest[0], (*rest[0].sizes, 1))
        y = lowering(replace(lifted, operands=(x, *rest)))
        batch, length, _, channels = y.sizes
        return tfl.reshape(y, (batch, length, channels))

    return run


def separable_3d(lowering: PlaneLowering) -> PlaneLowering:
    """Return a lowering for three spatial axes: ``lowering`` over the last two and then over the first.

    That computes the same only for pools, whose windows are joined axis by axis.
    """

    @wraps(lowering)
    def run(node: Node) -> Value:
        batch, depth, height, width, channels = node.shape
        planes = lowering(_with_axes(node, tfl.reshape(node.x, (batch * depth, height, width, channels)), 1, 2))
        _, height, width, channels = planes.sizes
        y = lowering(_with_axes(node, tfl.reshape(planes, (batch, depth, height * width, channels)), 0, None))
        return tfl.reshape(y, (batch, y.sizes[1], height, width, channels))

    return run


def _with_axes(node: Node, x: Value, *axes: int | None) -> Node:
    """Return ``node`` for ``x`` with the attributes of two of its spatial axes; None is one of size 1."""
    attributes = dict(node.attributes)
    for name, neutral in _NEUTRAL.items():
        if (values := node.ints(name)) is not None:
            attributes[name] = [neutral if axis is None else values[axis] for axis in axes]
    if (pads := node.ints("pads")) is not None:
        half = len(pads) // 2
        attributes["pads"] = [0 if axis is None else pads[start + axis] for start in (0, half) for axis in axes]
    return replace(node, attributes=attributes, operands=(x, *node.operands[1:]))
