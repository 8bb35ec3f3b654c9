"""If, Loop and Scan: written out where the way is known now, else IF and WHILE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.loops import written_at
from layoutopt.backend.onnx_tf.handlers.node import Items, Node, Operand, handles, permuted, shape_of, type_of
from layoutopt.backend.onnx_tf.handlers.types import through
from layoutopt.backend.onnx_tf.infinities import hidden

_MOST_NODES = 512  # that a loop may have written out


@handles("If")
def if_(node: Node) -> list[Operand]:
    """The branch that a constant condition takes; IF where it is known at run time only."""
    condition = node.x
    branches = [_graph(node, "then_branch"), _graph(node, "else_branch")]
    if isinstance(condition, np.ndarray):
        return node.body(branches[0 if condition.reshape(()) else 1], {})
    taken = [lambda graph=graph: _tensors(node.body(graph, {})) for graph in branches]
    try:
        return list(tf.cond(tf.reshape(condition, ()), *taken))
    except (TypeError, ValueError, AssertionError) as error:  # what TensorFlow raises where the structures differ
        raise node.unsupported("its branches must yield values of the same types, and sequences as long") from error


@handles("Loop")
def loop(node: Node) -> list[Operand]:
    """The rounds one after the other where their number is a constant and small; else WHILE."""
    graph, carried = _graph(node, "body"), [node[i] for i in range(2, len(node.operands))]
    most, going = node.optional(0), node.optional(1)
    going = np.array(True) if going is None else going
    number, condition, *states = (value.name for value in graph.input)

    def round_(i: Operand, carried: Sequence[Operand]) -> list[Operand]:
        # There is a round only where the condition holds.
        return node.body(graph, {number: i, condition: np.array(True), **dict(zip(states, carried, strict=True))})

    if isinstance(most, np.ndarray) and isinstance(going, np.ndarray):
        trips = int(most.reshape(())) if going.reshape(()) else 0
        has_sequence = any(isinstance(value, Items) for value in carried)
        if trips * len(graph.node) <= _MOST_NODES or has_sequence:
            found = _written_out(round_, trips, carried)
            if found is not None:
                return found.stacked(node, graph, len(carried))
    if any(isinstance(value, Items) for value in carried):
        raise node.unsupported("a sequence is carried, so its number of rounds must be a constant")
    return _while(node, round_, most, going, carried)


@handles("Scan")
def scan(node: Node) -> list[Operand]:
    """The slices one after the other where they are few; else WHILE."""
    if node.opset < 9:
        return _batched_scan(node)
    graph, count = _graph(node, "body"), node.integer("num_scan_inputs", 1)
    given = list(node.operands)
    carried, scanned = given[: len(given) - count], given[len(given) - count :]
    axes, ways = node.ints("scan_input_axes") or [0] * count, node.ints("scan_input_directions") or [0] * count
    leading = [_first(_turned(x, axis, way), axis) for x, axis, way in zip(scanned, axes, ways, strict=True)]
    trips, names = shape_of(leading[0])[0], [value.name for value in graph.input]

    def round_(i: Operand, carried: Sequence[Operand]) -> list[Operand]:
        slices = [_slice(node, x, i) for x in leading]
        return [np.array(True), *node.body(graph, dict(zip(names, [*carried, *slices], strict=True)))]

    if trips * len(graph.node) <= _MOST_NODES:
        found = _written_out(round_, trips, carried)
        assert found is not None, "a Scan knows how long it goes on"
        results = found.stacked(node, graph, len(carried), conditions=0)
    else:
        results = _while(node, round_, np.array(trips), np.array(True), carried)
    out = results[len(carried) :]
    axes, ways = node.ints("scan_output_axes") or [0] * len(out), node.ints("scan_output_directions") or [0] * len(out)
    moved = [_turned(_last(y, axis), axis, way) for y, axis, way in zip(out, axes, ways, strict=True)]
    return [*results[: len(carried)], *moved]


def _batched_scan(node: Node) -> list[Operand]:
    """The Scan of opset 8, which has a batch in front of all operands and results: one of opset 9 for each element."""
    operands = node.given
    if node.optional(0) is not None:
        raise node.unsupported("sequences of different lengths in one Scan: export it at opset 9 or newer")
    attributes = {**node.attributes, "scan_input_directions": node.ints("directions")}
    found = [
        scan(replace(node, opset=9, attributes=attributes, operands=tuple(operand[i] for operand in operands)))
        for i in range(shape_of(operands[0])[0])
    ]
    return [_stack(node, parts) for parts in zip(*found, strict=True)]


def _graph(node: Node, name: str) -> onnx.GraphProto:
    graph = node.attributes[name]
    assert isinstance(graph, onnx.GraphProto)
    return graph


def _first(x: Operand, axis: int) -> Operand:
    """With ``axis`` in front."""
    rank = len(shape_of(x))
    axis %= rank
    return x if axis == 0 else permuted(x, (axis, *(i for i in range(rank) if i != axis)))


def _last(y: Operand, axis: int) -> Operand:
    """With the first axis in the place of ``axis``."""
    rank = len(shape_of(y))
    axis %= rank
    return y if axis == 0 else permuted(y, (*range(1, axis + 1), 0, *range(axis + 1, rank)))


def _turned(x: Operand, axis: int, way: int) -> Operand:
    if not way:
        return x
    return np.flip(x, axis) if isinstance(x, np.ndarray) else tf.reverse(x, [axis % len(shape_of(x))])


def _tensors(values: Sequence[Operand]) -> list[Operand]:
    """What goes in and out of TensorFlow's control flow."""
    return [
        Items(_tensors(value)) if isinstance(value, Items) else tf.convert_to_tensor(hidden(value)) for value in values
    ]


# --- written out ---------------------------------------------------------------------------------------------------

Round = Callable[[Operand, Sequence[Operand]], list[Operand]]
"""One round: from its number and the carried values to whether there is another, those values and what it yields."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a loop that was written out leaves.

    Attributes:
        carried: the values that were carried, after the last round.
        yielded: what each round yielded.
    """

    carried: list[Operand]
    yielded: list[list[Operand]]

    def stacked(self, node: Node, graph: onnx.GraphProto, count: int, conditions: int = 1) -> list[Operand]:
        """The results of the node."""
        outputs = graph.output[conditions + count :]
        if not self.yielded and outputs:
            return [*self.carried, *(_nothing(node, value) for value in outputs)]
        return [*self.carried, *(_stack(node, parts) for parts in zip(*self.yielded, strict=True))]


def _written_out(round_: Round, trips: int, carried: Sequence[Operand]) -> Rounds | None:
    """All rounds, or None where a round decides at run time whether there is another."""
    rounds = Rounds(list(carried), [])
    for i in range(trips):
        going, *after = round_(np.array(i, np.int64), rounds.carried)
        rounds.yielded.append(after[len(carried) :])
        rounds = Rounds(after[: len(carried)], rounds.yielded)
        if i == trips - 1:
            break
        if not isinstance(going, np.ndarray):
            return None
        if not going.reshape(()):
            break
    return rounds


def _slice(node: Node, x: Operand, i: Operand) -> Operand:
    if isinstance(i, np.ndarray):
        return through("Slice", lambda x: x[int(i)], node, x)
    return through("Gather", lambda x: tf.gather(x, i), node, x)


def _stack(node: Node, parts: Sequence[Operand]) -> Operand:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.stack(parts)
    return through("Concat", lambda *each: tf.stack(each), node, *parts)


def _nothing(node: Node, value: onnx.ValueInfoProto) -> Operand:
    """What a loop without rounds yields."""
    kind = value.type.tensor_type
    sizes = [dim.dim_value for dim in kind.shape.dim]
    if any(not dim.HasField("dim_value") for dim in kind.shape.dim):
        raise node.unsupported(f"it has no rounds, and the shape of {value.name} in its body is not given")
    return np.zeros((0, *sizes), onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))


# --- WHILE -----------------------------------------------------------------------------------------------------------


def _while(
    node: Node, round_: Round, most: Operand | None, going: Operand, carried: Sequence[Operand]
) -> list[Operand]:
    """A WHILE; what the rounds yield is written to values that are as long as the loop can become, or grow."""
    start = _tensors(carried)
    shapes, yields, endless = _steady(node, round_, start)
    trips = int(most.reshape(())) if isinstance(most, np.ndarray) else None
    limit = None if most is None else tf.cast(tf.reshape(most, ()), tf.int32)
    # TFLite cannot let an empty value grow: the first element is cut off.
    made = [tf.zeros([1 if trips is None else trips, *shape], kind) for shape, kind in yields]
    growing = [tf.TensorShape([trips, *shape]) for shape, _ in yields]

    def goes_on(i: Operand, going: Operand, *_: Operand) -> Operand:
        return going if limit is None else tf.logical_and(going, i < limit)

    def step(i: Operand, _: Operand, *values: Operand) -> list[Operand]:
        carried, sofar = values[: len(start)], values[len(start) :]
        going, *after = _tensors(round_(tf.cast(i, tf.int64), carried))
        parts = [tf.expand_dims(part, 0) for part in after[len(start) :]]
        if trips is None:
            longer = [tf.concat([value, part], 0) for value, part in zip(sofar, parts, strict=True)]
        else:
            longer = [written_at(value, part, i) for value, part in zip(sofar, parts, strict=True)]
        return [i + 1, tf.reshape(going, ()), *after[: len(start)], *longer]

    before = [np.int32(0), tf.reshape(tf.convert_to_tensor(going), ()), *start, *made]
    invariants = [tf.TensorShape([]), tf.TensorShape([]), *shapes, *growing]
    count, _, *values = tf.while_loop(goes_on, step, before, shape_invariants=invariants)
    last, made = values[: len(start)], values[len(start) :]
    if trips is None or not (endless and isinstance(going, np.ndarray)):
        # Not a slice: LiteRT cannot read an empty one.
        first = 1 if trips is None else 0
        made = [tf.gather(value, tf.range(first, first + count)) for value in made]
    return [*last, *made]


def _steady(
    node: Node, round_: Round, start: Sequence[Operand]
) -> tuple[list[tf.TensorShape], list[tuple[tuple[int, ...], tf.DType]], bool]:
    """The shapes of carried values that hold in every round, what a round yields, and whether it always goes on."""
    shapes, endless = [tf.TensorShape(value.shape) for value in start], False
    for _ in range(2):

        def once(i: Operand, *values: Operand) -> list[Operand]:
            nonlocal endless
            results = round_(i, values)
            endless = isinstance(results[0], np.ndarray) and bool(results[0].reshape(()))
            return _tensors(results[1:])

        specs = [tf.TensorSpec(shape, type_of(value)) for shape, value in zip(shapes, start, strict=True)]
        traced = tf.function(once, autograph=False).get_concrete_function(tf.TensorSpec([], tf.int64), *specs)
        results = traced.outputs
        after = [tf.TensorShape(result.shape) for result in results[: len(start)]]
        common = [old.most_specific_common_supertype([new]) for old, new in zip(shapes, after, strict=True)]
        if any(shape is None for shape in common):
            raise node.unsupported("a carried value changes its rank from round to round")
        if common == shapes:
            return shapes, [(shape_of(result), result.dtype) for result in results[len(start) :]], endless
        shapes = common
    raise node.unsupported("the shapes of the carried values differ in every round")
