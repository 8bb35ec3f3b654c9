"""Writes Gemm and Einsum as MatMul between Transposes and Reshapes, which the choice of layouts sees through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.rearrange import transposed
from layoutopt.ir.values import Shape, constant_of, known_shape, static_shape
from layoutopt.layout.rules.matmul import MAX_RANK
from layoutopt.passes.base import BROADCASTING, NodeRewrite


@dataclass(frozen=True)
class ExpandProducts(NodeRewrite):
    """Expand each Gemm, and each Einsum that is one product of two operands.

    Transposes, factors and an addend that are constant are worked into the constant operands.
    """

    since = BROADCASTING

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Expand ``node`` if it is a product."""
        if node.domain != "" or (result := _expanded(graph, node)) is None:
            return False
        edit.replace_uses(graph, node.outputs[0], result)
        edit.remove_dead(node)
        return True


def _expanded(graph: ir.Graph, node: ir.Node) -> ir.Value | None:
    """Return the result of ``node`` by other nodes; None where it is none of the two, or its shapes are not known."""
    if node.op_type not in ("Gemm", "Einsum"):
        return None
    operands = [value for value in node.inputs if value is not None]
    dtype = node.outputs[0].dtype
    if dtype is None or any(static_shape(value) is None for value in (*operands, *node.outputs)):
        return None
    write = edit.Writer(graph, node, str(node.outputs[0].name), dtype)
    if node.op_type == "Gemm":
        return _gemm(write, node, operands)
    return _einsum(write, node, operands)


def _gemm(write: edit.Writer, node: ir.Node, operands: Sequence[ir.Value]) -> ir.Value:
    left, right, *addend = operands
    shape = known_shape(node.outputs[0])
    left = _transposed(write, left, flipped=node.attributes.get_int("transA", 0))
    right = _transposed(write, right, flipped=node.attributes.get_int("transB", 0))
    right = _scaled(write, right, node.attributes.get_float("alpha", 1.0))
    result = write("MatMul", shape, left, right)
    for term in addend:
        result = write("Add", shape, result, _scaled(write, term, node.attributes.get_float("beta", 1.0)))
    return result


def _transposed(write: edit.Writer, matrix: ir.Value, *, flipped: int) -> ir.Value:
    """Return ``matrix``, or its transpose: offline where it is constant."""
    if not flipped:
        return matrix
    tensor = constant_of(matrix)
    if tensor is None:
        return write.transposed(matrix, (1, 0))
    return write.tensor(transposed(tensor, (1, 0)))


def _scaled(write: edit.Writer, value: ir.Value, factor: float) -> ir.Value:
    """Return ``value`` times ``factor``: offline where it is constant."""
    if factor == 1:
        return value
    tensor, dtype = constant_of(value), write.dtype.numpy()
    if tensor is not None:
        return write.constant((tensor.numpy().astype(np.float64) * factor).astype(dtype))
    return write("Mul", known_shape(value), value, write.constant(np.array(factor, dtype)))


def _einsum(write: edit.Writer, node: ir.Node, operands: Sequence[ir.Value]) -> ir.Value | None:
    """Return batch, rows and sum of the left operand times batch, sum and columns of the right one."""
    terms, _, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    labels = terms.split(",")
    if len(labels) != 2 or not result or not all(term.isalpha() and len(set(term)) == len(term) for term in labels):
        return None
    left, right = labels
    sizes = {
        label: size
        for term, value in zip(labels, operands, strict=True)
        for label, size in zip(term, known_shape(value), strict=True)
    }
    batch = [label for label in result if label in left and label in right]
    rows = [label for label in result if label in left and label not in right]
    columns = [label for label in result if label in right and label not in left]
    summed = [label for label in left if label in right and label not in result]
    if {*batch, *rows, *summed} != set(left) or {*batch, *columns, *summed} != set(right):
        return None  # a label of one operand alone is summed up
    if sorted(result) != sorted((*batch, *rows, *columns)):
        return None

    if batch and not _is_in_order(left, batch, rows) and _stays_in_place(left, right, result, rows, columns):
        lead, rows, columns = [*result[:-2]], rows[-1:], columns[-1:]
    else:
        lead = batch

    def shaped(value: ir.Value, term: str, *groups: list[str]) -> ir.Value:
        order = [label for label in (*lead, *(label for group in groups for label in group)) if label in term]
        moved = write.transposed(value, tuple(term.index(label) for label in order))
        first = tuple(sizes[label] if label in term else 1 for label in lead)
        return write.reshaped(moved, (*first, *(prod(extents(group)) for group in groups)))

    def extents(group: list[str]) -> Shape:
        return tuple(sizes[label] for label in group)

    shape = (*extents(lead), prod(extents(rows)), prod(extents(columns)))
    product = write(
        "MatMul", shape, shaped(operands[0], left, rows, summed), shaped(operands[1], right, summed, columns)
    )
    order = [*lead, *rows, *columns]
    whole = write.reshaped(product, extents(order))
    return write.transposed(whole, tuple(order.index(label) for label in result))


def _is_in_order(term: str, batch: Sequence[str], rows: Sequence[str]) -> bool:
    """Say whether the batch comes first in the left operand, and the rows after it can be merged where they are."""
    return [label for label in term if label in batch or label in rows] == [*batch, *rows]


def _stays_in_place(left: str, right: str, result: str, rows: Sequence[str], columns: Sequence[str]) -> bool:
    """Say whether a product that broadcasts its batch takes the first labels of all in the order of the result."""
    if not rows or not columns or result[-2:] != rows[-1] + columns[-1] or len(result) > MAX_RANK:
        return False
    lead = result[:-2]
    orders = [[label for label in term if label in lead] for term in (left, right)]
    return all(order == [label for label in lead if label in order] for order in orders)


def _named(term: str, value: ir.Value) -> zip[tuple[str, int]]:
    """Return the size of each label of ``term``."""
    return zip(term, known_shape(value), strict=True)
