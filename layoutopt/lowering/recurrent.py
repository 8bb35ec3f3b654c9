"""LSTM, GRU and RNN: one product for the inputs of all steps, then the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.cells import Directions, activations_of, gru_step, lstm_step, rnn_step
from layoutopt.lowering.node import Node, lowers
from layoutopt.lowering.recurrence import CACHED_BYTES, Recurrence, Schedule, State, Step, sizes_of
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

_Make: TypeAlias = "Callable[[Directions], tuple[Value, Step]]"


@lowers("LSTM")
@lowers("LSTM", domain=DOMAIN)
def lstm(node: Node) -> list[Value]:
    """Lower LSTM."""
    return _recurrent(node, ("Sigmoid", "Tanh", "Tanh"), 2, lstm_step)


@lowers("GRU")
@lowers("GRU", domain=DOMAIN)
def gru(node: Node) -> list[Value]:
    """Lower GRU."""
    return _recurrent(node, ("Sigmoid", "Tanh"), 1, gru_step)


@lowers("RNN")
@lowers("RNN", domain=DOMAIN)
def rnn(node: Node) -> list[Value]:
    """Lower RNN."""
    return _recurrent(node, ("Tanh",), 1, rnn_step)


@dataclass(frozen=True, slots=True)
class _Storage:
    """The places of the axes of a node's operands and results; features come last.

    Attributes:
        time: axis of the input that is time, 0 or 1; the other one is the batch.
        output_time: likewise of the outputs of one direction.
        output_directions: axis of the outputs at which directions are stacked.
        state_directions: likewise of the states, 0 or 1.
        loops: the axes that are time in what loops read and write, the first one where the batch is one.
    """

    time: int
    output_time: int
    output_directions: int
    state_directions: int
    loops: tuple[int, int]

    @classmethod
    def of(cls, node: Node) -> _Storage:
        """Return that of a node of ONNX, or of the dialect, which says where axes are."""
        batch_first = node.integer("layout", 0) == 1
        time = 1 if batch_first else (node.ints("input_order") or (0, 1, 2)).index(0)
        order = (2, 0, 1, 3) if batch_first else node.ints("output_order") or (0, 1, 2, 3)
        steps, directions, batch = map(order.index, range(3))
        alone = node.x.sizes[1 - time] == 1 and not node.resizable
        output_time = int(steps > batch)
        return cls(time, output_time, directions, int(batch_first), (0, 0) if alone else (time, output_time))


def _recurrent(node: Node, defaults: Sequence[str], states: int, make: _Make) -> list[Value]:
    """Return all directions, stacked as ONNX has them: every step's hidden state, and the last states."""
    storage = _Storage.of(node)
    found: list[State] = []
    for numbers in _grouped(node, storage):
        directions = Directions(node, numbers, node[2].sizes[2], activations_of(node, defaults, numbers[0]))
        found.extend(_all_steps(directions, storage, states, *make(directions)))
    outputs, *last = zip(*found, strict=True)
    return [tfl.pack(outputs, storage.output_directions), *(tfl.pack(part, storage.state_directions) for part in last)]


def _grouped(node: Node, storage: _Storage) -> list[tuple[int, ...]]:
    """Return the directions of a node, those together that make their steps at once, which takes half the operators.

    These are alike, have constant weights that stay in the cache of a core, and one step of both is in one piece.
    """
    if node.text("direction", "forward") != "bidirectional":
        return [(0,)]
    names = node.attributes.get("activations") or []
    assert isinstance(names, list)
    alike = names[: len(names) // 2] == names[len(names) // 2 :] and not any(
        node.attributes.get(f"activation_{each}") for each in ("alpha", "beta")
    )
    cached = node[2].is_constant and node[2].size_in_bytes <= CACHED_BYTES
    return [(0, 1)] if alike and cached and storage.loops == (0, 0) and not node.resizable else [(0,), (1,)]


def _all_steps(directions: Directions, storage: _Storage, states: int, bias: Value, step: Step) -> list[State]:
    """Return what each direction gives: every step's hidden state, and the last states."""
    node, count, hidden = directions.node, len(directions.numbers), directions.hidden
    steps, batch = (node.x.sizes[axis] for axis in (storage.time, 1 - storage.time))
    lengths = _lengths(node, steps)
    biases = tfl.reshape(bias, (count, bias.sizes[-1]))
    inputs = [_input(node, number, biases[place], storage, lengths) for place, number in enumerate(directions.numbers)]
    axis, output_axis = storage.loops
    gates = _interleaved([tfl.reshape(each, sizes_of(axis, steps, batch, each.sizes[1])) for each in inputs])
    schedule = Schedule.of(
        steps,
        count * inputs[0].sizes[1] * hidden * 4,
        count * batch * (inputs[0].sizes[1] + hidden) * 4,
        share_bodies=node.share_bodies,
        resizable=node.resizable,
    )
    recurrence = Recurrence(gates, axis, output_axis, step, count, lengths)
    outputs, last = recurrence.run(_start(directions, storage, states, batch), schedule)
    outputs = tfl.reshape(outputs, (steps, count, batch, hidden)) if count > 1 else outputs
    found = []
    for place, number in enumerate(directions.numbers):
        part = outputs[:, place] if count > 1 else outputs
        part = tfl.reshape(part, sizes_of(storage.output_time, steps, batch, hidden))
        part = _reversed(part, lengths, storage.output_time) if _is_backwards(node, number) else part
        found.append((part, *(tfl.reshape(each, (count, batch, hidden))[place] for each in last)))
    return found


def _input(node: Node, number: int, bias: Value, storage: _Storage, lengths: Value | None) -> Value:
    """Return the product of all inputs of one direction, (steps * batch, gates), or batch before steps."""
    x, weights = node.x, node[1][number]
    given = _reversed(x, lengths, storage.time) if _is_backwards(node, number) else x
    return tfl.fully_connected(tfl.reshape(given, (x.sizes[0] * x.sizes[1], weights.sizes[1])), weights, bias)


def _interleaved(gates: Sequence[Value]) -> Value:
    """Return the parts of directions, (steps, batch, gates) each, step by step: (steps * directions, batch, gates)."""
    if len(gates) == 1:
        return gates[0]
    steps, *others = gates[0].sizes
    stacked = tfl.concatenation([tfl.reshape(each, (steps, 1, *others)) for each in gates], 1)
    return tfl.reshape(stacked, (steps * len(gates), *others))


def _is_backwards(node: Node, number: int) -> bool:
    """Return whether a direction of a node goes from the last step to the first."""
    return number == 1 or node.text("direction", "forward") == "reverse"


def _lengths(node: Node, steps: int) -> Value | None:
    """Return the length of each sequence of the batch; None if all have the full length."""
    lengths = node.optional(4)
    if lengths is None or (lengths.is_constant and (lengths.array == steps).all()):
        return None
    return tfl.int32(lengths)


def _reversed(x: Value, lengths: Value | None, axis: int) -> Value:
    """Return each sequence backwards; ``axis`` is time."""
    return tfl.reverse(x, [axis]) if lengths is None else tfl.reverse_sequence(x, lengths, axis, 1 - axis)


def _start(directions: Directions, storage: _Storage, states: int, batch: int) -> State:
    """Return the states before the first step, as loops carry them."""
    hidden = directions.hidden
    shape = sizes_of(storage.loops[0], len(directions.numbers), batch, hidden)
    found = []
    for index in (5, 6)[:states]:
        given = directions.node.optional(index)
        if given is None:
            found.append(tfl.full(shape, 0))
            continue
        parts = [given[:, number] if storage.state_directions else given[number] for number in directions.numbers]
        found.append(tfl.reshape(parts[0] if len(parts) == 1 else tfl.concatenation(parts, 0), shape))
    return tuple(found)
