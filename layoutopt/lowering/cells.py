"""One step of an LSTM, a GRU or an RNN, in few operators: each takes time, however little it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from layoutopt.lowering.node import Node, constant
from layoutopt.lowering.recurrence import State, Step
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

Activation: TypeAlias = "Callable[[Value], Value]"


@dataclass(frozen=True, slots=True)
class Directions:
    """One direction of a node, or both, which make their steps together.

    Attributes:
        node: the node.
        numbers: which of its directions.
        hidden: size of the state of each.
        activations: of their gates.
    """

    node: Node
    numbers: tuple[int, ...]
    hidden: int
    activations: Sequence[Activation]

    def part(self, index: int) -> Value | None:
        """Return their part of an operand: (elements) of one direction, (directions, 1, elements) of several."""
        operand = self.node.optional(index)
        if operand is None:
            return None
        if len(self.numbers) == 1:
            return operand[self.numbers[0]]
        return tfl.reshape(operand, (operand.sizes[0], 1, operand.sizes[1]))

    def biases(self, gates: int) -> tuple[Value, Value]:
        """Return those of the input and those of the state, as `part` does."""
        size = gates * self.hidden
        both = self.part(3)
        if both is None:
            shape = (size,) if len(self.numbers) == 1 else (len(self.numbers), 1, size)
            return (constant(np.zeros(shape, np.float32)),) * 2
        return both[..., :size], both[..., size:]

    def product(self, state: Value, gates: slice, bias: Value | None = None) -> Value:
        """Return what some gates get of the state.

        Args:
            state: (directions, batch, hidden), or (batch, 1, hidden) of one direction.
            gates: which of them.
            bias: to be added, of these gates, as `part` returns it.
        """
        rows = slice(gates.start * self.hidden, gates.stop * self.hidden)
        if len(self.numbers) == 1:
            return tfl.fully_connected(state, self.node[2][self.numbers[0]][rows], bias)
        product = tfl.batch_matmul(state, self.node[2].array[:, rows].transpose(0, 2, 1))
        return product if bias is None else product + bias

    def clipped(self, gates: Value) -> Value:
        """Return gates as their activations get them."""
        limit = self.node.number("clip", 0.0)
        return _clip(gates, -limit, limit) if limit else gates


def lstm_step(directions: Directions) -> tuple[Value, Step]:
    """Return the bias of the inputs and a step of an LSTM, whose gates are in the order input, output, forget, cell."""
    if directions.node.optional(7) is not None:
        return _peephole_step(directions)
    bias, state_bias = directions.biases(4)
    hidden, clipped = directions.hidden, directions.clipped
    gate, content, shown = directions.activations
    coupled = directions.node.integer("input_forget", 0) == 1

    def step(given: Value, state: State) -> State:
        h, cell = state
        gates = clipped(given + directions.product(h, slice(0, 4)))
        enter, leave, keep = tfl.split(gate(gates[..., : 3 * hidden]), 3, -1)
        keep = 1 - enter if coupled else keep
        cell = keep * cell + enter * content(gates[..., 3 * hidden :])
        return leave * shown(cell), cell

    return bias + state_bias, step


def _peephole_step(directions: Directions) -> tuple[Value, Step]:
    """Return bias and step of an LSTM whose gates see the cell: the output gate that after the step."""
    bias, state_bias = directions.biases(4)
    clipped = directions.clipped
    gate, content, shown = directions.activations
    coupled = directions.node.integer("input_forget", 0) == 1
    peepholes = directions.part(7)
    assert peepholes is not None, "as the caller found"
    to_input, to_output, to_forget = tfl.split(peepholes, 3, -1)

    def step(given: Value, state: State) -> State:
        h, cell = state
        enter, leave, keep, new = tfl.split(given + directions.product(h, slice(0, 4)), 4, -1)
        enter = gate(clipped(enter + cell * to_input))
        keep = 1 - enter if coupled else gate(clipped(keep + cell * to_forget))
        cell = keep * cell + enter * content(clipped(new))
        return gate(clipped(leave + cell * to_output)) * shown(cell), cell

    return bias + state_bias, step


def gru_step(directions: Directions) -> tuple[Value, Step]:
    """Return the bias of the inputs and a step of a GRU, whose gates are in the order update, reset, hidden."""
    bias, state_bias = directions.biases(3)
    hidden, clipped = directions.hidden, directions.clipped
    gate, content = directions.activations
    last = directions.node.integer("linear_before_reset", 0) == 1

    def step(given: Value, state: State) -> State:
        (h,) = state
        if last:
            seen = directions.product(h, slice(0, 3), state_bias)
            gates, candidate = seen[..., : 2 * hidden], seen[..., 2 * hidden :]
        else:
            gates, candidate = directions.product(h, slice(0, 2)), None
        update, reset = tfl.split(gate(clipped(given[..., : 2 * hidden] + gates)), 2, -1)
        seen = directions.product(reset * h, slice(2, 3)) if candidate is None else reset * candidate
        new = content(clipped(given[..., 2 * hidden :] + seen))
        return (new + update * (h - new),)

    return (bias if last else bias + state_bias), step


def rnn_step(directions: Directions) -> tuple[Value, Step]:
    """Return the bias of the inputs and a step of an RNN, which has one gate."""
    bias, state_bias = directions.biases(1)
    (activation,) = directions.activations

    def step(given: Value, state: State) -> State:
        return (activation(directions.clipped(given + directions.product(state[0], slice(0, 1)))),)

    return bias + state_bias, step


# --- activations ---------------------------------------------------------------------------------------------------


def _clip(x: Value, low: float, high: float) -> Value:
    return tfl.minimum(tfl.maximum(x, low), high)


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


def activations_of(node: Node, defaults: Sequence[str], direction: int) -> list[Activation]:
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
