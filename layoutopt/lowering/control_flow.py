"""If, Loop and Scan: written out where the way is known while the graph is lowered, else IF and WHILE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from layoutopt.lowering.node import Node, Operand, TensorSequence, constant, dtype_of, lowers, scalar
from layoutopt.lowering.types import lower_through
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Shape, Value

_MAX_NODES = 512  # that a loop may have written out
_MAX_TRIALS = 4  # after which the shapes of carried values should be steady
_INT32_MAX = np.iinfo(np.int32).max
_TRUE = constant(True)


@lowers("If")
def if_(node: Node) -> list[Operand]:
    """Lower If to IF; to the branch that it takes where its condition is a constant."""
    branches = [node.graph("then_branch"), node.graph("else_branch")]
    if node.known(0):
        return node.body(branches[0 if node.x.array.reshape(()) else 1], {})
    structures: list[list[int]] = []

    def taken(graph: ir.Graph) -> list[Value]:
        results = node.body(graph, {})
        structures.append([len(each) if isinstance(each, TensorSequence) else -1 for each in results])
        return _flattened(results)

    try:
        results = tfl.if_(scalar(node.x), *(lambda graph=graph: taken(graph) for graph in branches))
    except TypeError as error:
        raise _different_branches(node) from error
    if structures[0] != structures[1]:
        raise _different_branches(node)
    left = iter(results)
    return [next(left) if n < 0 else TensorSequence(next(left) for _ in range(n)) for n in structures[0]]


def _different_branches(node: Node) -> Exception:
    return node.unsupported("its branches must yield values of the same types, and sequences as long")


def _flattened(operands: Sequence[Operand]) -> list[Value]:
    """Return the tensors among some operands and in sequences among them."""
    found: list[Value] = []
    for operand in operands:
        found += _flattened(operand) if isinstance(operand, TensorSequence) else [operand]
    return found


@lowers("Loop")
def loop(node: Node) -> list[Operand]:
    """Lower Loop to WHILE; to its rounds one after the other where their number is a constant and small."""
    graph, carried = node.graph("body"), [_operand(node, i) for i in range(2, len(node.operands))]
    limit, going = node.optional(0), node.optional(1)
    if limit is not None and limit.is_constant and limit.array.reshape(()) > _INT32_MAX:
        limit = None  # which is how exporters say that only the condition ends it
    going = _TRUE if going is None else going
    number, condition, *states = graph.inputs

    def round_(i: Value, carried: Sequence[Operand]) -> list[Operand]:
        # There is a round only where the condition holds.
        return node.body(graph, {number: i, condition: _TRUE, **dict(zip(states, carried, strict=True))})

    has_sequence = any(isinstance(value, TensorSequence) for value in carried)
    if limit is not None and limit.is_constant and going.is_constant:
        trips = int(limit.array.reshape(())) if going.array.reshape(()) else 0
        if trips * len(graph) <= _MAX_NODES or has_sequence:
            found = _written_out(round_, trips, carried)
            if found is not None:
                return found.stacked(node, graph, len(carried))
    if has_sequence:
        raise node.unsupported("a sequence is carried, so its number of rounds must be a constant")
    return list(_while(node, round_, limit, going, _flattened(carried)))


def _operand(node: Node, index: int) -> Operand:
    operand = node.operands[index]
    return node[index] if operand is None else operand


@lowers("Scan")
def scan(node: Node) -> list[Value]:
    """Lower Scan to WHILE; to its rounds one after the other where they are few."""
    return _batched_scan(node) if node.opset < 9 else _scan(node)


def _scan(node: Node) -> list[Value]:
    graph, count = node.graph("body"), node.integer("num_scan_inputs", 1)
    given = node.given
    carried, scanned = given[: len(given) - count], given[len(given) - count :]
    axes = node.ints("scan_input_axes") or [0] * count
    backwards = node.ints("scan_input_directions") or [0] * count
    leading = [
        _to_front(_reversed(x, axis, back), axis) for x, axis, back in zip(scanned, axes, backwards, strict=True)
    ]
    trips = leading[0].sizes[0]

    def round_(i: Value, carried: Sequence[Operand]) -> list[Operand]:
        slices = [_slice(node, x, i) for x in leading]
        return [_TRUE, *node.body(graph, dict(zip(graph.inputs, [*carried, *slices], strict=True)))]

    if trips * len(graph) <= _MAX_NODES:
        found = _written_out(round_, trips, carried)
        assert found is not None, "a Scan knows how long it goes on"
        results = _flattened(found.stacked(node, graph, len(carried), conditions=0))
    else:
        results = _while(node, round_, constant(trips, DType.INT64), _TRUE, carried)
    out = results[len(carried) :]
    axes = node.ints("scan_output_axes") or [0] * len(out)
    backwards = node.ints("scan_output_directions") or [0] * len(out)
    moved = [_reversed(_from_front(y, axis), axis, back) for y, axis, back in zip(out, axes, backwards, strict=True)]
    return [*results[: len(carried)], *moved]


def _batched_scan(node: Node) -> list[Value]:
    """Return the results of a Scan of opset 8, whose operands have a batch axis: one Scan for each element."""
    if node.optional(0) is not None:
        raise node.unsupported("sequences of different lengths in one Scan: export it at opset 9 or newer")
    operands, attributes = node.given, {**node.attributes, "scan_input_directions": node.ints("directions")}
    found = [
        _scan(replace(node, opset=9, attributes=attributes, operands=tuple(operand[i] for operand in operands)))
        for i in range(operands[0].sizes[0])
    ]
    return [_stack(node, parts) for parts in zip(*found, strict=True)]


def _to_front(x: Value, axis: int) -> Value:
    """Return the value with ``axis`` as the first."""
    axis %= x.rank
    return tfl.transpose(x, (axis, *(i for i in range(x.rank) if i != axis)))


def _from_front(y: Value, axis: int) -> Value:
    """Return the value with the first axis in the place of ``axis``."""
    axis %= y.rank
    return tfl.transpose(y, (*range(1, axis + 1), 0, *range(axis + 1, y.rank)))


def _reversed(x: Value, axis: int, back: int) -> Value:
    return tfl.reverse(x, [axis]) if back else x


# --- written out ---------------------------------------------------------------------------------------------------

Round = Callable[[Value, Sequence[Operand]], list[Operand]]
"""One round: from its number and the carried values to whether there is another, those values and what it yields."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The state that a loop leaves after it was written out.

    Attributes:
        carried: the values that were carried, after the last round.
        yielded: what each round yielded.
    """

    carried: list[Operand]
    yielded: list[list[Value]]

    def stacked(self, node: Node, graph: ir.Graph, count: int, conditions: int = 1) -> list[Operand]:
        """Return the results of the node."""
        outputs = graph.outputs[conditions + count :]
        if not self.yielded and outputs:
            return [*self.carried, *(_nothing(node, value) for value in outputs)]
        return [*self.carried, *(_stack(node, parts) for parts in zip(*self.yielded, strict=True))]


def _written_out(round_: Round, trips: int, carried: Sequence[Operand]) -> Rounds | None:
    """Return all rounds, or None where a round decides at run time whether there is another."""
    rounds = Rounds(list(carried), [])
    for i in range(trips):
        going, *after = round_(constant(i, DType.INT64), rounds.carried)
        rounds.yielded.append(_flattened(after[len(carried) :]))
        rounds = Rounds(after[: len(carried)], rounds.yielded)
        if i == trips - 1:
            break
        if not isinstance(going, Value) or not going.is_constant:
            return None
        if not going.array.reshape(()):
            break
    return rounds


def _slice(node: Node, x: Value, i: Value) -> Value:
    if i.is_constant:
        return lower_through("Slice", lambda x: x[int(i.array)], node, x)
    return lower_through("Gather", lambda x: tfl.gather(x, i), node, x)


def _stack(node: Node, parts: Sequence[Value]) -> Value:
    if all(part.is_constant for part in parts):
        return tfl.pack(parts)
    return lower_through("ConcatFromSequence", lambda *each: tfl.pack(each), node, *parts)


def _nothing(node: Node, value: ir.Value) -> Value:
    """Return the result of a loop that runs no iteration."""
    if value.shape is None or value.dtype is None or not all(isinstance(size, int) for size in value.shape):
        raise node.unsupported(f"it has no rounds, and the shape of {value.name} in its body is not given")
    return tfl.full((0, *value.shape.numpy()), 0, dtype_of(value.dtype))


# --- WHILE -----------------------------------------------------------------------------------------------------------


def _while(node: Node, round_: Round, limit: Value | None, going: Value, start: Sequence[Value]) -> list[Value]:
    """Return a WHILE; what the rounds yield is written to values that are as long as the loop can become, or grow."""
    steady = _steady(node, round_, start)
    trips = int(limit.array.reshape(())) if limit is not None and limit.is_constant else None
    last_round = None if limit is None else _narrowed(scalar(limit))
    # LiteRT cannot let an empty value grow: the first element is cut off.
    rows = 1 if trips is None else trips
    made = [tfl.fill((rows, *shape), constant(0, dtype)) for dtype, shape in steady.yields]
    growing: list[Shape | None] = [(trips, *shape) for _, shape in steady.yields]

    def goes_on(i: Value, going: Value, *_: Value) -> Value:
        return going if last_round is None else tfl.logical_and(going, i < last_round)

    def step(i: Value, _: Value, *values: Value) -> list[Value]:
        carried, so_far = values[: len(start)], values[len(start) :]
        going, *after = _flattened(round_(tfl.cast(i, DType.INT64), carried))
        parts = [tfl.expand_dims(part, 0) for part in after[len(start) :]]
        if trips is None:
            longer = [tfl.concatenation([value, part], 0) for value, part in zip(so_far, parts, strict=True)]
        else:
            longer = [_write(value, part, i) for value, part in zip(so_far, parts, strict=True)]
        return [i + 1, scalar(going), *after[: len(start)], *longer]

    before = [constant(np.int32(0)), scalar(going), *start, *made]
    count, _, *values = tfl.while_(goes_on, step, before, [(), (), *steady.shapes, *growing])
    last, made = values[: len(start)], values[len(start) :]
    if trips is None or not (steady.is_endless and going.is_constant):
        # Not a slice: LiteRT cannot read an empty one.
        first = 1 if trips is None else 0
        made = [tfl.gather(value, tfl.range_(first, first + count)) for value in made]
    return [*last, *made]


def _narrowed(limit: Value) -> Value:
    """Return a number of rounds in INT32; a larger one, by which exporters say that there is none, as its largest."""
    return tfl.int32(tfl.minimum(limit, _INT32_MAX) if limit.dtype is DType.INT64 else limit)


def _write(value: Value, part: Value, start: Value) -> Value:
    """Return ``value`` with ``part`` from element ``start`` of the first axis on."""
    return tfl.dynamic_update_slice(value, part, tfl.pack([start, *[0] * (value.rank - 1)]))


@dataclass(frozen=True, slots=True)
class _Steady:
    """The facts that hold in all rounds of a loop.

    Attributes:
        shapes: of the carried values.
        yields: type and shape of what a round yields.
        is_endless: whether no round ends the loop.
    """

    shapes: list[Shape | None]
    yields: list[tuple[DType, tuple[int, ...]]]
    is_endless: bool


def _steady(node: Node, round_: Round, start: Sequence[Value]) -> _Steady:
    """Find what is the same in all iterations, by recording iterations that are thrown away."""
    shapes = [value.shape for value in start]
    for _ in range(_MAX_TRIALS):
        going, *after = _trial(round_, [(value.dtype, shape) for value, shape in zip(start, shapes, strict=True)])
        if [value.dtype for value in after[: len(start)]] != [value.dtype for value in start]:
            raise node.unsupported("a carried value changes its type from round to round")
        common = [tfl.common_shape(old, new.shape) for old, new in zip(shapes, after[: len(start)], strict=True)]
        if any(shape is None for shape in common):
            raise node.unsupported("a carried value changes its rank from round to round")
        if common == shapes:
            is_endless = going.is_constant and bool(going.array.reshape(()))
            return _Steady(shapes, [(value.dtype, value.sizes) for value in after[len(start) :]], is_endless)
        shapes = common
    raise node.unsupported("the shapes of the carried values differ in every round")


def _trial(round_: Round, kinds: Sequence[tuple[DType, Shape | None]]) -> list[Value]:
    """Return the results of an iteration on carried values of these types and shapes."""
    with tfl.recording(Graph()):
        carried = [Value(dtype, shape) for dtype, shape in kinds]
        return _flattened(round_(Value(DType.INT64, ()), carried))
