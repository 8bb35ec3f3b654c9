"""Resize and Upsample as data: what a rewrite needs to know of one, and how it writes another."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_integers, constant_operand, has_operand, integers
from layoutopt.ir.values import Shape, static_shape
from layoutopt.layout.costs.arithmetic import Work, work_of_elementwise


@dataclass(frozen=True, slots=True)
class Upsampling:
    """A Resize or Upsample of spatial axes, of weights that sum to 1.

    Attributes:
        node: the operator.
        source: what it resizes.
        small: shape of that.
        large: shape of the result.
        nearest: whether each pixel is a copy of one pixel.
        factor: s, where pixel q of the result is pixel q // s of the source along both of two axes; else 0.
    """

    node: ir.Node
    source: ir.Value
    small: Shape
    large: Shape
    nearest: bool
    factor: int

    def work(self, channels: int) -> Work:
        """Return its cost for so many channels."""
        return work_of_elementwise(with_channels(self.small, channels), with_channels(self.large, channels))

    def write(self, write: edit.Writer, source: ir.Value, channels: int) -> ir.Value:
        """Return the same upsampling of another ``source``."""
        operands: list[ir.Value | None] = [source, *self.node.inputs[1:]]
        sizes = constant_integers(self.node, 3) if self.node.op_type == "Resize" else None
        if sizes is not None:
            axes = integers(self.node, "axes") or tuple(range(len(self.small)))
            named = [channels if axis % len(self.small) == 1 else size for axis, size in zip(axes, sizes, strict=True)]
            operands[3] = write.constant(np.array(named, np.int64))
        return write.again(self.node, with_channels(self.large, channels), *operands)


def with_channels(shape: Shape, channels: int) -> Shape:
    """Return ``shape`` with so many ``channels``, which are axis 1."""
    return (shape[0], channels, *shape[2:])


def upsampling_of(graph: ir.Graph, value: ir.Value | None) -> Upsampling | None:
    """Return the upsampling that ``value`` is the result of; None where it is something else."""
    node = value.producer() if value is not None else None
    if value is None or node is None or node.graph is not graph or node.domain != "":
        return None
    if node.op_type not in ("Resize", "Upsample"):
        return None
    source, small, large = node.inputs[0], static_shape(node.inputs[0]), static_shape(value)
    if source is None or small is None or large is None or small[:2] != large[:2] or prod(large) <= prod(small):
        return None
    if len(small) < 3 or node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    if node.attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return None  # what is outside is one number, whatever the picture
    if has_operand(node, 3) and constant_integers(node, 3) is None:
        return None
    nearest = node.attributes.get_string("mode", "nearest") == "nearest"
    return Upsampling(node, source, small, large, nearest, _factor(node, small, large) if nearest else 0)


def _factor(node: ir.Node, small: Shape, large: Shape) -> int:
    """Return the factor s by which pixel q of the result is pixel q // s along two axes; 0 where that is not so."""
    factor = large[2] // small[2]
    if len(small) != 4 or factor < 2 or large[2:] != (small[2] * factor, small[3] * factor):
        return 0
    if (scales := constant_operand(node, 1 if node.op_type == "Upsample" else 2)) is not None and scales.size:
        axes = integers(node, "axes") or tuple(range(len(small)))
        named = dict(zip(axes, scales.tolist(), strict=False))
        if any(named.get(axis, named.get(axis - 4, 1.0)) != factor for axis in (2, 3)):
            return 0
    if node.op_type == "Upsample":
        return factor
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    return factor if (coordinates, rounding) in _COPIES else 0


_COPIES = frozenset(
    {
        ("asymmetric", "floor"),
        *((mode, f"round_prefer_{way}") for mode in ("half_pixel", "pytorch_half_pixel") for way in ("floor", "ceil")),
    }
)
"""Coordinates and rounding of Resize by which a whole factor copies each pixel as often as it says."""


def same_upsampling(one: Upsampling, other: Upsampling) -> bool:
    """Return whether both do the same, with images of the same size."""
    if one.node is other.node:
        return True
    attributes = [{name: str(each.value) for name, each in up.node.attributes.items()} for up in (one, other)]
    sizes = (one.small[2:], one.large[2:]) == (other.small[2:], other.large[2:])
    scales = [constant_operand(up.node, 1 if up.node.op_type == "Upsample" else 2) for up in (one, other)]
    alike = (scales[0] is None) == (scales[1] is None) and (
        scales[0] is None or scales[1] is None or np.array_equal(scales[0], scales[1])
    )
    return one.node.op_type == other.node.op_type and attributes[0] == attributes[1] and sizes and alike
