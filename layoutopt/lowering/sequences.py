"""Sequences and optionals, which LiteRT has not: they exist while the graph is lowered, and their lengths are known."""

from __future__ import annotations

from collections.abc import Sequence

from layoutopt.lowering.kernel_types import DTypeSemantics, takes
from layoutopt.lowering.node import Node, Operand, OptionalValue, TensorSequence, constant, lowers, scalar
from layoutopt.lowering.shapes import split_into
from layoutopt.lowering.types import lower_each_through, lower_through
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value


@lowers("SequenceConstruct")
def sequence_construct(node: Node) -> TensorSequence:
    """Lower SequenceConstruct to a sequence of its operands."""
    return TensorSequence(node.given)


@lowers("SequenceEmpty")
def sequence_empty(_: Node) -> TensorSequence:
    """Lower SequenceEmpty to a sequence without elements."""
    return TensorSequence()


@lowers("SequenceLength")
def sequence_length(node: Node) -> Value:
    """Lower SequenceLength to a constant."""
    return constant(len(_sequence(node)), DType.INT64)


@lowers("SequenceAt")
def sequence_at(node: Node) -> Operand:
    """Lower SequenceAt to the element itself; to PACK and GATHER where its position is known at run time only."""
    values, position = _sequence(node), node[1]
    if position.is_constant:
        element: Operand = values[int(position.array.reshape(()))]
        return element
    if len({value.sizes for value in values}) != 1:
        raise node.unsupported("operand 1 must be a constant: the elements differ in shape")
    position = scalar(position)
    index = tfl.select_v2(position < 0, position + len(values), position)
    return lower_through("ConcatFromSequence", lambda *each: tfl.gather(tfl.pack(each), index), node, *values)


@lowers("SequenceInsert")
def sequence_insert(node: Node) -> TensorSequence:
    """Lower SequenceInsert to a sequence with one element more."""
    values = list(_sequence(node))
    values.insert(_position(node, 2, len(values)), node[1])
    return TensorSequence(values)


@lowers("SequenceErase")
def sequence_erase(node: Node) -> TensorSequence:
    """Lower SequenceErase to a sequence with one element less."""
    values = list(_sequence(node))
    del values[_position(node, 1, len(values) - 1)]
    return TensorSequence(values)


def _position(node: Node, index: int, default: int) -> int:
    return default if node.optional(index) is None else int(node.constant(index).reshape(()))


@lowers("SplitToSequence")
def split_to_sequence(node: Node) -> TensorSequence:
    """Lower SplitToSequence to SPLIT or SPLIT_V, or to UNPACK where each element has one place and no axis for it."""
    axis = node.axis(0)
    size = node.shape[axis]
    if node.optional(1) is None:
        if not node.integer("keepdims", 1) and node.x.dtype in _UNPACKED:
            return TensorSequence(tfl.unpack(node.x, axis))
        parts = _split(node, [1] * size, axis)
        return TensorSequence(parts if node.integer("keepdims", 1) else (tfl.squeeze(part, [axis]) for part in parts))
    sizes = node.constant(1)
    if sizes.ndim == 0:
        each = int(sizes)
        return TensorSequence(_split(node, [min(each, size - i) for i in range(0, size, each)], axis))
    return TensorSequence(_split(node, sizes.tolist(), axis))


_UNPACKED = (DType.BOOL, DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.FLOAT32)
"""The element types that UNPACK takes."""


def _split(node: Node, sizes: Sequence[int], axis: int) -> list[Value]:
    return lower_each_through("Split", lambda x: split_into(x, sizes, axis), node, node.x)


@lowers("ConcatFromSequence", types=takes("i1 u1 i2 i4 u4 i8 f4", DTypeSemantics.BITS))
def concat_from_sequence(node: Node) -> Value:
    """Lower ConcatFromSequence to CONCATENATION, or to PACK along a new axis."""
    values, axis = _sequence(node), node.integer("axis", 0)
    if not node.integer("new_axis", 0):
        return lower_through("Concat", lambda *each: tfl.concatenation(each, axis), node, *values)
    axis %= values[0].rank + 1
    return lower_through("ConcatFromSequence", lambda *each: tfl.pack(each, axis), node, *values)


@lowers("SequenceMap")
def sequence_map(node: Node) -> list[TensorSequence]:
    """Lower SequenceMap to its body, once for each element."""
    graph, rounds = node.graph("body"), []
    for i in range(len(_sequence(node))):
        given = [operand[i] if isinstance(operand, TensorSequence) else operand for operand in _given(node)]
        rounds.append(node.body(graph, dict(zip(graph.inputs, given, strict=True))))
    if not rounds:
        return [TensorSequence()] * len(graph.outputs)
    return [TensorSequence(parts) for parts in zip(*rounds, strict=True)]


@lowers("Optional")
def optional(node: Node) -> OptionalValue:
    """Lower Optional to its operand, if there is one."""
    return OptionalValue(_given(node))


@lowers("OptionalHasElement")
def optional_has_element(node: Node) -> Value:
    """Lower OptionalHasElement to a constant."""
    operand = _first(node)
    return constant(operand is not None and (not isinstance(operand, OptionalValue) or len(operand) > 0), DType.BOOL)


@lowers("OptionalGetElement")
def optional_get_element(node: Node) -> Operand:
    """Lower OptionalGetElement to the element."""
    operand = _first(node)
    if operand is None or operand == OptionalValue():
        raise node.unsupported("the optional is empty")
    if not isinstance(operand, OptionalValue):
        return operand
    element: Operand = operand[0]
    return element


def _given(node: Node) -> list[Operand]:
    return [operand for operand in node.operands if operand is not None]


def _first(node: Node) -> Operand | None:
    return node.operands[0] if node.operands else None


def _sequence(node: Node) -> TensorSequence:
    operand = _first(node)
    if not isinstance(operand, TensorSequence):
        raise node.unsupported("operand 0 must be a sequence that the graph makes itself")
    return operand
