"""The operators of the graphs of `second_opinion`: how each is drawn, and all that the target may run in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from onnx import helper

from tests.layout.second_opinion import (
    Array,
    Axes,
    Drawing,
    Mode,
    State,
    modes,
    one,
    sizes,
    stored,
)

Attempted: TypeAlias = "Iterator[Array | tuple[Array, ...]]"


# --- element by element, along axes, and views -----------------------------------------------------------------------


def leaky_relu(g: Drawing, x: str) -> str | None:
    return g.add("LeakyRelu", [x], [], g.axes[x], lambda arrays, _: iter([one("LeakyRelu", *arrays)]))


def scaled(g: Drawing, x: str) -> str | None:
    """A factor for each index along one axis."""
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    shape = [size if index == at else 1 for index, size in enumerate(sizes(axes))]
    factor = g.rng.standard_normal(shape).astype(np.float32)
    whole = np.broadcast_to(factor, sizes(axes))

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        yield one("Mul", a, stored(whole, axes, state))

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
    return transpose_by(g, x, [int(axis) for axis in g.rng.permutation(len(g.axes[x]))])


def transpose_by(g: Drawing, x: str, perm: Sequence[int]) -> str:
    axes = g.axes[x]
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
    return reshape_to(g, x, forms[int(g.rng.integers(len(forms)))]) if forms else None


def reshape_to(g: Drawing, x: str, to: Axes) -> str:
    return g.add("Reshape", [x], [np.array(sizes(to), np.int64)], to, lambda arrays, _: iter(arrays))


def shuffled(g: Drawing, x: str) -> str | None:
    """An axis of several modes with these the other way round, as a channel shuffle has them."""
    axes = g.axes[x]
    places = [at for at, axis in enumerate(axes) if len(axis) > 1]
    if not places or len(axes) > 4:
        return None
    at = int(g.rng.choice(places))
    cut = reshape_to(g, x, (*axes[:at], axes[at][:1], axes[at][1:], *axes[at + 1 :]))
    perm = [*range(at), at + 1, at, *range(at + 2, len(axes) + 1)]
    return reshape_to(g, transpose_by(g, cut, perm), (*axes[:at], axes[at][1:] + axes[at][:1], *axes[at + 1 :]))


def windows(g: Drawing, x: str) -> str | None:
    """Two axes cut into windows: their outer modes come first, their inner ones together."""
    axes = g.axes[x]
    places = [at for at in range(len(axes) - 1) if len(axes[at]) > 1 and len(axes[at + 1]) > 1]
    if not places or len(axes) > 4:
        return None
    at = int(g.rng.choice(places))
    before, (rows, columns), after = axes[:at], axes[at : at + 2], axes[at + 2 :]
    cut = reshape_to(g, x, (*before, rows[:1], rows[1:], columns[:1], columns[1:], *after))
    perm = [*range(at), at, at + 2, at + 1, at + 3, *range(at + 4, len(axes) + 2)]
    swapped = transpose_by(g, cut, perm)
    return reshape_to(g, swapped, (*before, rows[:1] + columns[:1], rows[1:] + columns[1:], *after))


def softmax(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    length = sizes(axes)[at]

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        del states
        yield one("Softmax", arrays[0].reshape(-1, length), axis=-1)

    return g.add("Softmax", [x], [], axes, attempts, axis=at)


def mean(g: Drawing, x: str) -> str | None:
    axes = g.axes[x]
    at = int(g.rng.integers(len(axes)))
    if len(modes(axes)) - len(axes[at]) < 2 or not axes[at]:
        return None

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        yield one("ReduceMean", a, axes=tuple(state.index(mode) for mode in axes[at]), keepdims=0)

    return g.add("ReduceMean", [x], [], (*axes[:at], (), *axes[at + 1 :]), attempts, axes=[at], keepdims=1)


# --- pieces ----------------------------------------------------------------------------------------------------------


def _outer(g: Drawing, x: str, least: int = 2) -> tuple[int, Mode] | None:
    """An axis of ``x`` and its outermost mode, of at least so many elements."""
    places = [at for at, axis in enumerate(g.axes[x]) if axis and axis[0][1] >= least]
    if not places:
        return None
    at = int(g.rng.choice(places))
    return at, g.axes[x][at][0]


def _resized(axes: Axes, at: int, mode: Mode | None) -> Axes:
    """Axes whose outermost mode on axis ``at`` is another one, or none."""
    return (*axes[:at], (*([mode] if mode else []), *axes[at][1:]), *axes[at + 1 :])


def _cut(g: Drawing, x: str, at: int, begin: int, end: int, new: Mode | None) -> str:
    """A Slice along the outermost mode of an axis."""
    axes, old = g.axes[x], g.axes[x][at][0]
    step = sizes(axes)[at] // old[1]
    bounds = [np.array([each], np.int64) for each in (begin * step, end * step, at)]

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        yield np.take(a, range(begin, end), axis=state.index(old))

    return g.add("Slice", [x], bounds, _resized(axes, at, new), attempts)


def sliced(g: Drawing, x: str) -> str | None:
    found = _outer(g, x, 3)
    if found is None:
        return None
    at, old = found
    return _cut(g, x, at, 1, old[1], g.mode(old[1] - 1))


def _joined(g: Drawing, x: str, y: str, at: int, new: Mode) -> str:
    """A Concat along an axis, whose outermost modes lie one after the other."""
    one_axes, other_axes = g.axes[x], g.axes[y]
    inner = len(one_axes[at]) == len(other_axes[at])
    first, second = one_axes[at][0], other_axes[at][0] if inner else None

    def candidates() -> Iterator[tuple[State, ...]]:
        for (state,) in g.all_states(x):
            others = [second if mode == first else mode for mode in state]
            yield state, tuple(mode for mode in others if mode is not None)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        place = states[0].index(first)
        a, b = arrays
        yield one("Concat", a, b if second else np.expand_dims(b, place), axis=place)

    return g.add("Concat", [x, y], [], _resized(one_axes, at, new), attempts, candidates, axis=at)


def joined(g: Drawing, x: str) -> str | None:
    """A Concat with a value of the same axes, or with a new input of another size."""
    found = _outer(g, x)
    if found is None:
        return None
    at, mode = found
    others = [name for name in g.axes if g.axes[name] == g.axes[x]]
    other = str(g.rng.choice(others))
    size = mode[1]
    if len(g.inputs) == 1 and g.rng.random() < 0.5:
        size = int(g.rng.integers(2, 4))
        other = g.add_input(_resized(g.axes[x], at, g.mode(size)))
    return _joined(g, x, other, at, g.mode(mode[1] + size))


def rolled(g: Drawing, x: str) -> str | None:
    """All but the first, and then the first: Slice, Slice and Concat."""
    found = _outer(g, x, 3)
    if found is None:
        return None
    at, mode = found
    rest = _cut(g, x, at, 1, mode[1], g.mode(mode[1] - 1))
    return _joined(g, rest, _cut(g, x, at, 0, 1, None), at, mode)


def split(g: Drawing, x: str) -> str | None:
    """Two or more pieces along an axis: of the same size, or as they come; one of them is read on."""
    found = _outer(g, x)
    if found is None:
        return None
    at, mode = found
    axes, size = g.axes[x], mode[1]
    step = sizes(axes)[at] // size
    parts = [1] * size if size % 2 or g.rng.random() < 0.5 else [size // 2] * 2
    if size > 2 and g.rng.random() < 0.5:
        parts = [1, size - 1]
    results = [_resized(axes, at, g.mode(part) if part > 1 else None) for part in parts]
    bounds = np.cumsum([0, *parts])

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        place = state.index(mode)
        yield tuple(np.take(a, range(low, high), axis=place) for low, high in pairwise(bounds))

    lengths = np.array([part * step for part in parts], np.int64)
    g.add("Split", [x], [lengths], results, attempts, axis=at)
    return str(g.rng.choice(g.steps[-1].writes))


def padded(g: Drawing, x: str) -> str | None:
    """Zeros before and after an axis, as many as whole outermost modes have."""
    found = _outer(g, x)
    if found is None:
        return None
    at, old = found
    axes, (before, after) = g.axes[x], (int(count) for count in g.rng.integers(0, 2, 2))
    if before + after == 0:
        return None
    step, rank = sizes(axes)[at] // old[1], len(axes)
    amounts = np.zeros(2 * rank, np.int64)
    amounts[[at, rank + at]] = before * step, after * step

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        yield np.pad(a, [(before, after) if mode == old else (0, 0) for mode in state])

    return g.add("Pad", [x], [amounts], _resized(axes, at, g.mode(old[1] + before + after)), attempts)


def gathered(g: Drawing, x: str) -> str | None:
    """Some of the outermost modes of an axis, in any order."""
    found = _outer(g, x)
    if found is None:
        return None
    at, old = found
    axes, step = g.axes[x], sizes(g.axes[x])[at] // old[1]
    taken = g.rng.permutation(old[1])[: int(g.rng.integers(2, old[1] + 1))]
    indices = (taken[:, None] * step + np.arange(step)).reshape(-1)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        yield np.take(a, taken, axis=state.index(old))

    return g.add("Gather", [x], [indices], _resized(axes, at, g.mode(len(taken))), attempts, axis=at)


# --- bodies ----------------------------------------------------------------------------------------------------------


def branched(g: Drawing, x: str) -> str | None:
    """An If, whose bodies see natural values alone; what they move is in the sum of the graph."""
    if g.prefix or g.bodies or len(g.axes[x]) != 4:
        return None
    bodies = []
    for index in range(2):
        body = Drawing(g.rng, prefix=f"b{index}_", count=g.count + 100 * (index + 1))
        body.inputs, body.axes[x], body.arrays[x] = [x], g.axes[x], g.arrays[x]
        last = x
        for _ in range(int(g.rng.integers(1, 4))):
            same_shape = (leaky_relu, scaled, softmax, rolled)
            last = same_shape[int(g.rng.integers(len(same_shape)))](body, last) or last
        if last == x:
            last = str(leaky_relu(body, x))
        bodies.append(body)
    g.bodies += bodies
    g.conditions.append("k")
    then, other = (body.graph(inputs=False) for body in bodies)
    graphs: dict[str, Any] = {"then_branch": then, "else_branch": other}
    node = helper.make_node("If", ["k"], [f"{g.prefix}t{len(g.arrays)}_0"], **graphs)
    result = g.axes[x]

    def natural() -> Iterator[tuple[State, ...]]:
        yield (modes(result),)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        del arrays, states
        yield g.arrays[node.output[0]]

    g.append(node, [x], [result], attempts, natural, k=np.array(True))
    return str(node.output[0])
