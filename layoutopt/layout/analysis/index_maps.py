"""Which elements of a value another one takes."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.edit import constant_of
from layoutopt.layout.rules.remaps import constant_integers, has_operand, integer
from layoutopt.layout.rules.table import VIEWS, is_view
from layoutopt.layout.rules.variants import static_shape

Indices = npt.NDArray[np.int64]
"""Into a value in row-major order."""
MOST_ELEMENTS = 2**23
"""Of a value that is followed element by element."""


def taken(node: ir.Node, result: ir.Value) -> Indices | None:
    """Where in its first operand a node that only moves elements takes each element of ``result`` from.

    Args:
        node: Reshape and its kin, Transpose, Split, Slice or Gather.
        result: of ``node``.

    Returns:
        Flat indices in the shape of ``result``; None for other operators, and where shapes or bounds are not known.
    """
    source = node.inputs[0] if node.inputs else None
    shape, target = static_shape(source) if source is not None else None, static_shape(result)
    if node.domain != "" or shape is None or target is None or prod(shape) > MOST_ELEMENTS:
        return None
    indices = np.arange(prod(shape)).reshape(shape)
    if is_view(node):
        perm = VIEWS[node.op_type](node)
        return (indices if perm is None else indices.transpose(perm)).reshape(target)
    part = None
    if node.op_type == "Split":
        part = _split(node, result, indices)
    elif node.op_type in _PARTS:
        part = _PARTS[node.op_type](node, indices)
    return part if part is not None and part.shape == target else None


def _split(node: ir.Node, result: ir.Value, indices: Indices) -> Indices | None:
    axis = (integer(node, "axis", 0) or 0) % indices.ndim
    sizes = [static_shape(output) for output in node.outputs]
    if any(size is None for size in sizes):
        return None
    ends = np.cumsum([size[axis] for size in sizes if size is not None])
    return np.split(indices, ends[:-1], axis)[list(node.outputs).index(result)]


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
    """Whether the optional operands of a Slice are constant."""
    return all(not has_operand(node, index) or constant_integers(node, index) is not None for index in (3, 4))


def _gather(node: ir.Node, indices: Indices) -> Indices | None:
    tensor = constant_of(node.inputs[1]) if node.inputs[1] is not None else None
    return None if tensor is None else indices.take(tensor.numpy(), integer(node, "axis", 0))


_PARTS = {"Slice": _slice, "Gather": _gather}
