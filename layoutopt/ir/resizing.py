"""Resize and Upsample of any axes, written as one of N, C, spatial... between Reshapes and Transposes.

Converters take the first two axes for batch and channels. Networks resize images of H, W, C, or values without a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.perm import Perm, invert
from layoutopt.ir.values import constant_of, static_shape

_MAX_SPATIAL = 3


@dataclass(frozen=True, slots=True)
class _Resized:
    """The result of a Resize, in terms of its operand.

    Attributes:
        shape: of the operand.
        out: the shape of the result.
        scales: of each axis; None where the node has sizes.
        index: of the operand that has the scales or the sizes; 0 where an attribute has the scales.
    """

    shape: tuple[int, ...]
    out: tuple[int, ...]
    scales: tuple[float, ...] | None
    index: int

    @property
    def axes(self) -> tuple[int, ...]:
        """Return the axes that are resized."""
        scales = self.scales or (1.0,) * len(self.shape)
        return tuple(
            axis for axis, (old, new, scale) in enumerate(zip(self.shape, self.out, scales, strict=True))
            if old != new or scale != 1
        )  # fmt: skip


def arrange_resizes(graph: ir.Graph, opset: int) -> bool:
    """Rewrite each Resize and Upsample that resizes one of the first two axes, or is not of 3 to 5 axes.

    Args:
        graph: with shapes; what is not known offline stays as it is.
        opset: version of the default domain.

    Returns:
        Whether there was one.
    """
    modified = False
    for node in list(graph):
        is_resize = node.domain == "" and node.op_type in ("Resize", "Upsample")
        found = _resized(node, opset) if is_resize else None
        if found is not None and (len(found.shape) not in (3, 4, 5) or min(found.axes, default=2) < 2):
            _rewrite(graph, node, found)
            modified = True
    return modified


def _resized(node: ir.Node, opset: int) -> _Resized | None:
    """Return what a node does; None where that is not known, or not one axis at a time."""
    x, result = node.inputs[0], node.outputs[0]
    shape, out = static_shape(x), static_shape(result)
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if shape is None or out is None or len(shape) != len(out) or mode == "tf_crop_and_resize" or policy != "stretch":
        return None
    if node.op_type == "Upsample" and opset < 9:
        return _Resized(shape, out, tuple(node.attributes.get_floats("scales", ())), 0)
    index = 1 if node.op_type == "Upsample" or opset < 11 else 2
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return _Resized(shape, out, None, 3)
    operand = node.inputs[index] if index < len(node.inputs) else None
    tensor = None if operand is None else constant_of(operand)
    if tensor is None:
        return None
    scales, axes = [1.0] * len(shape), node.attributes.get_ints("axes", range(len(shape)))
    for axis, scale in zip(axes, tensor.numpy().tolist(), strict=True):
        scales[axis] = scale
    return _Resized(shape, out, tuple(scales), index)


def _rewrite(graph: ir.Graph, node: ir.Node, found: _Resized) -> None:
    """Resize neighbouring axes at once, up to three, run after run."""
    x, result = node.inputs[0], node.outputs[0]
    assert x is not None
    assert result.dtype is not None
    write = edit.Writer(graph, node, str(result.name), result.dtype)
    shape = found.shape
    for first, last in _runs(found.axes):
        x = _resize_run(write, node, found, x, shape, (first, last))
        shape = (*shape[:first], *found.out[first:last], *shape[last:])
    if x is node.inputs[0]:
        x = write("Identity", shape, x)
    edit.replace_uses(graph, result, x)
    edit.remove_dead(node)


def _runs(axes: tuple[int, ...]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for axis in axes:
        if runs and runs[-1][1] == axis and axis - runs[-1][0] < _MAX_SPATIAL:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs


def _resize_run(
    write: edit.Writer, node: ir.Node, found: _Resized, x: ir.Value, shape: tuple[int, ...], run: tuple[int, int]
) -> ir.Value:
    """Resize neighbouring axes; those after them, or without any those before them, are the channels."""
    first, last = run
    before, spatial, behind = shape[:first], shape[first:last], shape[last:]
    new = found.out[first:last]
    scales = None if found.scales is None else found.scales[first:last]
    if prod(behind) == 1:
        y = write.reshaped(x, (1, prod(before), *spatial))
        y = _resize(write, node, found, y, (1, prod(before), *new), scales)
    else:
        rank = 2 + len(spatial)
        perm: Perm = (0, rank - 1, *range(1, rank - 1))
        y = write.transposed(write.reshaped(x, (prod(before), *spatial, prod(behind))), perm)
        y = _resize(write, node, found, y, (prod(before), prod(behind), *new), scales)
        y = write.transposed(y, invert(perm))
    return write.reshaped(y, (*before, *new, *behind))


def _resize(
    write: edit.Writer,
    node: ir.Node,
    found: _Resized,
    x: ir.Value,
    shape: tuple[int, ...],
    scales: tuple[float, ...] | None,
) -> ir.Value:
    """Write the node's operator for N, C, spatial... with its other attributes."""
    y = write(node.op_type, shape, x)
    made = y.producer()
    assert made is not None
    for name, attribute in node.attributes.items():
        if name not in ("axes", "scales"):
            made.attributes[name] = attribute
    if found.index == 0:
        made.attributes["scales"] = ir.AttrFloat32s("scales", (1.0, 1.0, *(scales or ())))
        return y
    made.resize_inputs(found.index + 1)
    target = np.array(shape, np.int64) if scales is None else np.array((1, 1, *scales), np.float32)
    made.replace_input_with(found.index, write.constant(target))
    return y
