"""The part of each operand that a node needs where only a part of its result is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import integer, integers, reduced_axes, transpose_perm
from layoutopt.ir.values import known_shape, static_shape
from layoutopt.layout.analysis.index_maps import AxisSubset, axis_subset
from layoutopt.layout.rules.applicability import is_function_of_elements
from layoutopt.layout.rules.propagation import reduction
from layoutopt.layout.rules.table import RULES

Parts = Sequence[AxisSubset | None]
"""For each operand, the part that is needed; None stands for all of it."""


def read_result(node: ir.Node) -> ir.Value | None:
    """Return the one result that is read; None where there are more, or none."""
    read = [value for value in node.outputs if value.uses() or value.is_graph_output()]
    return read[0] if len(read) == 1 else None


def selected_part(node: ir.Node) -> AxisSubset | None:
    """Return the part of its first operand that a Slice, Gather or Split reads; None if it reads all, or several."""
    shape = static_shape(node.inputs[0]) if node.inputs else None
    if shape is None or static_shape(node.outputs[0]) is None or (result := read_result(node)) is None:
        return None
    part = axis_subset(node, result)
    return None if part is None or part.indices == tuple(range(shape[part.axis])) else part


# --- operators ---------------------------------------------------------------------------------------------------


def demanded_parts(node: ir.Node, part: AxisSubset) -> Parts | None:
    """Return what ``node`` needs of each operand for ``part`` of its result; None where that is all, or unknown.

    Where it needs less, the same operator computes the part of the parts: `reduced_attributes` tells what changes.
    """
    shapes = [static_shape(value) for value in node.inputs if value is not None]
    rule = _NEEDED.get(node.op_type) if node.domain == "" else _first if is_function_of_elements(node) else None
    if rule is None or static_shape(node.outputs[0]) is None or None in shapes:
        return None
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return None
    return rule(node, part)


def reduced_attributes(node: ir.Node, part: AxisSubset) -> Mapping[str, int]:
    """Return the attributes that differ where ``node`` computes ``part`` alone."""
    apart = node.op_type == "Conv" and part.axis == 1 and (integer(node, "group", 1) or 1) > 1
    return {"group": len(part.indices)} if apart else {}


def _first(node: ir.Node, part: AxisSubset) -> Parts | None:
    """Demand the same slice of the first operand, of which each element gives one of the result."""
    return [part if at == 0 else None for at in range(len(node.inputs))]


def _broadcast(node: ir.Node, part: AxisSubset) -> Parts | None:
    rank = len(known_shape(node.outputs[0]))
    parts: list[AxisSubset | None] = []
    for value in node.inputs:
        shape = static_shape(value) or ()
        axis = part.axis - (rank - len(shape))
        parts.append(part.along(axis) if axis >= 0 and shape[axis] > 1 else None)
    return parts


def _softmax(node: ir.Node, part: AxisSubset) -> Parts | None:
    rank = len(known_shape(node.outputs[0]))
    return None if (integer(node, "axis", -1) or 0) % rank == part.axis else _first(node, part)


def _normalization(node: ir.Node, part: AxisSubset) -> Parts | None:
    shape = known_shape(node.outputs[0])
    axis = (integer(node, "axis", -1) or 0) % len(shape)
    alike = all(len(static_shape(value) or ()) <= len(shape) - axis for value in node.inputs[1:])
    return _first(node, part) if part.axis < axis and alike else None


def _reduction(node: ir.Node, part: AxisSubset) -> Parts | None:
    axes, shape = reduced_axes(node), static_shape(node.inputs[0]) or ()
    if axes is None:
        return None
    if integer(node, "keepdims", 1):
        return None if part.axis in axes else _first(node, part)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    return _first(node, part.along(kept[part.axis]))


def _product(node: ir.Node, part: AxisSubset) -> Parts | None:
    """Demand rows of the left operand, columns of the right one, matrices of both."""
    rank, shapes = len(known_shape(node.outputs[0])), [static_shape(value) or () for value in node.inputs]
    left, right = shapes
    if min(len(left), len(right)) < 2:
        return None
    if part.axis == rank - 2:
        return [part.along(len(left) - 2), None]
    return [None, part.along(len(right) - 1)] if part.axis == rank - 1 else _broadcast(node, part)


def _transpose(node: ir.Node, part: AxisSubset) -> Parts | None:
    perm = transpose_perm(node)
    return None if perm is None else [part.along(perm[part.axis])]


def _view(node: ir.Node, part: AxisSubset) -> Parts | None:
    """Find the axis of the operand that is the axis of the result, with as many elements before it."""
    source, result = static_shape(node.inputs[0]) or (), known_shape(node.outputs[0])
    found = (
        axis
        for axis, size in enumerate(source)
        if size == result[part.axis] and prod(source[:axis]) == prod(result[: part.axis])
    )
    axis = next(found, None)
    return None if axis is None or result[part.axis] == 1 else _first(node, part.along(axis))


def _concat(node: ir.Node, part: AxisSubset) -> Parts | None:
    rank = len(known_shape(node.outputs[0]))
    return None if (integer(node, "axis", 0) or 0) % rank == part.axis else [part for _ in node.inputs]


def _convolution(node: ir.Node, part: AxisSubset) -> Parts | None:
    """Demand channels of the result, or pixels where the kernel is one pixel."""
    weights = static_shape(node.inputs[1]) or ()
    rest: list[AxisSubset | None] = [None for _ in node.inputs[1:]]
    if part.axis == 1:
        groups = integer(node, "group", 1) or 1
        if groups > 1 and not groups == weights[0] == (static_shape(node.inputs[0]) or (0, 0))[1]:
            return None
        return [part if groups > 1 else None, *(AxisSubset(0, part.indices) for _ in rest)]
    if part.axis == 0 or prod(weights[2:]) > 1 or any(integers(node, "pads") or ()):
        return _first(node, part) if part.axis == 0 else None
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    stride = (integers(node, "strides") or (1,) * len(weights))[part.axis - 2]
    return None if stride > 1 else [part, *rest]


_NEEDED: Mapping[str, Callable[[ir.Node, AxisSubset], Parts | None]] = {
    **{name: _first for name, rule in RULES.items() if rule.is_elementwise and rule.operands == 1},
    **{name: _broadcast for name, rule in RULES.items() if rule.is_elementwise and rule.operands is None},
    **{name: _reduction for name, rule in RULES.items() if rule.propagate is reduction},
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), _view),
    "Concat": _concat,
    "Conv": _convolution,
    "LayerNormalization": _normalization,
    "LogSoftmax": _softmax,
    "MatMul": _product,
    "Softmax": _softmax,
    "Transpose": _transpose,
}
