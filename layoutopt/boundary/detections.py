"""Gives outputs with a row for each detection a fixed number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.boundary.cut import reads
from layoutopt.errors import UnsupportedOperatorError, UsageError
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
    counts: dict[object, ir.Value] = {}
    for position, shape in found.items():
        name = str(graph.outputs[position].name)
        axis = _open_axis(what, graph, position, shape)
        kept = _fix(graph, position, shape, axis, most)
        number = getattr(shape[axis], "value", None) or position  # sizes of one name are equal, those without are not
        if number not in counts:
            counts[number] = _count(graph, kept, axis, name)
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


def _open_axis(what: str, graph: ir.Graph, position: int, shape: ir.Shape) -> int:
    """Return the only axis of unknown size of an output.

    Raises:
        UsageError: there are several, as the model has a symbolic dimension.
        UnsupportedOperatorError: there are several, which the data decide; names the nodes.
    """
    output = graph.outputs[position]
    unknown = _open_axes(shape)
    if len(unknown) == 1:
        return unknown[0]
    message = f"{what}: output {output.name!r} has several axes of unknown size: {', '.join(map(str, unknown))}"
    if any(value.shape is None or not value.shape.is_static() for value in graph.inputs):
        raise UsageError(message, hint="Export the model with a fixed size of the batch and of the image.")
    nodes = tuple(str(node.name or node.outputs[0].name) for node in _opening(output))
    raise UnsupportedOperatorError(message, nodes=nodes)


def _open_axes(shape: ir.Shape | None) -> list[int]:
    """Return the axes of unknown size; two of an unknown shape."""
    return [0, 1] if shape is None else [axis for axis, size in enumerate(shape) if not isinstance(size, int)]


def _opening(output: ir.Value) -> list[ir.Node]:
    """Return the nodes that lead to a value of several open axes, back to values that have one at most."""
    found, waiting = list[ir.Node](), [output]
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in found:
            found.append(node)
            waiting += [value for value in reads(node) if len(_open_axes(value.shape)) > 1]
    return found


def _fix(graph: ir.Graph, position: int, shape: ir.Shape, axis: int, most: int) -> ir.Value:
    """Give the output at ``position`` ``most`` rows along ``axis``; return those of them that were there."""
    value = graph.outputs[position]
    name = str(value.name)
    assert value.dtype is not None
    rest = [size for size in shape if isinstance(size, int)]
    zeros = np.zeros((*rest[:axis], most, *rest[axis:]), value.dtype.numpy())
    bounds = [edit.add_constant(graph, f"{name}_bounds", np.array([each], np.int64)) for each in (0, most, axis)]
    kept = _append(graph, f"{name}_kept", "Slice", [value, *bounds])
    filler = edit.add_constant(graph, f"{name}_filler", zeros)
    filled = _append(graph, f"{name}_filled", "Concat", [kept, filler], axis=axis)
    fixed = _append(graph, f"{name}_fixed", "Slice", [filled, *bounds])
    fixed.dtype, fixed.shape = value.dtype, ir.Shape(zeros.shape)
    edit.replace_output(graph, position, fixed)
    return kept


def _count(graph: ir.Graph, rows: ir.Value, axis: int, name: str) -> ir.Value:
    """Return how many ``rows`` there are along ``axis``: (1,), of int32."""
    sizes = _append(graph, f"{name}_sizes", "Shape", [rows])
    place = edit.add_constant(graph, f"{name}_axis", np.array([axis], np.int64))
    number = _append(graph, f"{name}_rows", "Gather", [sizes, place], axis=0)
    count = _append(graph, f"{name}_count", "Cast", [number], to=int(ir.DataType.INT32))
    count.dtype, count.shape = ir.DataType.INT32, ir.Shape([1])
    return count


def _append(graph: ir.Graph, name: str, operator: str, operands: Sequence[ir.Value], **attributes: int) -> ir.Value:
    """Return the result, called ``name``, of a node that is appended to ``graph``."""
    node = ir.node(operator, operands, attributes)
    node.name = edit.fresh_name(graph, f"{operator}/{name}")
    node.outputs[0].name = edit.fresh_name(graph, name)
    graph.append(node)
    return node.outputs[0]
