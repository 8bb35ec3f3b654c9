"""Gives outputs with a row for each detection a fixed number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.boundary.cut import reads
from layoutopt.errors import UsageError
from layoutopt.ir import edit

_OPTION = "--max-detections"
_SIZED_BY_DATA = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
"""Operators that return as many elements as they find."""
_MIN_OPSET = 10
"""Since which NonMaxSuppression exists, and Slice takes its bounds as operands."""


def fix_sizes(model: ir.Model, most: int) -> None:
    """Give outputs whose number of rows depends on the data ``most`` rows, in place, and append their count.

    Rows beyond ``most`` are dropped, and missing ones are zeros. The new output ``count`` (1,), of int32, says how many
    rows are detections; where outputs have different numbers of rows, there is one for each, ``NAME_count``.

    Args:
        model: to be changed.
        most: the rows of each of these outputs.

    Raises:
        UsageError: there is no such output, another axis of one is not fixed either, or the model is too old.
    """
    what = f"{_OPTION} {most}"
    if most < 1:
        raise UsageError(f"{what}: an output needs at least one row")
    graph = model.graph
    if graph.opset_imports.get("", 1) < _MIN_OPSET:
        raise UsageError(f"{what}: the model is of an opset below {_MIN_OPSET}", hint="Export it with a newer one.")
    if not (found := _inferred_shapes(model)):
        raise UsageError(
            f"{what}: no output has a number of rows that depends on the data",
            hint="The outputs are of fixed size without this option.",
        )
    counts: dict[str, ir.Value] = {}
    for position, shape in found.items():
        axis = _open_axis(what, str(graph.outputs[position].name), shape)
        counts.setdefault(str(shape[axis]), _fix(graph, position, shape, axis, most))
    for value in counts.values():
        if len(counts) == 1:
            value.name = edit.fresh_name(graph, "count")
        graph.outputs.append(value)


def sized_by_data_note(model: ir.Model) -> tuple[str, ...]:
    """Return a note on the outputs of ``model`` whose sizes depend on the data; none if there are none."""
    graph = model.graph
    if not (names := [str(graph.outputs[position].name) for position in _sized_by_data(graph)]):
        return ()
    return (
        f"How many rows {', '.join(names)} have depends on the data. LiteRT's Interpreter returns such outputs, its "
        f"CompiledModel does not: {_OPTION} N gives them N rows, and their count.",
    )


def _inferred_shapes(model: ir.Model) -> dict[int, ir.Shape]:
    """Return shapes, by position, of the outputs whose sizes depend on the data; sizes of one name are equal."""
    outputs, found = model.graph.outputs, dict[int, ir.Shape]()
    stated = {position: outputs[position].shape for position in _sized_by_data(model.graph)}
    for position in stated:  # exporters give the sizes of each output names of their own
        outputs[position].shape = None
    if stated:
        ShapeInferencePass(data_prop=True)(model)
    for position, shape in stated.items():
        inferred = outputs[position].shape
        outputs[position].shape = inferred = shape if inferred is None else inferred
        if inferred is not None and not inferred.is_static():
            found[position] = inferred
    return found


def _sized_by_data(graph: ir.Graph) -> Iterator[int]:
    """Iterate over the positions of outputs that have unknown sizes and depend on operators that select elements."""
    selected = _after_selection(graph)
    for position, value in enumerate(graph.outputs):
        if value in selected and (value.shape is None or not value.shape.is_static()):
            yield position


def _after_selection(graph: ir.Graph) -> set[ir.Value]:
    """Return the values that depend on an operator of which the data say how much it returns."""
    found = set[ir.Value]()
    for node in graph:
        if _selects(node) or any(value in found for value in reads(node)):
            found.update(node.outputs)
    return found


def _selects(node: ir.Node) -> bool:
    bodies = [each.as_graph() for each in node.attributes.values() if each.type == ir.AttributeType.GRAPH]
    return node.op_type in _SIZED_BY_DATA or any(_selects(inner) for body in bodies for inner in body)


def _open_axis(what: str, name: str, shape: ir.Shape) -> int:
    """Return the only axis of unknown size."""
    unknown = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
    if len(unknown) > 1:
        axes = ", ".join(map(str, unknown))
        raise UsageError(f"{what}: output {name!r} has several axes of unknown size: {axes}", hint=_FIXED_BATCH)
    return unknown[0]


_FIXED_BATCH = "Export the model with a fixed size of the batch and of the image."


def _fix(graph: ir.Graph, position: int, shape: ir.Shape, axis: int, most: int) -> ir.Value:
    """Give the output at ``position`` ``most`` rows along ``axis``, and return their count."""
    value = graph.outputs[position]
    name = str(value.name)
    assert value.dtype is not None
    rest = [size for size in shape if isinstance(size, int)]
    filler = np.zeros((*rest[:axis], most, *rest[axis:]), value.dtype.numpy())

    def constant(array: Sequence[int]) -> ir.Value:
        return edit.add_constant(graph, f"{name}_bounds", np.array(array, np.int64))

    def made(operator: str, *operands: ir.Value, what: str, **attributes: int) -> ir.Value:
        return _append(graph, f"{name}_{what}", operator, operands, attributes)

    bounds = constant([0]), constant([most]), constant([axis])
    kept = made("Slice", value, *bounds, what="kept")
    sizes = made("Shape", kept, what="sizes")
    number = made("Gather", sizes, constant([axis]), what="rows", axis=0)
    count = made("Cast", number, what="count", to=int(ir.DataType.INT32))
    count.dtype, count.shape = ir.DataType.INT32, ir.Shape([1])
    filled = made("Concat", kept, edit.add_constant(graph, f"{name}_filler", filler), what="filled", axis=axis)
    fixed = made("Slice", filled, *bounds, what="fixed")
    fixed.dtype, fixed.shape = value.dtype, ir.Shape(filler.shape)
    edit.replace_output(graph, position, fixed)
    return count


def _append(
    graph: ir.Graph, name: str, operator: str, operands: Sequence[ir.Value], attributes: Mapping[str, int]
) -> ir.Value:
    """Return the result, called ``name``, of a node that is appended to ``graph``."""
    node = ir.node(operator, operands, attributes)
    node.name = edit.fresh_name(graph, f"{operator}/{name}")
    node.outputs[0].name = edit.fresh_name(graph, name)
    graph.append(node)
    return node.outputs[0]
