"""LSTM, GRU and RNN: one product for the inputs of all steps, then the steps, in a WHILE where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.indexing import to_int32
from layoutopt.backend.onnx_tf.handlers.loops import written_at
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped, shape_of

State: TypeAlias = "tuple[Operand, ...]"
"""What goes from step to step, (batch, hidden) each: the hidden state, and an LSTM's cell."""
Step: TypeAlias = "Callable[[Operand, State], State]"
"""From a step's input, as much of the gates as does not depend on the state, and the state before to that after."""
Activation: TypeAlias = "Callable[[Operand], Operand]"

_UNROLLED = 8  # steps that are written out; XNNPACK packs the weights anew for each
_AT_ONCE = 4  # steps in one round of a WHILE, which copies all that it reads in every round


@handles("LSTM")
def lstm(node: Node) -> list[Operand]:
    """Gates in the order input, output, forget, cell."""
    return _recurrent(node, ("Sigmoid", "Tanh", "Tanh"), 2, _lstm_step)


@handles("GRU")
def gru(node: Node) -> list[Operand]:
    """Gates in the order update, reset, hidden."""
    return _recurrent(node, ("Sigmoid", "Tanh"), 1, _gru_step)


@handles("RNN")
def rnn(node: Node) -> list[Operand]:
    """One gate."""
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

    def part(self, index: int) -> Operand | None:
        """This direction's part of operand ``index``."""
        operand = self.node.optional(index)
        return None if operand is None else operand[self.number]

    def clipped(self, gate: Operand) -> Operand:
        """A gate before its activation."""
        limit = self.node.number("clip", 0.0)
        return tf.clip_by_value(gate, -limit, limit) if limit else gate

    def biases(self, gates: int) -> tuple[Operand, Operand]:
        """Those of the input and those of the state."""
        size = gates * self.hidden
        both = self.part(3)
        return (np.zeros(size, np.float32),) * 2 if both is None else (both[:size], both[size:])


def _recurrent(
    node: Node, defaults: Sequence[str], states: int, make: Callable[[Direction], tuple[Operand, Step]]
) -> list[Operand]:
    """All directions, stacked as ONNX has them: every step's hidden state, and the last states."""
    batch_first = node.integer("layout", 0) == 1
    x = permuted(node.x, (1, 0, 2)) if batch_first else node.x
    steps, batch, features = shape_of(x)
    way, hidden = node.text("direction", "forward"), shape_of(node[2])[2]
    lengths = _lengths(node, steps)
    found = []
    for number in range(2 if way == "bidirectional" else 1):
        direction = Direction(node, number, hidden, _activations(node, defaults, number))
        bias, step = make(direction)
        backwards = way == "reverse" or number == 1
        given = _turned(x, lengths) if backwards else x
        weights = node[1][number]
        gates = tf.matmul(reshaped(given, (steps * batch, features)), weights, transpose_b=True) + bias
        start = _start(direction, states, batch, batch_first)
        outputs, last = _run(reshaped(gates, (steps, batch, shape_of(weights)[0])), start, step, lengths)
        found.append((_turned(outputs, lengths) if backwards else outputs, *last))
    results = [tf.stack(part, axis) for part, axis in zip(zip(*found, strict=True), (1, 0, 0), strict=False)]
    if not batch_first:
        return results
    return [tf.transpose(results[0], [2, 0, 1, 3]), *(tf.transpose(state, [1, 0, 2]) for state in results[1:])]


def _lengths(node: Node, steps: int) -> Operand | None:
    """How long each sequence of the batch is; None where all are whole."""
    lengths = node.optional(4)
    if isinstance(lengths, np.ndarray) and (lengths == steps).all():
        return None
    return None if lengths is None else to_int32(lengths)


def _turned(x: Operand, lengths: Operand | None) -> Operand:
    """Each sequence backwards."""
    return tf.reverse(x, [0]) if lengths is None else tf.reverse_sequence(x, lengths, 0, 1)


def _start(direction: Direction, states: int, batch: int, batch_first: bool) -> State:
    """The states before the first step."""
    found = []
    for index in (5, 6)[:states]:
        given = direction.node.optional(index)
        if given is None:
            found.append(np.zeros((batch, direction.hidden), np.float32))
        else:
            found.append(given[:, direction.number] if batch_first else given[direction.number])
    return tuple(found)


def _run(gates: Operand, state: State, step: Step, lengths: Operand | None) -> tuple[Operand, State]:
    """All steps.

    Args:
        gates: the input of each step, (steps, batch, gates).
        state: before the first step.
        step: makes one step.
        lengths: of the sequences; beyond them the state stays and the output is zero.

    Returns:
        The hidden state after each step, (steps, batch, hidden), and the last state.
    """
    steps, batch, width = shape_of(gates)
    rounds = 0 if steps <= _UNROLLED else steps // _AT_ONCE
    done = rounds * _AT_ONCE
    parts = []
    if rounds:
        looped = gates if done == steps else gates[:done]
        whole = tf.reshape(looped, [rounds, _AT_ONCE, batch, width])

        def go(i: Operand, outputs: Operand, *state: Operand) -> tuple[Operand, ...]:
            made, state = _some(tf.gather(whole, i), state, step, lengths, i * _AT_ONCE)
            return i + 1, written_at(outputs, made, i * _AT_ONCE), *state

        outputs = tf.zeros([done, *shape_of(state[0])])
        _, outputs, *state = tf.while_loop(lambda i, *_: i < rounds, go, (np.int32(0), outputs, *state))
        parts.append(outputs)
    if done < steps:
        made, state = _some(gates[done:] if done else gates, tuple(state), step, lengths, np.int32(done))
        parts.append(made)
    return parts[0] if len(parts) == 1 else tf.concat(parts, 0), tuple(state)


def _some(gates: Operand, state: State, step: Step, lengths: Operand | None, first: Operand) -> tuple[Operand, State]:
    """A few steps, written out; ``first`` is the number of the first of them."""
    outputs = []
    for number, gate in enumerate(tf.unstack(gates)):
        after = step(gate, state)
        if lengths is None:
            outputs.append(after[0])
        else:
            within = tf.expand_dims(first + number < lengths, 1)
            outputs.append(tf.where(within, after[0], np.float32(0)))
            after = tuple(tf.where(within, new, old) for new, old in zip(after, state, strict=True))
        state = after
    return tf.stack(outputs), state


# --- one step ------------------------------------------------------------------------------------------------------


def _lstm_step(direction: Direction) -> tuple[Operand, Step]:
    bias, state_bias = direction.biases(4)
    weights, peepholes = direction.part(2), direction.part(7)
    hidden, clipped = direction.hidden, direction.clipped
    gate, content, shown = direction.activations
    coupled = direction.node.integer("input_forget", 0) == 1
    to_input, to_output, to_forget = (None,) * 3 if peepholes is None else tf.split(peepholes, 3)

    def seeing(part: Operand, cell: Operand, peephole: Operand | None) -> Operand:
        return part if peephole is None else part + cell * peephole

    def step(given: Operand, state: State) -> State:
        h, cell = state
        together = given + tf.matmul(h, weights, transpose_b=True)
        if peepholes is None and not coupled:
            gates, new = tf.split(together, [3 * hidden, hidden], 1)
            enter, leave, keep = tf.split(gate(clipped(gates)), 3, 1)
        else:
            enter, leave, keep, new = tf.split(together, 4, 1)
            enter = gate(clipped(seeing(enter, cell, to_input)))
            keep = 1 - enter if coupled else gate(clipped(seeing(keep, cell, to_forget)))
        cell = keep * cell + enter * content(clipped(new))
        if peepholes is not None or coupled:
            leave = gate(clipped(seeing(leave, cell, to_output)))
        return leave * shown(cell), cell

    return bias + state_bias, step


def _gru_step(direction: Direction) -> tuple[Operand, Step]:
    bias, state_bias = direction.biases(3)
    hidden, clipped = direction.hidden, direction.clipped
    weights, (gate, content) = direction.node[2][direction.number], direction.activations
    last = direction.node.integer("linear_before_reset", 0) == 1
    gate_weights, new_weights = weights[: 2 * hidden], weights[2 * hidden :]

    def step(given: Operand, state: State) -> State:
        (h,) = state
        if last:
            gates, new = tf.split(given, [2 * hidden, hidden], 1)
            seen, candidate = tf.split(tf.matmul(h, weights, transpose_b=True) + state_bias, [2 * hidden, hidden], 1)
            update, reset = tf.split(gate(clipped(gates + seen)), 2, 1)
            new = new + reset * candidate
        else:
            gates, new = tf.split(given, [2 * hidden, hidden], 1)
            seen = tf.matmul(h, gate_weights, transpose_b=True)
            update, reset = tf.split(gate(clipped(gates + seen)), 2, 1)
            new = new + tf.matmul(reset * h, new_weights, transpose_b=True)
        new = content(clipped(new))
        return (new + update * (h - new),)

    return (bias if last else bias + state_bias), step


def _rnn_step(direction: Direction) -> tuple[Operand, Step]:
    bias, state_bias = direction.biases(1)
    weights, (activation,) = direction.part(2), direction.activations

    def step(given: Operand, state: State) -> State:
        return (activation(direction.clipped(given + tf.matmul(state[0], weights, transpose_b=True))),)

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
"""What the activations that take alpha, or alpha and beta, take unless the node says otherwise."""

_ACTIVATIONS: Mapping[str, Callable[..., Operand]] = {
    "Affine": lambda x, alpha, beta: x * alpha + beta,
    "Elu": lambda x, alpha: tf.where(x < 0, alpha * (tf.exp(tf.minimum(x, 0)) - 1), x),
    "HardSigmoid": lambda x, alpha, beta: tf.clip_by_value(x * alpha + beta, 0.0, 1.0),
    "LeakyRelu": lambda x, alpha: tf.nn.leaky_relu(x, alpha),
    "Relu": tf.nn.relu,
    "ScaledTanh": lambda x, alpha, beta: alpha * tf.tanh(beta * x),
    "Sigmoid": tf.sigmoid,
    "Softplus": lambda x: tf.maximum(x, 0) + tf.math.log(1 + tf.exp(-tf.abs(x))),
    "Softsign": lambda x: x / (1 + tf.abs(x)),
    "Tanh": tf.tanh,
    "ThresholdedRelu": lambda x, alpha: tf.where(x > alpha, x, np.float32(0)),
}


def _activations(node: Node, defaults: Sequence[str], direction: int) -> list[Activation]:
    """Those of one direction; alphas and betas go in order to the activations that take them."""
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
