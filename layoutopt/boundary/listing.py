"""Lists the tensors of a model, at which it can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.boundary.names import tensors_of


@dataclass(frozen=True, slots=True)
class TensorRow:
    """A tensor of a model.

    Attributes:
        name: of the tensor.
        shape: a number or a name for each axis, ``?`` for an unknown size; None where not even the rank is known.
        dtype: numpy's name of the element type; empty where it is unknown.
        operator: that computes it; empty for an input.
        node: name of that operator's node.
        readers: operators that read it.
        is_output: whether a caller gets it.
    """

    name: str
    shape: tuple[int | str, ...] | None
    dtype: str
    operator: str
    node: str
    readers: tuple[str, ...]
    is_output: bool


def list_tensors(model: ir.Model, pattern: str = "") -> tuple[TensorRow, ...]:
    """Return the inputs of a model and the results of its nodes, in the order of execution.

    Args:
        model: gets the shapes that can be inferred.
        pattern: what the name of a tensor or its node, or an operator that makes it, has to contain in any case, or,
            with ``*`` or ``?``, look like.
    """
    ShapeInferencePass(data_prop=True)(model)
    return tuple(row for row in map(_row, tensors_of(model.graph)) if _matches(row, pattern.lower()))


def _matches(row: TensorRow, pattern: str) -> bool:
    wanted = pattern if "*" in pattern or "?" in pattern else f"*{pattern}*"
    return any(fnmatchcase(text.lower(), wanted) for text in (row.name, row.node, row.operator))


def _row(value: ir.Value) -> TensorRow:
    node = value.producer()
    return TensorRow(
        str(value.name),
        None if value.shape is None else tuple(_sizes(value.shape)),
        "" if value.dtype is None else str(value.dtype.numpy()),
        "" if node is None else node.op_type,
        "" if node is None else node.name or "",
        tuple(use.node.op_type for use in value.uses()),
        value.is_graph_output(),
    )


def _sizes(shape: ir.Shape) -> Iterator[int | str]:
    for size in shape:
        yield size if isinstance(size, int) else size.value or "?"
