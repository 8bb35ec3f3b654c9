"""Sequences and optionals, which TFLite has not: they exist while the graph is traced, and their lengths are known."""

from __future__ import annotations

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Items, Node, Operand, handles, shape_of


@handles("SequenceConstruct")
def sequence_construct(node: Node) -> list[Operand]:
    """The operands."""
    return [Items(node.given)]


@handles("SequenceEmpty")
def sequence_empty(_: Node) -> list[Operand]:
    """No element."""
    return [Items()]


@handles("SequenceLength")
def sequence_length(node: Node) -> Operand:
    """A constant."""
    return np.array(len(_items(node)), np.int64)


@handles("SequenceAt")
def sequence_at(node: Node) -> Operand:
    """The element itself; GATHER where its number is known at run time only."""
    items, position = _items(node), node[1]
    if isinstance(position, np.ndarray):
        return items[int(position.reshape(()))]
    if len({shape_of(item) for item in items}) != 1:
        raise node.unsupported("operand 1 must be a constant: the elements differ in shape")
    position = tf.reshape(position, ())
    return tf.gather(tf.stack(items), tf.where(position < 0, position + len(items), position))


@handles("SequenceInsert")
def sequence_insert(node: Node) -> list[Operand]:
    """One element more."""
    items = list(_items(node))
    items.insert(_position(node, 2, len(items)), node[1])
    return [Items(items)]


@handles("SequenceErase")
def sequence_erase(node: Node) -> list[Operand]:
    """One element less."""
    items = list(_items(node))
    del items[_position(node, 1, len(items) - 1)]
    return [Items(items)]


def _position(node: Node, index: int, default: int) -> int:
    return default if node.optional(index) is None else int(node.constant(index).reshape(()))


@handles("SplitToSequence")
def split_to_sequence(node: Node) -> list[Operand]:
    """SPLIT, or UNPACK where each element has one place and no axis for it."""
    axis, split = node.axis(0), node.optional(1)
    size = node.shape[axis]
    if split is None:
        parts = tf.unstack(node.x, axis=axis)
        return [Items(tf.expand_dims(part, axis) for part in parts) if node.integer("keepdims", 1) else Items(parts)]
    sizes = node.constant(1)
    if sizes.ndim == 0:
        each = int(sizes)
        return [Items(tf.split(node.x, [min(each, size - i) for i in range(0, size, each)], axis))]
    return [Items(tf.split(node.x, [int(part) for part in sizes], axis))]


@handles("ConcatFromSequence")
def concat_from_sequence(node: Node) -> Operand:
    """CONCATENATION, or PACK along a new axis."""
    items, axis = _items(node), node.integer("axis", 0)
    return tf.stack(items, axis) if node.integer("new_axis", 0) else tf.concat(items, axis)


@handles("SequenceMap")
def sequence_map(node: Node) -> list[Operand]:
    """The body once for each element."""
    graph = node.attributes["body"]
    assert isinstance(graph, onnx.GraphProto)
    names = [value.name for value in graph.input]
    rounds = []
    for i in range(len(_items(node))):
        given = [operand[i] if isinstance(operand, Items) else operand for operand in node.operands]
        rounds.append(node.body(graph, dict(zip(names, given, strict=True))))
    return [Items(parts) for parts in zip(*rounds, strict=True)] if rounds else [Items()] * len(graph.output)


class Maybe(Items):
    """An optional: one element, or none."""


@handles("Optional")
def optional(node: Node) -> list[Operand]:
    """The operand, if there is one."""
    return [Maybe(node.given)]


@handles("OptionalHasElement")
def optional_has_element(node: Node) -> Operand:
    """A constant."""
    return np.array(bool(node.given) and (not isinstance(node.x, Maybe) or len(node.x) > 0))


@handles("OptionalGetElement")
def optional_get_element(node: Node) -> list[Operand]:
    """The element."""
    if not isinstance(node.x, Maybe):
        return [node.x]
    if not node.x:
        raise node.unsupported("the optional is empty")
    return [node.x[0]]


def _items(node: Node) -> Items:
    if not isinstance(node.x, Items):
        raise node.unsupported("operand 0 must be a sequence that the graph makes itself")
    return node.x
