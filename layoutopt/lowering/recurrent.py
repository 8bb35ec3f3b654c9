"""LSTM, GRU and RNN: one product for the inputs of all steps, then the steps, in a WHILE where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from layoutopt.lowering.node import Node, constant, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

State: TypeAlias = "tuple[Value, ...]"
"""The values that go from step to step, (batch, hidden) each: the hidden state, and an LSTM's cell."""
Step: TypeAlias = "Callable[[Value, State], State]"
"""From a step's input, as much of the gates as does not depend on the state, and the state before to that after."""
Activation: TypeAlias = "Callable[[Value], Value]"

_MAX_UNROLLED = 8  # steps that are written out; XNNPACK packs the weights again for each
_STEPS_PER_ROUND = 4  # of a WHILE, which copies all that it reads in every round


@lowers("LSTM")
def lstm(node: Node) -> list[Value]:
    """Lower LSTM, whose gates are in the order input, output, forget, cell."""
    return _recurrent(node, ("Sigmoid", "Tanh", "Tanh"), 2, _lstm_step)


@lowers("GRU")
def gru(node: Node) -> list[Value]:
    """Lower GRU, whose gates are in the order update, reset, hidden."""
    return _recurrent(node, ("Sigmoid", "Tanh"), 1, _gru_step)


@lowers("RNN")
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
    batch_first = node.integer("layout", 0) == 1
    x = tfl.transpose(node.x, (1, 0, 2)) if batch_first else node.x
    steps, batch, features = x.sizes
    way, hidden = node.text("direction", "forward"), node[2].sizes[2]
    lengths = _lengths(node, steps)
    found = []
    for number in range(2 if way == "bidirectional" else 1):
        direction = Direction(node, number, hidden, _activations(node, defaults, number))
        bias, step = make(direction)
        backwards = way == "reverse" or number == 1
        given = _reversed(x, lengths) if backwards else x
        weights = node[1][number]
        gates = tfl.fully_connected(tfl.reshape(given, (steps * batch, features)), weights, bias)
        start = _start(direction, states, batch, batch_first)
        gates = tfl.reshape(gates, (steps, batch, weights.sizes[0]))
        outputs, last = _run(gates, start, step, lengths, 1 if node.resizable else _STEPS_PER_ROUND)
        found.append((_reversed(outputs, lengths) if backwards else outputs, *last))
    results = [tfl.pack(part, axis) for part, axis in zip(zip(*found, strict=True), (1, 0, 0), strict=False)]
    if not batch_first:
        return results
    return [tfl.transpose(results[0], (2, 0, 1, 3)), *(tfl.transpose(state, (1, 0, 2)) for state in results[1:])]


def _lengths(node: Node, steps: int) -> Value | None:
    """Return the length of each sequence of the batch; None if all have the full length."""
    lengths = node.optional(4)
    if lengths is None or (lengths.is_constant and (lengths.array == steps).all()):
        return None
    return tfl.int32(lengths)


def _reversed(x: Value, lengths: Value | None) -> Value:
    """Return each sequence backwards."""
    return tfl.reverse(x, [0]) if lengths is None else tfl.reverse_sequence(x, lengths, 0, 1)


def _start(direction: Direction, states: int, batch: int, batch_first: bool) -> State:
    """Return the states before the first step."""
    found = []
    for index in (5, 6)[:states]:
        given = direction.node.optional(index)
        if given is None:
            found.append(tfl.full((batch, direction.hidden), 0))
        else:
            found.append(given[:, direction.number] if batch_first else given[direction.number])
    return tuple(found)


def _run(gates: Value, state: State, step: Step, lengths: Value | None, steps_per_round: int) -> tuple[Value, State]:
    """Return all steps.

    Args:
        gates: the input of each step, (steps, batch, gates).
        state: before the first step.
        step: makes one step.
        lengths: of the sequences; beyond them the state stays and the output is zero.
        steps_per_round: of a WHILE; with 1 no steps are left over, however many there are.

    Returns:
        The hidden state after each step, (steps, batch, hidden), and the last state.
    """
    steps, batch, width = gates.sizes
    rounds = 0 if steps <= _MAX_UNROLLED else steps // steps_per_round
    done = rounds * steps_per_round
    parts = []
    if rounds:
        whole = tfl.reshape(gates[:done], (rounds, steps_per_round, batch, width))

        def go(i: Value, outputs: Value, *state: Value) -> Sequence[Value]:
            made, after = _several(tfl.gather(whole, i), state, step, lengths, i * steps_per_round)
            starts = tfl.pack([i * steps_per_round, *[0] * (outputs.rank - 1)])
            return [i + 1, tfl.dynamic_update_slice(outputs, made, starts), *after]

        before = [constant(np.int32(0)), tfl.fill((done, *state[0].sizes), 0.0), *state]
        _, outputs, *last = tfl.while_(lambda i, *_: i < rounds, go, before)
        parts.append(outputs)
        state = tuple(last)
    if done < steps:
        made, state = _several(gates[done:], state, step, lengths, constant(np.int32(done)))
        parts.append(made)
    return tfl.concatenation(parts, 0), state


def _several(gates: Value, state: State, step: Step, lengths: Value | None, first: Value) -> tuple[Value, State]:
    """Return a few steps, written out; ``first`` is the number of the first of them."""
    outputs = []
    for number, gate in enumerate(tfl.unpack(gates)):
        after = step(gate, state)
        if lengths is None:
            outputs.append(after[0])
        else:
            within = tfl.expand_dims(first + number < lengths, 1)
            outputs.append(tfl.select_v2(within, after[0], 0.0))
            after = tuple(tfl.select_v2(within, new, old) for new, old in zip(after, state, strict=True))
        state = after
    return tfl.pack(outputs), state


# --- one step ------------------------------------------------------------------------------------------------------


def _lstm_step(direction: Direction) -> tuple[Value, Step]:
    bias, state_bias = direction.biases(4)
    weights, peepholes = direction.recurrent_weights, direction.part(7)
    hidden, clipped = direction.hidden, direction.clipped
    gate, content, shown = direction.activations
    coupled = direction.node.integer("input_forget", 0) == 1
    to_input, to_output, to_forget = (None,) * 3 if peepholes is None else tfl.split(peepholes, 3, 0)

    def seeing(part: Value, cell: Value, peephole: Value | None) -> Value:
        return part if peephole is None else part + cell * peephole

    def step(given: Value, state: State) -> State:
        h, cell = state
        together = given + tfl.fully_connected(h, weights)
        if peepholes is None and not coupled:
            gates, new = tfl.split_v(together, [3 * hidden, hidden], 1)
            enter, leave, keep = tfl.split(gate(clipped(gates)), 3, 1)
        else:
            enter, leave, keep, new = tfl.split(together, 4, 1)
            enter = gate(clipped(seeing(enter, cell, to_input)))
            keep = 1 - enter if coupled else gate(clipped(seeing(keep, cell, to_forget)))
        cell = keep * cell + enter * content(clipped(new))
        if peepholes is not None or coupled:
            leave = gate(clipped(seeing(leave, cell, to_output)))
        return leave * shown(cell), cell

    return bias + state_bias, step


def _gru_step(direction: Direction) -> tuple[Value, Step]:
    bias, state_bias = direction.biases(3)
    hidden, clipped = direction.hidden, direction.clipped
    weights, (gate, content) = direction.recurrent_weights, direction.activations
    last = direction.node.integer("linear_before_reset", 0) == 1
    gate_weights, new_weights = weights[: 2 * hidden], weights[2 * hidden :]

    def step(given: Value, state: State) -> State:
        (h,) = state
        gates, new = tfl.split_v(given, [2 * hidden, hidden], 1)
        if last:
            seen, candidate = tfl.split_v(tfl.fully_connected(h, weights, state_bias), [2 * hidden, hidden], 1)
            update, reset = tfl.split(gate(clipped(gates + seen)), 2, 1)
            new = new + reset * candidate
        else:
            seen = tfl.fully_connected(h, gate_weights)
            update, reset = tfl.split(gate(clipped(gates + seen)), 2, 1)
            new = new + tfl.fully_connected(reset * h, new_weights)
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
