"""Works constant factors and terms into the weights of the products before or after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import integer
from layoutopt.ir.values import Shape, Wide, constant_of, has_only_reader, is_constant, static_shape, wide_constant
from layoutopt.layout.analysis.convolutions import scale_inputs, scale_outputs
from layoutopt.layout.analysis.index_maps import Indices, taken
from layoutopt.passes.base import BROADCASTING, NodeRewrite

Edit = Callable[[], None]
"""One replacement in the graph: all that a fold takes are found before the first is done."""


@dataclass(frozen=True)
class FoldAffine(NodeRewrite):
    """Folds each Mul, Div, Add and Sub with a constant where the weights of a product can take it.

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


@dataclass(frozen=True, slots=True)
class _Affine:
    """``x * factor`` or ``x + term``: one of the two is None."""

    x: ir.Value
    factor: Wide | None = None
    term: Wide | None = None


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold what ``node`` does with a constant; whether anything could take it."""
    if node.domain != "" or len(node.outputs) != 1:
        return False
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        return _fold_scale(graph, node)
    affine, result = _affine(node), node.outputs[0]
    if affine is None:
        return False
    edits = _above(graph, affine.x, affine) if has_only_reader(graph, affine.x) else None
    if edits is None and not _may_be_activation(affine):
        edits = _below(graph, result, affine)
    if edits is None:
        return False
    for each in edits:
        each()
    edit.forward(graph, result, affine.x)
    edit.remove_dead(node)
    return True


def _affine(node: ir.Node) -> _Affine | None:
    """Return the affine function of one computed operand that ``node`` is; None if it is something else."""
    if node.op_type not in ("Mul", "Div", "Add", "Sub") or node.outputs[0].dtype not in _ROUNDINGS:
        return None
    left, right = node.inputs
    if left is None or right is None:
        return None
    x, constant = (left, wide_constant(right)) if wide_constant(left) is None else (right, wide_constant(left))
    if constant is None or x is left is right or wide_constant(x) is not None:
        return None
    if x is right and node.op_type in ("Div", "Sub"):
        return None
    shape = static_shape(x)
    if shape is None or shape != static_shape(node.outputs[0]) or not np.isfinite(constant).all():
        return None
    constant = _raised(constant, shape)
    if node.op_type in ("Add", "Sub"):
        return _Affine(x, term=constant if node.op_type == "Add" else -constant)
    if not constant.all():
        return None
    return _Affine(x, factor=constant if node.op_type == "Mul" else 1 / constant)


def _compact(array: Wide) -> Wide:
    """Return ``array`` with size 1 along each axis along which all is the same."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if array.shape[axis] > 1 and (array == first).all():
            array = first
    return array


def _along(array: Wide, rank: int, axis: int, size: int) -> Wide | None:
    """Return the ``size`` numbers of a compact ``array`` that differ along one axis at most; None where others do."""
    wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return np.broadcast_to(wide.reshape(-1), (size,)) if wide.size == wide.shape[axis] else None


def _may_be_activation(affine: _Affine) -> bool:
    """Return whether the operand is a product of two computed values of its shape, as ``x * gate(x)``."""
    producer = affine.x.producer()
    if affine.factor is None or producer is None or producer.op_type != "Mul":
        return False
    computed = [operand for operand in producer.inputs if operand is not None and not is_constant(operand)]
    shapes = [static_shape(operand) for operand in computed]
    return shapes == [static_shape(affine.x)] * 2


# --- weights -----------------------------------------------------------------------------------------------------


def _conv_constants(node: ir.Node) -> tuple[Wide, Wide | None] | None:
    """Return weights and bias, if there is one, of a convolution; None where one of them is computed."""
    weights, given = wide_constant(node.inputs[1]), node.inputs[2] if len(node.inputs) > 2 else None
    bias = wide_constant(given)
    return None if weights is None or (bias is None and given is not None) else (weights, bias)


def _replacing(graph: ir.Graph, node: ir.Node, index: int, array: Wide) -> list[Edit] | None:
    """Let operand ``index`` of ``node`` be ``array``; None where the node's element type does not hold that."""
    if (narrow := _narrow(node, array)) is None:
        return None
    given = node.inputs[index] if index < len(node.inputs) else None
    before = constant_of(given) if given is not None else None
    if before is not None and before.size == narrow.size:
        narrow = narrow.reshape(before.shape.numpy())

    def replace() -> None:
        node.resize_inputs(max(len(node.inputs), index + 1))
        node.replace_input_with(index, edit.add_constant(graph, f"{node.outputs[0].name}_folded", narrow))

    return [replace]


_ROUNDINGS = {ir.DataType.FLOAT: 2.0**-20, ir.DataType.FLOAT16: 2.0**-10, ir.DataType.BFLOAT16: 2.0**-7}
"""What may get lost of the largest of some constants, by the element type that they are rounded to."""


_PLAIN = 2.0**-100, 2.0**100
"""Where the largest of some constants lies between these, float32 holds them all and rounds them by 2**-24 at most."""


def _narrow(node: ir.Node, array: Wide) -> npt.NDArray[np.generic] | None:
    """Return ``array`` in the element type of ``node``; None where that overflows, or counts it as almost nothing."""
    dtype = node.outputs[0].dtype
    if dtype not in _ROUNDINGS:
        return None
    largest = np.abs(array).max(initial=0.0)
    with np.errstate(over="ignore"):
        narrow: npt.NDArray[np.generic] = array.astype(dtype.numpy())
    if dtype is ir.DataType.FLOAT and _PLAIN[0] < largest < _PLAIN[1]:
        return narrow
    again = narrow.astype(np.float64)
    if not np.isfinite(again).all():
        return None
    return narrow if np.abs(again - array).max(initial=0.0) <= _ROUNDINGS[dtype] * largest else None


def _joined(*parts: list[Edit] | None) -> list[Edit] | None:
    """Return all edits of the parts; None where a part is impossible."""
    if any(part is None for part in parts):
        return None
    return [each for part in parts if part is not None for each in part]


# --- above -------------------------------------------------------------------------------------------------------


def _above(graph: ir.Graph, value: ir.Value, affine: _Affine) -> list[Edit] | None:
    """Return edits that compute ``value`` with the factor or the term; None if its producers do not allow it."""
    node, shape = value.producer(), static_shape(value)
    if node is None or node.graph is not graph or node.domain != "" or shape is None or not node.inputs:
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
        return _conv_above(graph, node, len(shape), affine)
    source = node.inputs[0]
    if source is None:
        return None
    if (indices := taken(node, value)) is not None:
        return _above_view(graph, source, indices, affine)
    inner = _affine(node)
    if inner is not None:
        return _affine_above(graph, node, inner, affine)
    if affine.factor is None:
        return None
    if node.op_type == "MatMul":
        return _matmul_above(graph, node, len(shape), affine.factor)
    return _above(graph, source, affine) if _lets_through(node, affine) and has_only_reader(graph, source) else None


def _lets_through(node: ir.Node, affine: _Affine) -> bool:
    """Return whether a factor before ``node`` does what it does after."""
    return node.op_type in ("Relu", "LeakyRelu") and affine.factor is not None and bool((affine.factor > 0).all())


def _conv_above(graph: ir.Graph, node: ir.Node, rank: int, affine: _Affine) -> list[Edit] | None:
    if (constants := _conv_constants(node)) is None:
        return None
    weights, bias = constants
    transposed, groups = node.op_type == "ConvTranspose", integer(node, "group", 1) or 1
    channels = weights.shape[1] * groups if transposed else weights.shape[0]
    if affine.term is not None:
        term = _along(affine.term, rank, 1, channels)
        return None if term is None else _replacing(graph, node, 2, term if bias is None else bias + term)
    assert affine.factor is not None
    factor = _along(affine.factor, rank, 1, channels)
    if factor is None:
        return None
    scaled = scale_outputs(weights, factor, groups=groups, transposed=transposed)
    return _joined(
        _replacing(graph, node, 1, scaled), _replacing(graph, node, 2, bias * factor) if bias is not None else []
    )


def _matmul_above(graph: ir.Graph, node: ir.Node, rank: int, factor: Wide) -> list[Edit] | None:
    """Into the columns of a constant matrix; of two computed operands one takes a factor that is the same for all."""
    left, right = node.inputs
    matrix = wide_constant(right)
    if matrix is not None:
        columns = _along(factor, rank, rank - 1, matrix.shape[-1]) if matrix.ndim > 1 else None
        return None if columns is None else _replacing(graph, node, 1, matrix * columns)
    for operand in (left, right):
        if factor.size == 1 and operand is not None and has_only_reader(graph, operand) and not is_constant(operand):
            scalar = _Affine(operand, factor=factor.reshape(()))
            if (edits := _above(graph, operand, scalar)) is not None:
                return edits
    return None


def _affine_above(graph: ir.Graph, node: ir.Node, inner: _Affine, affine: _Affine) -> list[Edit] | None:
    """Into the constant of an operator of the same kind; a factor goes through an addition."""
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


def _above_view(graph: ir.Graph, source: ir.Value, own: Indices, affine: _Affine) -> list[Edit] | None:
    """Onto the elements of ``source`` that are taken, where nobody else takes one of those."""
    shape = static_shape(source)
    if shape is None or source.is_graph_output():
        return None
    neutral, array = (1.0, affine.factor) if affine.factor is not None else (0.0, affine.term)
    assert array is not None
    whole = np.full(prod(shape), neutral)
    whole[own] = np.broadcast_to(array, own.shape)
    touched = whole != neutral
    for use in source.uses():
        others = [taken(use.node, result) for result in use.node.outputs]
        if use.node.graph is not graph:
            return None
        for indices in others:
            if indices is None or (not _same(indices, own) and touched[indices].any()):
                return None
    spread = _compact(whole.reshape(shape))
    return _above(graph, source, _spread(source, affine, spread))


def _same(one: Indices, other: Indices) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _spread(x: ir.Value, affine: _Affine, array: Wide) -> _Affine:
    """Return ``affine`` for another view, ``x``."""
    return _Affine(x, factor=array) if affine.factor is not None else _Affine(x, term=array)


# --- below -------------------------------------------------------------------------------------------------------


def _below(graph: ir.Graph, value: ir.Value, affine: _Affine) -> list[Edit] | None:
    """Return edits by which all readers of ``value`` take over its factor or term; None if one of them cannot."""
    if value.is_graph_output() or not value.uses():
        return None
    edits: list[Edit] | None = []
    for use in value.uses():
        if edits is None or use.node.graph is not graph or use.node.domain != "":
            return None
        edits = _joined(edits, _reader_below(graph, use.node, use.idx, affine))
    return edits


def _reader_below(graph: ir.Graph, node: ir.Node, index: int, affine: _Affine) -> list[Edit] | None:
    inner = _affine(node)
    if inner is not None:
        return _affine_below(graph, node, inner, affine)
    if node.op_type == "MatMul" and index == 1:
        return _attention_below(graph, node, affine)
    if index != 0:
        return None
    if _lets_through(node, affine):
        return _below(graph, node.outputs[0], affine)
    if node.op_type == "MatMul":
        return _matmul_below(graph, node, affine)
    if node.op_type == "Conv":
        return _conv_below(graph, node, affine)
    edits: list[Edit] | None = []
    for result in node.outputs:
        indices, array = taken(node, result), affine.factor if affine.factor is not None else affine.term
        source = static_shape(affine.x)
        if indices is None or array is None or source is None:
            return None
        part = _compact(np.broadcast_to(array, source).reshape(-1)[indices])
        edits = _joined(edits, _below(graph, result, _spread(result, affine, part)))
    return edits


def _attention_below(graph: ir.Graph, node: ir.Node, affine: _Affine) -> list[Edit] | None:
    """Move a term past ``softmax @ values``, which leaves it as it is; one of the keys shifts whole rows of scores."""
    (left, right), result = node.inputs, node.outputs[0]
    if affine.term is None or left is None or right is None or static_shape(left) is None:
        return None
    rank, term = len(static_shape(right) or ()), affine.term
    if rank < 2 or rank != len(static_shape(result) or ()):
        return None
    term = term.reshape((1,) * (rank - term.ndim) + term.shape)
    if _is_softmax(left.producer()) and term.shape[-2] == 1:
        return _below(graph, result, _Affine(result, term=term))
    return [] if term.shape[-1] == 1 and _shift_is_lost(graph, result) else None


def _is_softmax(node: ir.Node | None) -> bool:
    """Return whether the results of ``node`` sum up to 1 along their last axis."""
    if node is None or node.op_type != "Softmax" or node.domain != "":
        return False
    rank = len(static_shape(node.outputs[0]) or ())
    return integer(node, "axis", -1) in (-1, rank - 1)


def _shift_is_lost(graph: ir.Graph, value: ir.Value) -> bool:
    """Return whether nothing is made of ``value`` but a Softmax, perhaps of a multiple of it, or of a sum."""
    reader = next(use.node for use in value.uses()) if has_only_reader(graph, value) else None
    if reader is None or _is_softmax(reader):
        return reader is not None
    inner = _affine(reader)
    scaled = inner is not None and inner.factor is not None and inner.factor.shape[-1] == 1
    added = reader.op_type == "Add" and static_shape(reader.outputs[0]) == static_shape(value)
    return (added or scaled) and _shift_is_lost(graph, reader.outputs[0])


def _affine_below(graph: ir.Graph, node: ir.Node, inner: _Affine, affine: _Affine) -> list[Edit] | None:
    """Move a factor through an addition: ``x * factor + term`` is ``(x + term / factor) * factor``."""
    if inner.term is None or affine.factor is None:
        return None
    constant = 0 if wide_constant(node.inputs[0]) is not None else 1
    term = inner.term / affine.factor
    return _joined(
        _replacing(graph, node, constant, -term if node.op_type == "Sub" else term),
        _below(graph, node.outputs[0], affine),
    )


def _matmul_below(graph: ir.Graph, node: ir.Node, affine: _Affine) -> list[Edit] | None:
    matrix, shape = wide_constant(node.inputs[1]), static_shape(affine.x)
    result = static_shape(node.outputs[0])
    if matrix is None or matrix.ndim != 2 or shape is None or result is None:
        return None
    if affine.factor is not None:
        rows = _along(affine.factor, len(shape), len(shape) - 1, shape[-1])
        return None if rows is None else _replacing(graph, node, 1, matrix * rows[:, None])
    assert affine.term is not None
    row = _along(affine.term, len(shape), len(shape) - 1, shape[-1])
    return None if row is None else _adding(graph, node, result, row @ matrix)


def _adding(graph: ir.Graph, node: ir.Node, shape: Shape, term: Wide) -> list[Edit] | None:
    """Add ``term`` to the one result of ``node``: the next fold works it into the addition that follows, if any."""
    if (narrow := _narrow(node, term)) is None:
        return None
    if not narrow.any():
        return []

    def add() -> None:
        result = node.outputs[0]
        readers = list(result.uses())
        follower = ir.node("Add", [result, edit.add_constant(graph, f"{result.name}_term", narrow)])
        added = edit.insert_behind(graph, result, follower, shape, f"{result.name}_shifted")
        for use in readers:
            use.node.replace_input_with(use.idx, added)
        if result.is_graph_output():
            edit.replace_output(graph, list(graph.outputs).index(result), added)

    return [add]


def _conv_below(graph: ir.Graph, node: ir.Node, affine: _Affine) -> list[Edit] | None:
    """Return None: a term cannot move through a border of zeros."""
    constants, shape = _conv_constants(node), static_shape(affine.x)
    if constants is None or shape is None:
        return None
    weights, bias = constants
    groups = integer(node, "group", 1) or 1
    array = affine.factor if affine.factor is not None else affine.term
    assert array is not None
    channels = _along(array, len(shape), 1, shape[1])
    if channels is None:
        return None
    scaled = scale_inputs(weights, channels, groups=groups)
    if affine.factor is not None:
        return _replacing(graph, node, 1, scaled)
    if _pads(node):
        return None
    term = scaled.sum(axis=tuple(range(1, scaled.ndim)))
    return _replacing(graph, node, 2, term if bias is None else bias + term)


def _pads(node: ir.Node) -> bool:
    """Return whether ``node`` may read beyond the border."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    return auto.startswith("SAME") or (auto == "NOTSET" and any(node.attributes.get_ints("pads", ())))


def _fold_scale(graph: ir.Graph, node: ir.Node) -> bool:
    """Fold the shift, then the scale of a normalization downwards; whether one of them could be."""
    result, (x, scale, *shift) = node.outputs[0], node.inputs
    shape = static_shape(result)
    if x is None or shape is None or result.dtype not in _ROUNDINGS:
        return False
    if shift and shift[0] is not None:
        term = wide_constant(shift[0])
        edits = None if term is None else _below(graph, result, _Affine(result, term=_raised(term, shape)))
        undo: Sequence[Edit] = [lambda: node.resize_inputs(2)]
    else:
        factor = wide_constant(scale)
        if factor is None or (factor == 1).all() or not factor.all():
            return False
        edits = _below(graph, result, _Affine(result, factor=_raised(factor, shape)))
        undo = _replacing(graph, node, 1, np.ones_like(factor)) or []
    if edits is None:
        return False
    for each in (*edits, *undo):
        each()
    return True


def _raised(array: Wide, shape: Shape) -> Wide:
    return _compact(array.reshape((1,) * (len(shape) - array.ndim) + array.shape))
