"""A search for layouts that shares nothing with the product: small graphs, and all orders of their modes.

Each axis of a tensor is a product of modes, and a Reshape joins or parts axes between modes. A state of a tensor is an
order of its modes. What an operator of the target makes of operands in some states is computed by ONNX Runtime; where
the numbers are those of the result in another state, the operator can run so. The search then looks for states that
copy fewer bytes than somebody claims to be the least. Which operators there are is in `opinion_operators`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations, product
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


def session_of(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def model_with(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def info(name: str, shape: Sequence[int] | None, kind: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def run_node(node: onnx.NodeProto, inputs: Mapping[str, Array], weights: Mapping[str, Array]) -> list[Array]:
    """Return what ONNX Runtime computes of one node."""
    kinds = {name: helper.np_dtype_to_tensor_dtype(each.dtype) for name, each in inputs.items()}
    graph = helper.make_graph(
        [node],
        "g",
        [info(name, each.shape, kinds[name]) for name, each in inputs.items()],
        [info(name, None) for name in node.output],
        [numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    return [np.asarray(each) for each in session_of(model_with(graph)).run(None, dict(inputs))]


@lru_cache(maxsize=4096)
def _session(operator: str, shapes: tuple[tuple[int, ...], ...], attributes: tuple[tuple[str, Any], ...]) -> Any:
    names = [f"i{index}" for index in range(len(shapes))]
    node = helper.make_node(operator, names, ["y"], **dict(attributes))
    return session_of(model_with(helper.make_graph([node], "g", list(map(info, names, shapes)), [info("y", None)])))


def one(operator: str, *arrays: Array, **attributes: Any) -> Array:
    """Return what one operator computes in ONNX Runtime."""
    fed = {f"i{index}": np.ascontiguousarray(array) for index, array in enumerate(arrays)}
    (found,) = _session(operator, tuple(each.shape for each in fed.values()), tuple(attributes.items())).run(None, fed)
    return np.asarray(found)


def sizes(axes: Axes) -> list[int]:
    return [prod(size for _, size in axis) for axis in axes]


def modes(axes: Axes) -> State:
    return tuple(mode for axis in axes for mode in axis)


def stored(array: Array, axes: Axes, state: State) -> Array:
    """A tensor as its modes lie in memory."""
    natural = modes(axes)
    return array.reshape([size for _, size in natural]).transpose([natural.index(mode) for mode in state])


Variant: TypeAlias = "tuple[tuple[State, ...], tuple[State, ...]]"
"""The states of what a node reads, and those of what it writes."""

Attempts: TypeAlias = "Callable[[Sequence[Array], Sequence[State]], Iterator[Array | tuple[Array, ...]]]"
"""(operands in some states, these states) -> what the target would compute of them; a tuple where that is several."""


@dataclass
class Step:
    """A node of a graph.

    Attributes:
        node: in ONNX.
        reads: names of the tensors that it reads, without constants.
        attempts: what the target would make of its operands.
        candidates: the states to try.
    """

    node: onnx.NodeProto
    reads: tuple[str, ...]
    attempts: Attempts
    candidates: Callable[[], Iterator[tuple[State, ...]]]

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(self.node.output)


@dataclass
class Drawing:
    """A graph that is being drawn.

    Attributes:
        rng: decides.
        axes: of each tensor.
        inputs: names of the inputs that have layouts.
        conditions: names of the inputs that are conditions of an If.
        weights: the constants.
        steps: the nodes.
        arrays: each tensor in natural layout, as ONNX Runtime computes it.
        bodies: the bodies of its nodes, which are searched by themselves.
        prefix: of names.
        count: of modes.
    """

    rng: np.random.Generator
    axes: dict[str, Axes] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    bodies: list[Drawing] = field(default_factory=list)
    prefix: str = ""
    count: int = 0

    def mode(self, size: int) -> Mode:
        self.count += 1
        return self.count, size

    def add_input(self, axes: Axes) -> str:
        name = f"{self.prefix}x{len(self.inputs)}"
        self.inputs.append(name)
        self.axes[name] = axes
        self.arrays[name] = self.rng.standard_normal(sizes(axes)).astype(np.float32)
        return name

    def weight(self, array: Array) -> str:
        name = f"{self.prefix}w{len(self.weights)}"
        self.weights[name] = array
        return name

    def add(
        self,
        operator: str,
        reads: Sequence[str],
        constants: Sequence[Array],
        gives: Axes | list[Axes],
        attempts: Attempts,
        candidates: Callable[[], Iterator[tuple[State, ...]]] | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node, and return its first result; ``gives`` is a list where it has several."""
        results: list[Axes] = gives if isinstance(gives, list) else [gives]
        names = [f"{self.prefix}t{len(self.arrays)}_{index}" for index in range(len(results))]
        node = helper.make_node(operator, [*reads, *map(self.weight, constants)], names, **attributes)
        self.append(node, reads, results, attempts, candidates or (lambda: self.all_states(reads[0])))
        return names[0]

    def append(
        self,
        node: onnx.NodeProto,
        reads: Sequence[str],
        results: Sequence[Axes],
        attempts: Attempts,
        candidates: Callable[[], Iterator[tuple[State, ...]]],
        **conditions: Array,
    ) -> None:
        given = {each: self.arrays[each] for each in reads} | conditions
        made = run_node(node, given, {each: self.weights[each] for each in node.input if each in self.weights})
        for name, axes, array in zip(node.output, results, made, strict=True):
            self.axes[name], self.arrays[name] = axes, array.reshape(sizes(axes))
        self.steps.append(Step(node, tuple(reads), attempts, candidates))

    def all_states(self, name: str) -> Iterator[tuple[State, ...]]:
        yield from ((state,) for state in permutations(modes(self.axes[name])))

    @property
    def unread(self) -> list[str]:
        read = {name for step in self.steps for name in step.reads}
        return [name for step in self.steps for name in step.writes if name not in read]

    def graph(self, *, inputs: bool = True) -> onnx.GraphProto:
        """The graph, whose outputs are what nobody reads."""
        given = [info(name, sizes(self.axes[name])) for name in self.inputs]
        given += [info(name, (), onnx.TensorProto.BOOL) for name in self.conditions]
        return helper.make_graph(
            [step.node for step in self.steps],
            "g",
            given if inputs else [],
            [info(name, sizes(self.axes[name])) for name in self.unread],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )

    def model(self) -> onnx.ModelProto:
        return model_with(self.graph())


# --- search ----------------------------------------------------------------------------------------------------------


def variants(g: Drawing, step: Step) -> list[Variant]:
    """The states in which a node can run, as ONNX Runtime finds out."""
    results = [_Result.of(g, name) for name in step.writes]
    found: dict[Variant, None] = {}
    for states in step.candidates():
        arrays = [
            np.ascontiguousarray(stored(g.arrays[name], g.axes[name], state))
            for name, state in zip(step.reads, states, strict=True)
        ]
        for made in step.attempts(arrays, states):
            several = made if isinstance(made, tuple) else (made,)
            written = [result.states(each) for result, each in zip(results, several, strict=True)]
            found |= dict.fromkeys((states, each) for each in product(*written))
    return list(found)


@dataclass(frozen=True)
class _Result:
    """A result of a node in all states, a row for each."""

    orders: tuple[State, ...]
    rows: Array

    @classmethod
    def of(cls, g: Drawing, name: str) -> _Result:
        axes = g.axes[name]
        orders = tuple(permutations(modes(axes)))
        return cls(orders, np.stack([stored(g.arrays[name], axes, state).reshape(-1) for state in orders]))

    def states(self, made: Array) -> list[State]:
        """The states that an array may be."""
        if made.size != self.rows.shape[1]:
            return []
        same = np.isclose(self.rows, np.ascontiguousarray(made).reshape(1, -1), rtol=1e-4, atol=1e-5).all(axis=1)
        return [state for state, each in zip(self.orders, same, strict=True) if each]


def ends(g: Drawing, name: str, *, free: bool) -> list[State]:
    """The states that the interface may have: natural, or also channels-last where that is asked for.

    An output that Reshapes take from a batch of one has its channels first, not second.
    """
    axes = g.axes[name]
    found = [modes(axes)]
    makers = {made: step for step in g.steps if step.node.op_type == "Reshape" for made in step.writes}
    origin = name
    while origin in makers:
        origin = makers[origin].reads[0]
    if free and 2 <= len(axes) <= 4 and sizes(g.axes[origin]) == [1, *sizes(axes)]:
        found.append(modes((*axes[1:], axes[0])))
    elif free and 3 <= len(axes) <= 5:
        found.append(modes((axes[0], *axes[2:], axes[1])))
    return found


Live: TypeAlias = "frozenset[tuple[str, frozenset[State]]]"
"""The states in which each tensor is there that somebody will read."""


def cheaper(g: Drawing, claimed: int, *, free: bool) -> int | None:
    """Return a sum of bytes below ``claimed`` that suffices; None where the search finds none.

    Args:
        g: the graph.
        claimed: bytes that somebody says no choice of layouts is below.
        free: whether inputs and outputs may be channels-last.
    """
    for body in g.bodies:
        found = cheaper(body, claimed, free=False)
        if found is None:
            return None  # the body alone takes as much
        claimed -= found
    least = _least(g, claimed, free=free)
    return None if least is None else least + sum(cheaper(body, 10**9, free=False) or 0 for body in g.bodies)


def _least(g: Drawing, claimed: int, *, free: bool) -> int | None:
    """Return the least sum of bytes, if it is below ``claimed``: node by node, with all that may be there by then."""
    size = {name: BYTES * prod(sizes(axes)) for name, axes in g.axes.items()}
    last = {name: at for at, step in enumerate(g.steps) for name in step.reads}
    starts = product(*(ends(g, name, free=free) for name in g.inputs))
    known: dict[Live, int] = {
        frozenset((name, frozenset([state])) for name, state in zip(g.inputs, start, strict=True)): 0
        for start in starts
    }
    for at, step in enumerate(g.steps):
        following: dict[Live, int] = {}
        choices = variants(g, step)
        for live, cost in known.items():
            there = dict(live)
            for reads, writes in choices:
                after, paid = dict(there), cost
                for name, state in zip(step.reads, reads, strict=True):
                    if state not in after[name]:
                        after[name] |= {state}
                        paid += size[name]
                for name, state in zip(step.writes, writes, strict=True):
                    if name in last:
                        after[name] = frozenset([state])
                    elif state not in ends(g, name, free=free):
                        paid += size[name]
                if paid < claimed:
                    key = frozenset(each for each in after.items() if last.get(each[0], -1) > at)
                    following[key] = min(paid, following.get(key, paid))
        known = following
    return min(known.values(), default=None)
