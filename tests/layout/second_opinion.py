"""A search for layouts that shares nothing with the product: small graphs, and all orders of their modes.

Each axis of a tensor is a product of modes, and a Reshape joins or parts axes between modes. A state of a tensor is an
order of its modes. What an operator of the target makes of operands in some states is computed by ONNX Runtime; where
the numbers are those of the result in another state, the operator can run so. The search then looks for states that
copy fewer bytes than somebody claims to be the least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

Array: TypeAlias = "npt.NDArray[Any]"
Mode: TypeAlias = "tuple[int, int]"
"""A number that no other mode has, and a size."""
Axes: TypeAlias = "tuple[tuple[Mode, ...], ...]"
State: TypeAlias = "tuple[Mode, ...]"

MAX_MODES = 4
BYTES = 4


def run_model(nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Array], output: str, **weights: Array) -> Array:
    """Return what ONNX Runtime computes."""
    makers = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, each.shape) for name, each in inputs.items()]
    result = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(each, name) for name, each in weights.items()]
    graph = helper.make_graph(nodes, "g", makers, [result], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, dict(inputs))
    return np.asarray(found)


def one(operator: str, *arrays: Array, constant: Array | None = None, **attributes: Any) -> Array:
    """Return what one operator computes; ``constant`` is its last operand."""
    names = [f"i{index}" for index in range(len(arrays))]
    weights = {} if constant is None else {"k": constant}
    node = helper.make_node(operator, [*names, *weights], ["y"], **attributes)
    return run_model([node], dict(zip(names, arrays, strict=True)), "y", **weights)


def sizes(axes: Axes) -> list[int]:
    return [prod(size for _, size in axis) for axis in axes]


def modes(axes: Axes) -> State:
    return tuple(mode for axis in axes for mode in axis)


def stored(array: Array, axes: Axes, state: State) -> Array:
    """A tensor as its modes lie in memory."""
    natural = modes(axes)
    return array.reshape([size for _, size in natural]).transpose([natural.index(mode) for mode in state])


Variant: TypeAlias = "tuple[tuple[State, ...], State]"
"""The states of what a node reads, and that of what it writes."""


Attempts: TypeAlias = "Callable[[Sequence[Array], Sequence[State]], Iterator[Array]]"


@dataclass
class Step:
    """A node of a graph.

    Attributes:
        node: in ONNX.
        reads: names of the tensors that it reads, without constants.
        attempts: makes, of the operands in some states and of these states, what the target would compute of them.
        candidates: the states to try.
    """

    node: onnx.NodeProto
    reads: tuple[str, ...]
    attempts: Attempts
    candidates: Callable[[], Iterator[tuple[State, ...]]]

    @property
    def writes(self) -> str:
        return str(self.node.output[0])


@dataclass
class Drawing:
    """A graph that is being drawn."""

    rng: np.random.Generator
    axes: dict[str, Axes] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def mode(self, size: int) -> Mode:
        self.count += 1
        return self.count, size

    def add_input(self, axes: Axes) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.axes[name] = axes
        self.arrays[name] = self.rng.standard_normal(sizes(axes)).astype(np.float32)
        return name

    def weight(self, array: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = array
        return name

    def add(
        self,
        operator: str,
        reads: Sequence[str],
        constants: Sequence[Array],
        gives: Axes,
        attempts: Attempts,
        candidates: Callable[[], Iterator[tuple[State, ...]]] | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node, and compute what it does."""
        name = f"t{len(self.steps)}"
        node = helper.make_node(operator, [*reads, *map(self.weight, constants)], [name], **attributes)
        self.axes[name] = gives
        given = {each: self.arrays[each] for each in reads}
        used = {each: self.weights[each] for each in node.input if each in self.weights}
        self.arrays[name] = run_model([node], given, name, **used).reshape(sizes(gives))
        self.steps.append(Step(node, tuple(reads), attempts, candidates or (lambda: self.all_states(reads[0]))))
        return name

    def all_states(self, name: str) -> Iterator[tuple[State, ...]]:
        yield from ((state,) for state in permutations(modes(self.axes[name])))

    @property
    def unread(self) -> list[str]:
        read = {name for step in self.steps for name in step.reads}
        return [step.writes for step in self.steps if step.writes not in read]

    def model(self) -> onnx.ModelProto:
        """The graph, whose outputs are what nobody reads."""

        def info(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes(self.axes[name]))

        graph = helper.make_graph(
            [step.node for step in self.steps],
            "g",
            [info(name) for name in self.inputs],
            [info(name) for name in self.unread],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# --- operators -------------------------------------------------------------------------------------------------------


def leaky_relu(g: Drawing, x: str) -> str | None:
    return g.add("LeakyRelu", [x], [], g.axes[x], lambda arrays, _: iter([one("LeakyRelu", *arrays)]))


def scaled(g: Drawing, x: str) -> str | None:
    """A factor for each index along one axis."""
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    shape = [size if index == at else 1 for index, size in enumerate(sizes(axes))]
    factor = g.rng.standard_normal(shape).astype(np.float32)
    whole = np.broadcast_to(factor, sizes(axes))

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (state,) = arrays, states
        yield one("Mul", a, constant=np.ascontiguousarray(stored(whole, axes, state)))

    return g.add("Mul", [x], [factor], axes, attempts)


def added(g: Drawing, x: str) -> str | None:
    others = [name for name in g.axes if name != x and g.axes[name] == g.axes[x]]
    if not others:
        return None
    y = str(g.rng.choice(others))

    def same() -> Iterator[tuple[State, ...]]:
        yield from ((state, state) for (state,) in g.all_states(x))

    return g.add("Add", [x, y], [], g.axes[x], lambda arrays, _: iter([one("Add", *arrays)]), same)


def transposed(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    perm = [int(axis) for axis in g.rng.permutation(len(axes))]
    return g.add("Transpose", [x], [], tuple(axes[axis] for axis in perm), lambda arrays, _: iter(arrays), perm=perm)


def reshaped(g: Drawing, x: str) -> str | None:
    """Two neighbouring axes become one, or one of several modes two."""
    axes = g.axes[x]
    forms = [(*axes[:at], axes[at] + axes[at + 1], *axes[at + 2 :]) for at in range(len(axes) - 1)]
    forms += [
        (*axes[:at], axis[:cut], axis[cut:], *axes[at + 1 :])
        for at, axis in enumerate(axes)
        for cut in range(1, len(axis))
        if len(axes) < 5
    ]
    if not forms:
        return None
    to = forms[int(g.rng.integers(len(forms)))]
    return g.add("Reshape", [x], [np.array(sizes(to), np.int64)], to, lambda arrays, _: iter(arrays))


def softmax(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    length = sizes(axes)[at]

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        del states
        yield one("Softmax", arrays[0].reshape(-1, length), axis=-1)

    return g.add("Softmax", [x], [], axes, attempts, axis=at)


def mean(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    if len(modes(axes)) - len(axes[at]) < 2 or not axes[at]:
        return None

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (state,) = arrays, states
        yield one("ReduceMean", a, axes=[state.index(mode) for mode in axes[at]], keepdims=0)

    to = (*axes[:at], (), *axes[at + 1 :])
    return g.add("ReduceMean", [x], [], to, attempts, axes=[at], keepdims=1)


def sliced(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    places = [at for at, axis in enumerate(axes) if len(axis) == 1 and axis[0][1] > 2]
    if not places:
        return None
    at = int(g.rng.choice(places))
    old, new = axes[at][0], g.mode(axes[at][0][1] - 1)
    bounds = [np.array([each], np.int64) for each in (1, 99, at)]

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (state,) = arrays, states
        yield np.take(a, range(1, old[1]), axis=state.index(old))

    return g.add("Slice", [x], bounds, (*axes[:at], (new,), *axes[at + 1 :]), attempts)


def _orders(axis: Sequence[Mode]) -> Iterator[tuple[State, Array]]:
    """The orders of the modes of an axis, and the indices along it in such an order."""
    places = np.arange(prod(size for _, size in axis)).reshape([size for _, size in axis])
    for order in permutations(axis):
        yield order, places.transpose([list(axis).index(mode) for mode in order]).reshape(-1)


def _within(state: State, axis: Sequence[Mode]) -> Array:
    """The indices along an axis as a state stores its modes."""
    order = tuple(mode for mode in state if mode in axis)
    return next(indices for each, indices in _orders(axis) if each == order)


def convolution(g: Drawing, x: str) -> str | None:
    """The target takes N, H, W, C; channels may be in any order, for the weights follow them."""
    axes = g.axes[x]
    if len(axes) != 4 or not axes[1]:
        return None
    n, c, h, w = sizes(axes)
    channels = (g.mode(2), g.mode(3))[: MAX_MODES - len(modes(axes)) + len(axes[1])] or (g.mode(2),)
    out = (axes[0], channels, axes[2], axes[3])
    kernel = g.rng.standard_normal((sizes(out)[1], c, 1, 1)).astype(np.float32)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (state,) = arrays, states
        image = np.ascontiguousarray(a.reshape(n, h, w, c).transpose(0, 3, 1, 2))
        for _, rows in _orders(channels):
            weights = np.ascontiguousarray(kernel[rows][:, _within(state, axes[1])])
            yield one("Conv", image, constant=weights).transpose(0, 2, 3, 1)

    return g.add("Conv", [x], [kernel], out, attempts)


def linear(g: Drawing, x: str) -> str | None:
    """A product with a constant on the right: rows in any order, then what is summed over."""
    axes = g.axes[x]
    if len(axes) < 2 or not axes[-1]:
        return None
    columns = (g.mode(2), g.mode(2))[: MAX_MODES - len(modes(axes)) + len(axes[-1])] or (g.mode(2),)
    matrix = g.rng.standard_normal((sizes(axes)[-1], sizes((columns,))[0])).astype(np.float32)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (state,) = arrays, states
        rows = a.reshape(-1, len(matrix))
        for _, places in _orders(columns):
            weights = np.ascontiguousarray(matrix[_within(state, axes[-1])][:, places])
            yield one("MatMul", rows, constant=weights)

    return g.add("MatMul", [x], [matrix], (*axes[:-1], columns), attempts)


def product(g: Drawing, x: str) -> str | None:
    """A product with another input, whose last two axes may be either way round in memory."""
    axes = g.axes[x]
    if len(axes) < 3 or not axes[-1] or not axes[-2] or len(g.inputs) > 1:
        return None
    batch, m, k, n = axes[:-2], axes[-2], axes[-1], (g.mode(3),)
    if len(modes(batch)) + len(m) + len(n) > MAX_MODES or len(modes(batch)) + len(k) + len(n) > MAX_MODES:
        return None
    y = g.add_input((*batch, k, n))
    rows, inner, columns = (sizes((axis,))[0] for axis in (m, k, n))

    def candidates() -> Iterator[tuple[State, ...]]:
        for b in permutations(modes(batch)):
            for over in permutations(k):
                for left in permutations(m):
                    yield (*b, *left, *over), (*b, *over, *n)
                    yield (*b, *left, *over), (*b, *n, *over)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a, other), (_, state) = arrays, states
        left = np.ascontiguousarray(a).reshape(-1, rows, inner)
        if state[-1] in n:
            yield one("MatMul", left, np.ascontiguousarray(other).reshape(-1, inner, columns))
        else:
            yield one("MatMul", left, other.reshape(-1, columns, inner).transpose(0, 2, 1).copy())

    return g.add("MatMul", [x, y], [], (*batch, m, n), attempts, candidates)


def recurrence(g: Drawing, x: str) -> str | None:
    """An RNN, a step of which reads and writes a slice of time, first or second; weights follow the features."""
    axes = g.axes[x]
    if len(axes) != 3 or not axes[2]:
        return None
    steps, batch, _ = sizes(axes)
    hidden, directions = (g.mode(3),), int(g.rng.integers(1, 3))
    ways = () if directions == 1 else (g.mode(2),)
    if len(modes((axes[0], axes[1], ways, hidden))) > MAX_MODES:
        return None
    weights = g.rng.uniform(-1, 1, (directions, 3, sizes(axes)[2])).astype(np.float32)
    state = g.rng.uniform(-1, 1, (directions, 3, 3)).astype(np.float32)
    attributes: dict[str, Any] = {"hidden_size": 3, "direction": "forward" if directions == 1 else "bidirectional"}
    node = helper.make_node("RNN", ["x", "w", "r"], ["y"], **attributes)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Iterator[Array]:
        (a,), (stored_as,) = arrays, states
        for outer, time_first in (((axes[0], axes[1]), True), ((axes[1], axes[0]), False)):
            if stored_as[: len(modes(outer))] == modes(outer):
                rows = a.reshape((steps, batch, -1) if time_first else (batch, steps, -1))
                given = np.ascontiguousarray(rows if time_first else rows.transpose(1, 0, 2))
                w = np.ascontiguousarray(weights[:, :, _within(stored_as, axes[2])])
                made = run_model([node], {"x": given}, "y", w=w, r=state)
                yield from (made.transpose(*order, 3) for order in permutations(range(3)))

    gives = (axes[0], ways, axes[1], hidden)
    return g.add("RNN", [x], [weights, state], gives, attempts, **attributes)


OPERATORS = (
    leaky_relu, scaled, added, transposed, transposed, reshaped, reshaped, softmax, mean, sliced, convolution,
    convolution, linear, product,
)  # fmt: skip


def draw(seed: int, length: int = 5) -> Drawing:
    """A graph of a few nodes."""
    rng = np.random.default_rng(seed)
    g = Drawing(rng)
    starts = (
        lambda: ((), (g.mode(2), g.mode(3)), (g.mode(4),), (g.mode(5),)),
        lambda: ((), (g.mode(3),), (g.mode(2), g.mode(2)), (g.mode(5),)),
        lambda: ((g.mode(2),), (g.mode(3),), (g.mode(4),), (g.mode(5),)),
        lambda: ((), (g.mode(5),), (g.mode(2), g.mode(3))),
    )
    last = g.add_input(starts[int(rng.integers(len(starts)))]())
    while len(g.steps) < length:
        name = last if rng.random() < 0.8 else str(rng.choice(list(g.axes)))
        made = OPERATORS[int(rng.integers(len(OPERATORS)))](g, name)
        last = made or last
    return g


def draw_recurrence(seed: int) -> Drawing:
    """A graph of a recurrence, with a few nodes before and after it."""
    rng = np.random.default_rng(seed)
    g = Drawing(rng)
    around = (leaky_relu, transposed, transposed, transposed, reshaped, scaled)
    last = g.add_input(((g.mode(2),), (g.mode(3),), (g.mode(4),)))
    for operator in (*rng.choice(len(around), 2), None, *rng.choice(len(around), 2)):
        last = (recurrence if operator is None else around[operator])(g, last) or last
    return g


# --- search ----------------------------------------------------------------------------------------------------------


def variants(g: Drawing, step: Step) -> list[Variant]:
    """The states in which a node can run, as ONNX Runtime finds out."""
    result, axes = g.arrays[step.writes], g.axes[step.writes]
    written = {state: stored(result, axes, state).reshape(-1) for state in permutations(modes(axes))}
    found = []
    for states in step.candidates():
        arrays = [
            np.ascontiguousarray(stored(g.arrays[name], g.axes[name], state))
            for name, state in zip(step.reads, states, strict=True)
        ]
        for made in step.attempts(arrays, states):
            flat = np.ascontiguousarray(made).reshape(-1)
            found += [(states, state) for state, wanted in written.items() if _is_same(flat, wanted)]
    return list(dict.fromkeys(found))


def _is_same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-4, atol=1e-5))


def ends(axes: Axes, *, free: bool) -> list[State]:
    """The states that the interface may have: natural, or also channels-last where that is asked for."""
    found = [modes(axes)]
    if free and 3 <= len(axes) <= 5:
        found.append(modes((axes[0], *axes[2:], axes[1])))
    return found


def cheaper(g: Drawing, claimed: int, *, free: bool) -> int | None:
    """Return a sum of bytes below ``claimed`` that suffices; None where the search finds none.

    Args:
        g: the graph.
        claimed: bytes that somebody says no choice of layouts is below.
        free: whether inputs and outputs may be channels-last.
    """
    choices = [variants(g, step) for step in g.steps]
    size = {name: BYTES * prod(sizes(axes)) for name, axes in g.axes.items()}
    leaves = g.unread

    def outputs(at: int, there: dict[str, frozenset[State]], cost: int) -> int | None:
        if cost >= claimed:
            return None
        if at == len(leaves):
            return cost
        name = leaves[at]
        paid = 0 if set(ends(g.axes[name], free=free)) & there[name] else size[name]
        return outputs(at + 1, there, cost + paid)

    def nodes(at: int, there: dict[str, frozenset[State]], cost: int) -> int | None:
        if cost >= claimed:
            return None
        if at == len(g.steps):
            return outputs(0, there, cost)
        step = g.steps[at]
        for reads, writes in choices[at]:
            after, paid = dict(there), 0
            for name, state in zip(step.reads, reads, strict=True):
                if state not in after[name]:
                    after[name] |= {state}
                    paid += size[name]
            after[step.writes] = frozenset([writes])
            if (found := nodes(at + 1, after, cost + paid)) is not None:
                return found
        return None

    def inputs(at: int, there: dict[str, frozenset[State]]) -> int | None:
        if at == len(g.inputs):
            return nodes(0, there, 0)
        name = g.inputs[at]
        for state in ends(g.axes[name], free=free):
            if (found := inputs(at + 1, {**there, name: frozenset([state])})) is not None:
                return found
        return None

    return inputs(0, {})
