"""The elements of a value that another one takes: along one axis, or element by element.

What follows for the nodes before these belongs to `channel_routes` and `demanded_slices`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.attributes import constant_integers, has_operand, integer
from layoutopt.ir.values import Shape, constant_of, static_shape
from layoutopt.layout.rules.applicability import is_view
from layoutopt.layout.rules.table import VIEWS

Indices = npt.NDArray[np.int64]
"""Into a value in row-major order."""
MAX_ELEMENTS = 2**23
"""Of a value that is followed element by element."""


@dataclass(frozen=True, slots=True)
class AxisSubset:
    """Some positions along one axis of a value.

    Attributes:
        axis: not negative.
        indices: the positions in their order, not negative.
    """

    axis: int
    indices: tuple[int, ...]

    def of(self, shape: Shape) -> Shape:
        """Return the shape of this part of a value of ``shape``."""
        return (*shape[: self.axis], len(self.indices), *shape[self.axis + 1 :])

    def along(self, axis: int) -> AxisSubset:
        """Return the same positions along another axis."""
        return AxisSubset(axis, self.indices)

    @property
    def as_slice(self) -> tuple[int, int, int] | None:
        """Start, end and step; None where it is no slice with a positive step."""
        steps = {after - before for before, after in zip(self.indices[:-1], self.indices[1:], strict=True)}
        step = steps.pop() if len(steps) == 1 else 1
        if steps or step < 1 or (len(self.indices) > 1 and self.indices[0] + step != self.indices[1]):
            return None
        return self.indices[0], self.indices[-1] + 1, step


def axis_subset(node: ir.Node, result: ir.Value) -> AxisSubset | None:
    """Return the part of its first operand that a Slice, Gather or Split along one axis takes for ``result``.

    Only the size of that axis must be known. None for other operators, and where bounds are not known or nothing is
    left.

    Raises:
        IndexError: an index of a Gather is out of range.
    """
    source = node.inputs[0] if node.inputs else None
    if node.domain != "" or node.op_type not in _SUBSETS or source is None or source.shape is None:
        return None
    return _SUBSETS[node.op_type](node, result, source.shape) if len(source.shape) else None


def _subset_of_slice(node: ir.Node, _: ir.Value, shape: ir.Shape) -> AxisSubset | None:
    starts, ends = constant_integers(node, 1), constant_integers(node, 2)
    if starts is None or ends is None or len(starts) != 1 or not _is_known(node):
        return None
    axis = (constant_integers(node, 3) or (0,))[0] % len(shape)
    size, step = shape[axis], (constant_integers(node, 4) or (1,))[0]
    indices = tuple(range(size)[slice(starts[0], ends[0], step)]) if isinstance(size, int) else ()
    return AxisSubset(axis, indices) if indices else None


def _subset_of_gather(node: ir.Node, _: ir.Value, shape: ir.Shape) -> AxisSubset | None:
    tensor = constant_of(node.inputs[1]) if node.inputs[1] is not None else None
    axis = (integer(node, "axis", 0) or 0) % len(shape)
    size = shape[axis]
    if tensor is None or len(tensor.shape) > 1 or not isinstance(size, int):
        return None
    return AxisSubset(axis, tuple([range(size)[index] for index in tensor.numpy().reshape(-1).tolist()]))


def _subset_of_split(node: ir.Node, result: ir.Value, shape: ir.Shape) -> AxisSubset | None:
    axis, start = (integer(node, "axis", 0) or 0) % len(shape), 0
    for each in node.outputs:
        size = None if each.shape is None else each.shape[axis]
        if not isinstance(size, int):
            return None
        if each is result:
            return AxisSubset(axis, tuple(range(start, start + size)))
        start += size
    return None


_SUBSETS: Mapping[str, Callable[[ir.Node, ir.Value, ir.Shape], AxisSubset | None]] = {
    "Gather": _subset_of_gather,
    "Slice": _subset_of_slice,
    "Split": _subset_of_split,
}


def element_sources(node: ir.Node, result: ir.Value) -> Indices | None:
    """Return the index in its first operand of each element of ``result``, for a node that only moves elements.

    Args:
        node: Reshape and its kin, Transpose, Split, Slice or Gather.
        result: of ``node``.

    Returns:
        Flat indices in the shape of ``result``; None for other operators, and where shapes or bounds are not known.
    """
    source = node.inputs[0] if node.inputs else None
    shape, target = static_shape(source) if source is not None else None, static_shape(result)
    if node.domain != "" or shape is None or target is None or prod(shape) > MAX_ELEMENTS:
        return None
    indices = np.arange(prod(shape)).reshape(shape)
    if is_view(node):
        perm = VIEWS[node.op_type](node)
        return (indices if perm is None else indices.transpose(perm)).reshape(target)
    part = None
    if node.op_type == "Split" and (subset := axis_subset(node, result)) is not None:
        part = indices.take(list(subset.indices), subset.axis)
    elif node.op_type in _PARTS:
        part = _PARTS[node.op_type](node, indices)
    return part if part is not None and part.shape == target else None


def _slice(node: ir.Node, indices: Indices) -> Indices | None:
    starts, ends = (constant_integers(node, i) for i in (1, 2))
    if starts is None or ends is None or not _is_known(node):
        return None
    axes = constant_integers(node, 3) or tuple(range(len(starts)))
    steps = constant_integers(node, 4) or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        chosen = range(*slice(start, end, step).indices(indices.shape[axis])) if step > 0 else ()
        indices = indices.take(list(chosen), axis)
    return indices


def _is_known(node: ir.Node) -> bool:
    """Return whether the optional operands of a Slice are constant."""
    return all(not has_operand(node, index) or constant_integers(node, index) is not None for index in (3, 4))


def _gather(node: ir.Node, indices: Indices) -> Indices | None:
    tensor = constant_of(node.inputs[1]) if node.inputs[1] is not None else None
    return None if tensor is None else indices.take(tensor.numpy(), integer(node, "axis", 0))


_PARTS = {"Slice": _slice, "Gather": _gather}
