"""Works constant factors and terms into the weights of the products before or after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import integer
from layoutopt.ir.values import Shape, Wide, constant_of, has_only_reader, is_constant, static_shape, wide_constant
from layoutopt.layout.analysis.affine import (
    ROUNDINGS,
    Affine,
    affine_of,
    compact,
    is_softmax,
    lets_factor_through,
    may_be_activation,
    may_pad,
    narrowed,
    numbers_along,
    raised_to,
    with_array,
)
from layoutopt.layout.analysis.convolutions import scale_inputs, scale_outputs
from layoutopt.layout.analysis.index_maps import Indices, element_sources
from layoutopt.passes.base import BROADCASTING, NodeRewrite

Edit = Callable[[], None]
"""One replacement in the graph: all that a fold takes are found before the first is done."""


@dataclass(frozen=True)
class FoldAffine(NodeRewrite):
    """Fold each Mul, Div, Add and Sub with a constant where the weights of a product can take it.

    A product is a Conv, a ConvTranspose, or a MatMul with a constant matrix. It is looked for above, then below,
    through whatever only moves elements: Reshape and its kin, Transpose, Split, Slice and Gather. So the factor of an
    attention ends up in the weights of the queries alone. A factor goes through an addition and, if it is positive,
    through a Relu as well. What is added to the values of an attention goes on to what reads them, and what is added to
    all keys changes nothing. The scale and shift of a LayerNormalization fold downwards likewise. A factor after a
    product of two computed values stays: it may belong to an activation that the target has whole.
    """

    since = BROADCASTING

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Fold what ``node`` does with a constant, if anything can take it."""
        return _fold(graph, node)


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold what ``node`` does with a constant; whether anything could take it."""
    if node.domain != "" or len(node.outputs) != 1:
        return False
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        return _fold_scale(graph, node)
    affine, result = affine_of(node), node.outputs[0]
    if affine is None:
        return False
    edits = _above(graph, affine.x, affine) if has_only_reader(graph, affine.x) else None
    if edits is None and not may_be_activation(affine):
        edits = _below(graph, result, affine)
    if edits is None:
        return False
    for each in edits:
        each()
    edit.replace_uses(graph, result, affine.x)
    edit.remove_dead(node)
    return True


# --- weights -----------------------------------------------------------------------------------------------------


def _conv_constants(node: ir.Node) -> tuple[Wide, Wide | None] | None:
    """Return weights and bias, if there is one, of a convolution; None where one of them is computed."""
    weights, given = wide_constant(node.inputs[1]), node.inputs[2] if len(node.inputs) > 2 else None
    bias = wide_constant(given)
    return None if weights is None or (bias is None and given is not None) else (weights, bias)


def _replacing(graph: ir.Graph, node: ir.Node, index: int, array: Wide) -> list[Edit] | None:
    """Let operand ``index`` of ``node`` be ``array``; None where the node's element type does not hold that."""
    if (narrow := narrowed(node, array)) is None:
        return None
    given = node.inputs[index] if index < len(node.inputs) else None
    before = constant_of(given) if given is not None else None
    if before is not None and before.size == narrow.size:
        narrow = narrow.reshape(before.shape.numpy())

    def replace() -> None:
        node.resize_inputs(max(len(node.inputs), index + 1))
        node.replace_input_with(index, edit.add_constant(graph, f"{node.outputs[0].name}_folded", narrow))

    return [replace]


def _joined(*parts: list[Edit] | None) -> list[Edit] | None:
    """Return all edits of the parts; None where a part is impossible."""
    if any(part is None for part in parts):
        return None
    return [each for part in parts if part is not None for each in part]


# --- above -------------------------------------------------------------------------------------------------------


def _above(graph: ir.Graph, value: ir.Value, affine: Affine) -> list[Edit] | None:
    """Return edits that compute ``value`` with the factor or the term; None if its producers do not allow it."""
    node, shape = value.producer(), static_shape(value)
    if node is None or node.graph is not graph or node.domain != "" or shape is None or not node.inputs:
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
        return _conv_above(graph, node, len(shape), affine)
    source = node.inputs[0]
    if source is None:
        return None
    if (indices := element_sources(node, value)) is not None:
        return _above_view(graph, source, indices, affine)
    inner = affine_of(node)
    if inner is not None:
        return _affine_above(graph, node, inner, affine)
    if affine.factor is None:
        return None
    if node.op_type == "MatMul":
        return _matmul_above(graph, node, len(shape), affine.factor)
    passes = lets_factor_through(node, affine) and has_only_reader(graph, source)
    return _above(graph, source, affine) if passes else None


def _conv_above(graph: ir.Graph, node: ir.Node, rank: int, affine: Affine) -> list[Edit] | None:
    if (constants := _conv_constants(node)) is None:
        return None
    weights, bias = constants
    transposed, groups = node.op_type == "ConvTranspose", integer(node, "group", 1) or 1
    channels = weights.shape[1] * groups if transposed else weights.shape[0]
    if affine.term is not None:
        term = numbers_along(affine.term, rank, 1, channels)
        return None if term is None else _replacing(graph, node, 2, term if bias is None else bias + term)
    assert affine.factor is not None
    factor = numbers_along(affine.factor, rank, 1, channels)
    if factor is None:
        return None
    scaled = scale_outputs(weights, factor, groups=groups, transposed=transposed)
    return _joined(
        _replacing(graph, node, 1, scaled), _replacing(graph, node, 2, bias * factor) if bias is not None else []
    )


def _matmul_above(graph: ir.Graph, node: ir.Node, rank: int, factor: Wide) -> list[Edit] | None:
    """Fold into the columns of a constant matrix; of two computed operands one takes a factor that is one number."""
    left, right = node.inputs
    matrix = wide_constant(right)
    if matrix is not None:
        columns = numbers_along(factor, rank, rank - 1, matrix.shape[-1]) if matrix.ndim > 1 else None
        return None if columns is None else _replacing(graph, node, 1, matrix * columns)
    for operand in (left, right):
        if factor.size == 1 and operand is not None and has_only_reader(graph, operand) and not is_constant(operand):
            scalar = Affine(operand, factor=factor.reshape(()))
            if (edits := _above(graph, operand, scalar)) is not None:
                return edits
    return None


def _affine_above(graph: ir.Graph, node: ir.Node, inner: Affine, affine: Affine) -> list[Edit] | None:
    """Fold into the constant of an operator of the same kind; a factor goes through an addition."""
    constant = 0 if wide_constant(node.inputs[0]) is not None else 1
    sign = -1 if node.op_type == "Sub" else 1
    if inner.term is not None and affine.term is not None:
        return _replacing(graph, node, constant, sign * (inner.term + affine.term))
    if affine.factor is None:
        return None
    if inner.factor is not None:
        factor = inner.factor * affine.factor
        return _replacing(graph, node, constant, 1 / factor if node.op_type == "Div" else factor)
    assert inner.term is not None
    if not has_only_reader(graph, inner.x):
        return None
    return _joined(
        _replacing(graph, node, constant, sign * inner.term * affine.factor),
        _above(graph, inner.x, affine),
    )


def _above_view(graph: ir.Graph, source: ir.Value, own: Indices, affine: Affine) -> list[Edit] | None:
    """Fold onto the elements of ``source`` that are taken, where nobody else takes one of those."""
    shape = static_shape(source)
    if shape is None or source.is_graph_output():
        return None
    neutral, array = (1.0, affine.factor) if affine.factor is not None else (0.0, affine.term)
    assert array is not None
    whole = np.full(prod(shape), neutral)
    whole[own] = np.broadcast_to(array, own.shape)
    touched = whole != neutral
    for use in source.uses():
        others = [element_sources(use.node, result) for result in use.node.outputs]
        if use.node.graph is not graph:
            return None
        for indices in others:
            if indices is None or (not _same(indices, own) and touched[indices].any()):
                return None
    spread = compact(whole.reshape(shape))
    return _above(graph, source, with_array(source, affine, spread))


def _same(one: Indices, other: Indices) -> bool:
    return one.shape == other.shape and bool((one == other).all())


# --- below -------------------------------------------------------------------------------------------------------


def _below(graph: ir.Graph, value: ir.Value, affine: Affine) -> list[Edit] | None:
    """Return edits by which all readers of ``value`` take over its factor or term; None if one of them cannot."""
    if value.is_graph_output() or not value.uses():
        return None
    edits: list[Edit] | None = []
    for use in value.uses():
        if edits is None or use.node.graph is not graph or use.node.domain != "":
            return None
        edits = _joined(edits, _reader_below(graph, use.node, use.idx, affine))
    return edits


def _reader_below(graph: ir.Graph, node: ir.Node, index: int, affine: Affine) -> list[Edit] | None:
    inner = affine_of(node)
    if inner is not None:
        return _affine_below(graph, node, inner, affine)
    if node.op_type == "MatMul" and index == 1:
        return _attention_below(graph, node, affine)
    if index != 0:
        return None
    if lets_factor_through(node, affine):
        return _below(graph, node.outputs[0], affine)
    if node.op_type == "MatMul":
        return _matmul_below(graph, node, affine)
    if node.op_type == "Conv":
        return _conv_below(graph, node, affine)
    edits: list[Edit] | None = []
    for result in node.outputs:
        indices, array = element_sources(node, result), affine.factor if affine.factor is not None else affine.term
        source = static_shape(affine.x)
        if indices is None or array is None or source is None:
            return None
        part = compact(np.broadcast_to(array, source).reshape(-1)[indices])
        edits = _joined(edits, _below(graph, result, with_array(result, affine, part)))
    return edits


def _attention_below(graph: ir.Graph, node: ir.Node, affine: Affine) -> list[Edit] | None:
    """Move a term past ``softmax @ values``, which leaves it as it is; one of the keys shifts whole rows of scores."""
    (left, right), result = node.inputs, node.outputs[0]
    if affine.term is None or left is None or right is None or static_shape(left) is None:
        return None
    rank, term = len(static_shape(right) or ()), affine.term
    if rank < 2 or rank != len(static_shape(result) or ()):
        return None
    term = term.reshape((1,) * (rank - term.ndim) + term.shape)
    if is_softmax(left.producer()) and term.shape[-2] == 1:
        return _below(graph, result, Affine(result, term=term))
    return [] if term.shape[-1] == 1 and _shift_is_lost(graph, result) else None


def _shift_is_lost(graph: ir.Graph, value: ir.Value) -> bool:
    """Return whether nothing is made of ``value`` but a Softmax, perhaps of a multiple of it, or of a sum."""
    reader = next(use.node for use in value.uses()) if has_only_reader(graph, value) else None
    if reader is None or is_softmax(reader):
        return reader is not None
    inner = affine_of(reader)
    scaled = inner is not None and inner.factor is not None and inner.factor.shape[-1] == 1
    added = reader.op_type == "Add" and static_shape(reader.outputs[0]) == static_shape(value)
    return (added or scaled) and _shift_is_lost(graph, reader.outputs[0])


def _affine_below(graph: ir.Graph, node: ir.Node, inner: Affine, affine: Affine) -> list[Edit] | None:
    """Move a factor through an addition: ``x * factor + term`` is ``(x + term / factor) * factor``."""
    if inner.term is None or affine.factor is None:
        return None
    constant = 0 if wide_constant(node.inputs[0]) is not None else 1
    term = inner.term / affine.factor
    return _joined(
        _replacing(graph, node, constant, -term if node.op_type == "Sub" else term),
        _below(graph, node.outputs[0], affine),
    )


def _matmul_below(graph: ir.Graph, node: ir.Node, affine: Affine) -> list[Edit] | None:
    matrix, shape = wide_constant(node.inputs[1]), static_shape(affine.x)
    result = static_shape(node.outputs[0])
    if matrix is None or matrix.ndim != 2 or shape is None or result is None:
        return None
    if affine.factor is not None:
        rows = numbers_along(affine.factor, len(shape), len(shape) - 1, shape[-1])
        return None if rows is None else _replacing(graph, node, 1, matrix * rows[:, None])
    assert affine.term is not None
    row = numbers_along(affine.term, len(shape), len(shape) - 1, shape[-1])
    return None if row is None else _adding(graph, node, result, row @ matrix)


def _adding(graph: ir.Graph, node: ir.Node, shape: Shape, term: Wide) -> list[Edit] | None:
    """Add ``term`` to the one result of ``node``: the next fold works it into the addition that follows, if any."""
    if (narrow := narrowed(node, term)) is None:
        return None
    if not narrow.any():
        return []

    def add() -> None:
        result = node.outputs[0]
        readers = list(result.uses())
        follower = ir.node("Add", [result, edit.add_constant(graph, f"{result.name}_term", narrow)])
        added = edit.insert_after(graph, result, follower, shape, f"{result.name}_shifted")
        for use in readers:
            use.node.replace_input_with(use.idx, added)
        if result.is_graph_output():
            edit.replace_output(graph, list(graph.outputs).index(result), added)

    return [add]


def _conv_below(graph: ir.Graph, node: ir.Node, affine: Affine) -> list[Edit] | None:
    """Return None: a term cannot move through a border of zeros."""
    constants, shape = _conv_constants(node), static_shape(affine.x)
    if constants is None or shape is None:
        return None
    weights, bias = constants
    groups = integer(node, "group", 1) or 1
    array = affine.factor if affine.factor is not None else affine.term
    assert array is not None
    channels = numbers_along(array, len(shape), 1, shape[1])
    if channels is None:
        return None
    scaled = scale_inputs(weights, channels, groups=groups)
    if affine.factor is not None:
        return _replacing(graph, node, 1, scaled)
    if may_pad(node):
        return None
    term = scaled.sum(axis=tuple(range(1, scaled.ndim)))
    return _replacing(graph, node, 2, term if bias is None else bias + term)


def _fold_scale(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold the shift, then the scale of a normalization downwards; whether one of them could be."""
    result, (x, scale, *shift) = node.outputs[0], node.inputs
    shape = static_shape(result)
    if x is None or shape is None or result.dtype not in ROUNDINGS:
        return False
    if shift and shift[0] is not None:
        term = wide_constant(shift[0])
        edits = None if term is None else _below(graph, result, Affine(result, term=raised_to(term, shape)))
        undo: Sequence[Edit] = [lambda: node.resize_inputs(2)]
    else:
        factor = wide_constant(scale)
        if factor is None or (factor == 1).all() or not factor.all():
            return False
        edits = _below(graph, result, Affine(result, factor=raised_to(factor, shape)))
        undo = _replacing(graph, node, 1, np.ones_like(factor)) or []
    if edits is None:
        return False
    for each in (*edits, *undo):
        each()
    return True
