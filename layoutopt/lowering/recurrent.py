"""LSTM, GRU and RNN: one product for the inputs of all steps, then the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.node import Node, constant, lowers
from layoutopt.lowering.recurrence import Recurrence, Schedule, State, Step
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

Activation: TypeAlias = "Callable[[Value], Value]"


@lowers("LSTM")
@lowers("LSTM", domain=DOMAIN)
def lstm(node: Node) -> list[Value]:
    """Lower LSTM, whose gates are in the order input, output, forget, cell."""
    return _recurrent(node, ("Sigmoid", "Tanh", "Tanh"), 2, _lstm_step)


@lowers("GRU")
@lowers("GRU", domain=DOMAIN)
def gru(node: Node) -> list[Value]:
    """Lower GRU, whose gates are in the order update, reset, hidden."""
    return _recurrent(node, ("Sigmoid", "Tanh"), 1, _gru_step)


@lowers("RNN")
@lowers("RNN", domain=DOMAIN)
def rnn(node: Node) -> list[Value]:
    """Lower RNN, which has one gate."""
    return _recurrent(node, ("Tanh",), 1, _rnn_step)


# --- all steps of a direction --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a node.

    Attributes:
        node: the node.
        number: which direction of it.
        hidden: size of the state.
        activations: of its gates.
    """

    node: Node
    number: int
    hidden: int
    activations: Sequence[Activation]

    def part(self, index: int) -> Value | None:
        """Return this direction's part of operand ``index``."""
        operand = self.node.optional(index)
        return None if operand is None else operand[self.number]

    @property
    def recurrent_weights(self) -> Value:
        """Return those by which the state is multiplied, (gates, hidden)."""
        return self.node[2][self.number]

    def clipped(self, gate: Value) -> Value:
        """Return a gate as its activation gets it."""
        limit = self.node.number("clip", 0.0)
        return _clip(gate, -limit, limit) if limit else gate

    def biases(self, gates: int) -> tuple[Value, Value]:
        """Return those of the input and those of the state."""
        size = gates * self.hidden
        both = self.part(3)
        return (constant(np.zeros(size, np.float32)),) * 2 if both is None else (both[:size], both[size:])


def _clip(x: Value, low: float, high: float) -> Value:
    return tfl.minimum(tfl.maximum(x, low), high)


def _recurrent(
    node: Node, defaults: Sequence[str], states: int, make: Callable[[Direction], tuple[Value, Step]]
) -> list[Value]:
    """Return all directions, stacked as ONNX has them: every step's hidden state, and the last states."""
    storage = _Storage.of(node)
    lengths = _lengths(node, node.x.sizes[storage.time])
    found = []
    for number in range(2 if node.text("direction", "forward") == "bidirectional" else 1):
        direction = Direction(node, number, node[2].sizes[2], _activations(node, defaults, number))
        found.append(_direction(direction, storage, states, lengths, *make(direction)))
    outputs, *last = zip(*found, strict=True)
    return [tfl.pack(outputs, storage.output_directions), *(tfl.pack(part, storage.state_directions) for part in last)]


@dataclass(frozen=True, slots=True)
class _Storage:
    """The places of the axes of a node's operands and results; features come last.

    Attributes:
        time: axis of the input that is time, 0 or 1; the other one is the batch.
        output_time: likewise of the outputs of one direction.
        output_directions: axis of the outputs at which directions are stacked.
        state_directions: likewise of the states, 0 or 1.
    """

    time: int
    output_time: int
    output_directions: int
    state_directions: int

    @classmethod
    def of(cls, node: Node) -> _Storage:
        """Return that of a node of ONNX, or of the dialect, which says where axes are."""
        if node.integer("layout", 0) == 1:
            return cls(1, 1, 2, 1)
        time = (node.ints("input_order") or (0, 1, 2)).index(0)
        steps, directions, batch = map((node.ints("output_order") or (0, 1, 2, 3)).index, range(3))
        return cls(time, int(steps > batch), directions, 0)


def _direction(
    direction: Direction, storage: _Storage, states: int, lengths: Value | None, bias: Value, step: Step
) -> State:
    """Return what one direction gives: every step's hidden state, and the last states."""
    node = direction.node
    backwards = node.text("direction", "forward") == "reverse" or direction.number == 1
    x, weights = node.x, node[1][direction.number]
    axis, (width, features) = storage.time, weights.sizes
    given = _reversed(x, lengths, axis) if backwards else x
    gates = tfl.fully_connected(tfl.reshape(given, (x.sizes[0] * x.sizes[1], features)), weights, bias)
    gates = tfl.reshape(gates, (*x.sizes[:2], width))
    start = _start(direction, states, x.sizes[1 - axis], storage.state_directions)
    schedule = Schedule.of(
        x.sizes[axis],
        direction.recurrent_weights.size_in_bytes,
        x.sizes[1 - axis] * (width + direction.hidden) * 4,
        share_bodies=node.share_bodies,
        resizable=node.resizable,
    )
    recurrence = Recurrence(gates, axis, storage.output_time, step, lengths)
    outputs, last = recurrence.run(start, schedule)
    return _reversed(outputs, lengths, storage.output_time) if backwards else outputs, *last


def _lengths(node: Node, steps: int) -> Value | None:
    """Return the length of each sequence of the batch; None if all have the full length."""
    lengths = node.optional(4)
    if lengths is None or (lengths.is_constant and (lengths.array == steps).all()):
        return None
    return tfl.int32(lengths)


def _reversed(x: Value, lengths: Value | None, axis: int) -> Value:
    """Return each sequence backwards; ``axis`` is time."""
    return tfl.reverse(x, [axis]) if lengths is None else tfl.reverse_sequence(x, lengths, axis, 1 - axis)


def _start(direction: Direction, states: int, batch: int, axis: int) -> State:
    """Return the states before the first step; ``axis`` is where those of the directions are stacked."""
    found = []
    for index in (5, 6)[:states]:
        given = direction.node.optional(index)
        if given is None:
            found.append(tfl.full((batch, direction.hidden), 0))
        else:
            found.append(given[:, direction.number] if axis else given[direction.number])
    return tuple(found)


# --- one step ------------------------------------------------------------------------------------------------------


def _lstm_step(direction: Direction) -> tuple[Value, Step]:
    bias, state_bias = direction.biases(4)
    weights, peepholes = direction.recurrent_weights, direction.part(7)
    clipped = direction.clipped
    gate, content, shown = direction.activations
    coupled = direction.node.integer("input_forget", 0) == 1
    to_input, to_output, to_forget = (None,) * 3 if peepholes is None else tfl.split(peepholes, 3, 0)

    def seeing(part: Value, cell: Value, peephole: Value | None) -> Value:
        return part if peephole is None else part + cell * peephole

    def step(given: Value, state: State) -> State:
        h, cell = state
        enter, leave, keep, new = tfl.split(given + tfl.fully_connected(h, weights), 4, 1)
        enter = gate(clipped(seeing(enter, cell, to_input)))
        keep = 1 - enter if coupled else gate(clipped(seeing(keep, cell, to_forget)))
        cell = keep * cell + enter * content(clipped(new))
        return gate(clipped(seeing(leave, cell, to_output))) * shown(cell), cell

    return bias + state_bias, step


def _gru_step(direction: Direction) -> tuple[Value, Step]:
    bias, state_bias = direction.biases(3)
    hidden, clipped = direction.hidden, direction.clipped
    weights, (gate, content) = direction.recurrent_weights, direction.activations
    last = direction.node.integer("linear_before_reset", 0) == 1
    gate_weights, new_weights = weights[: 2 * hidden], weights[2 * hidden :]

    def step(given: Value, state: State) -> State:
        (h,) = state
        update, reset, new = tfl.split(given, 3, 1)
        if last:
            *seen, candidate = tfl.split(tfl.fully_connected(h, weights, state_bias), 3, 1)
        else:
            seen, candidate = tfl.split(tfl.fully_connected(h, gate_weights), 2, 1), None
        update, reset = (gate(clipped(each + part)) for each, part in zip((update, reset), seen, strict=True))
        new = new + (tfl.fully_connected(reset * h, new_weights) if candidate is None else reset * candidate)
        new = content(clipped(new))
        return (new + update * (h - new),)

    return (bias if last else bias + state_bias), step


def _rnn_step(direction: Direction) -> tuple[Value, Step]:
    bias, state_bias = direction.biases(1)
    weights, (activation,) = direction.recurrent_weights, direction.activations

    def step(given: Value, state: State) -> State:
        return (activation(direction.clipped(given + tfl.fully_connected(state[0], weights))),)

    return bias + state_bias, step


# --- activations ---------------------------------------------------------------------------------------------------

_ALPHA_BETA: Mapping[str, tuple[float, ...]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "ScaledTanh": (1.0, 1.0),
    "ThresholdedRelu": (1.0,),
}
"""The defaults of the activations that take alpha, or alpha and beta."""

_ACTIVATIONS: Mapping[str, Callable[..., Value]] = {
    "Affine": lambda x, alpha, beta: x * alpha + beta,
    "Elu": lambda x, alpha: tfl.select_v2(x < 0, alpha * (tfl.exp(tfl.minimum(x, 0)) - 1), x),
    "HardSigmoid": lambda x, alpha, beta: _clip(x * alpha + beta, 0.0, 1.0),
    "LeakyRelu": tfl.leaky_relu,
    "Relu": tfl.relu,
    "ScaledTanh": lambda x, alpha, beta: alpha * tfl.tanh(beta * x),
    "Sigmoid": tfl.logistic,
    "Softplus": lambda x: tfl.maximum(x, 0) + tfl.log(1 + tfl.exp(-tfl.abs_(x))),
    "Softsign": lambda x: x / (1 + tfl.abs_(x)),
    "Tanh": tfl.tanh,
    "ThresholdedRelu": lambda x, alpha: tfl.select_v2(x > alpha, x, 0.0),
}


def _activations(node: Node, defaults: Sequence[str], direction: int) -> list[Activation]:
    """Return those of one direction; alphas and betas go in order to the activations that take them."""
    named = node.attributes.get("activations")
    assert named is None or isinstance(named, list)
    names = {name.lower(): name for name in _ACTIVATIONS}
    if unknown := [name for name in named or () if name.lower() not in names]:
        raise node.unsupported(f"unknown activations: {', '.join(unknown)}")
    alphas, betas = (iter(_numbers(node, name)) for name in ("activation_alpha", "activation_beta"))
    made = [_activation(names[name.lower()], alphas, betas) for name in named or defaults]
    return made[direction * len(defaults) :][: len(defaults)] if named else made


def _numbers(node: Node, name: str) -> Sequence[float]:
    numbers = node.attributes.get(name, ())
    assert isinstance(numbers, (list, tuple))
    return numbers


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    arguments = [
        next(given, default) for given, default in zip((alphas, betas), _ALPHA_BETA.get(name, ()), strict=False)
    ]
    function = _ACTIVATIONS[name]
    return lambda x: function(x, *arguments)
