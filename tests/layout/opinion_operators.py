"""The operators of the graphs of `second_opinion`: how each is drawn, and all that the target may run in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise, permutations
from typing import Any, TypeAlias

import numpy as np
from onnx import helper

from tests.layout.second_opinion import (
    MAX_MODES,
    Array,
    Axes,
    Drawing,
    Mode,
    State,
    modes,
    one,
    run_node,
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
    return _transposed(g, x, [int(axis) for axis in g.rng.permutation(len(g.axes[x]))])


def _transposed(g: Drawing, x: str, perm: Sequence[int]) -> str:
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
    return _reshaped(g, x, forms[int(g.rng.integers(len(forms)))]) if forms else None


def _reshaped(g: Drawing, x: str, to: Axes) -> str:
    return g.add("Reshape", [x], [np.array(sizes(to), np.int64)], to, lambda arrays, _: iter(arrays))


def shuffled(g: Drawing, x: str) -> str | None:
    """An axis of several modes with these the other way round, as a channel shuffle has them."""
    axes = g.axes[x]
    places = [at for at, axis in enumerate(axes) if len(axis) > 1]
    if not places or len(axes) > 4:
        return None
    at = int(g.rng.choice(places))
    cut = _reshaped(g, x, (*axes[:at], axes[at][:1], axes[at][1:], *axes[at + 1 :]))
    perm = [*range(at), at + 1, at, *range(at + 2, len(axes) + 1)]
    return _reshaped(g, _transposed(g, cut, perm), (*axes[:at], axes[at][1:] + axes[at][:1], *axes[at + 1 :]))


def windows(g: Drawing, x: str) -> str | None:
    """Two axes cut into windows: their outer modes come first, their inner ones together."""
    axes = g.axes[x]
    places = [at for at in range(len(axes) - 1) if len(axes[at]) > 1 and len(axes[at + 1]) > 1]
    if not places or len(axes) > 4:
        return None
    at = int(g.rng.choice(places))
    before, (rows, columns), after = axes[:at], axes[at : at + 2], axes[at + 2 :]
    cut = _reshaped(g, x, (*before, rows[:1], rows[1:], columns[:1], columns[1:], *after))
    perm = [*range(at), at, at + 2, at + 1, at + 3, *range(at + 4, len(axes) + 2)]
    swapped = _transposed(g, cut, perm)
    return _reshaped(g, swapped, (*before, rows[:1] + columns[:1], rows[1:] + columns[1:], *after))


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


# --- sums of products ------------------------------------------------------------------------------------------------


def _orders(axis: Sequence[Mode]) -> Iterator[tuple[State, Array]]:
    """The orders of the modes of an axis, and the indices along it in such an order."""
    places = np.arange(int(np.prod([size for _, size in axis]))).reshape([size for _, size in axis])
    for order in permutations(axis):
        yield order, places.transpose([list(axis).index(mode) for mode in order]).reshape(-1)


def _within(state: State, axis: Sequence[Mode]) -> Array:
    """The indices along an axis as a state stores its modes."""
    order = tuple(mode for mode in state if mode in axis)
    return next(indices for each, indices in _orders(axis) if each == order)


def _size(some: Sequence[Mode]) -> int:
    return int(np.prod([size for _, size in some], dtype=np.int64))


def convolution(g: Drawing, x: str) -> str | None:
    """The target takes N, H, W, C; channels may be in any order, for the weights follow them."""
    axes = g.axes[x]
    if len(axes) != 4 or not axes[1]:
        return None
    n, c, h, w = sizes(axes)
    channels = (g.mode(2), g.mode(3))[: MAX_MODES - len(modes(axes)) + len(axes[1])] or (g.mode(2),)
    out = (axes[0], channels, axes[2], axes[3])
    kernel = g.rng.standard_normal((sizes(out)[1], c, 1, 1)).astype(np.float32)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        image = a.reshape(n, h, w, c).transpose(0, 3, 1, 2)
        for _, rows in _orders(channels):
            yield one("Conv", image, kernel[rows][:, _within(state, axes[1])]).transpose(0, 2, 3, 1)

    return g.add("Conv", [x], [kernel], out, attempts)


def linear(g: Drawing, x: str) -> str | None:
    """A product with a constant, which may be on either side, a batch of matrices, and read transposed.

    What is summed over lies in one piece, last or before the last rows. All rows before are a batch, or rows as well.
    Some of the columns may be a batch of the constant, anywhere among that of the other operand.
    """
    axes = g.axes[x]
    if len(axes) < 2 or not axes[-1]:
        return None
    summed = axes[-1]
    columns = (g.mode(2), g.mode(2))[: MAX_MODES - len(modes(axes)) + len(summed)] or (g.mode(2),)
    matrix = g.rng.standard_normal((_size(summed), _size(columns))).astype(np.float32)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        for rows_at in range(len(state)):
            batch, rest = state[:rows_at], state[rows_at:]
            rows = tuple(mode for mode in rest if mode not in summed)
            if set(summed) - set(rest) or (rest[: len(rows)] != rows and rest[len(summed) :] != rows):
                continue
            left = a.reshape([size for _, size in batch] + [-1, _size(rest[len(rows) :])])
            if rest[: len(rows)] != rows:  # what is summed over comes first: the operand is read transposed
                left = a.reshape([size for _, size in batch] + [_size(summed), _size(rows)]).swapaxes(-1, -2)
            yield from _emitted(left, matrix[_within(state, summed)], columns)

    return g.add("MatMul", [x], [matrix], (*axes[:-1], columns), attempts)


def _emitted(left: Array, matrix: Array, columns: Sequence[Mode]) -> Attempted:
    """All that the product with constant matrices may look like: some of their columns among the batch, others not.

    There is one matrix, or one for each element of some axes of the batch; the other axes are of size 1.
    """
    lead = left.ndim - 2
    for order, places in _orders(columns):
        for count in range(len(order) + 1):
            outer = [size for _, size in order[:count]]
            weights = matrix.reshape(*(matrix.shape[:-2] or [1] * lead), *matrix.shape[-2:])[..., places]
            weights = np.moveaxis(weights.reshape(*weights.shape[:-1], *outer, -1), lead, -2)
            for spots in combinations(range(lead + count), count):
                shape, right = list(left.shape[:-2]), weights
                for index, (spot, _) in enumerate(zip(spots, outer, strict=True)):
                    shape.insert(spot, 1)
                    right = np.moveaxis(right, lead + index, spot)
                made = one("MatMul", left.reshape(*shape, *left.shape[-2:]), right)
                yield made
                yield made.swapaxes(-1, -2)  # the constant on the left


def weighted(g: Drawing, x: str) -> str | None:
    """A product with a constant matrix for each element of one axis, which may lie anywhere among the rows."""
    axes = g.axes[x]
    if len(axes) < 2 or not axes[-1] or len(modes(axes)) - len(axes[-1]) >= MAX_MODES:
        return None
    at = int(g.rng.integers(len(axes) - 1))
    batch, summed, columns = axes[at], axes[-1], (g.mode(2),)
    if not batch:
        return None
    weights = g.rng.standard_normal((_size(batch), _size(summed), 2)).astype(np.float32)
    labels = "abcde"[: len(axes)]
    equation = f"{labels},{labels[at]}{labels[-1]}z->{labels[:-1]}z"

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (state,) = arrays, states
        for rows_at in range(len(state)):
            lead, rest = state[:rows_at], state[rows_at:]
            rows = tuple(mode for mode in rest if mode not in summed)
            if (
                set(batch) - set(lead)
                or set(summed) & set(lead)
                or rows not in (rest[: len(rows)], rest[len(summed) :])
            ):
                continue
            left = a.reshape([size for _, size in lead] + [-1, _size(summed)])
            if rest[: len(rows)] != rows:
                left = a.reshape([size for _, size in lead] + [_size(summed), _size(rows)]).swapaxes(-1, -2)
            within = [mode for mode in lead if mode in batch]
            each = weights.reshape([size for _, size in batch] + [*weights.shape[1:]])
            each = each.transpose(*(batch.index(mode) for mode in within), len(batch), len(batch) + 1)
            each = each.reshape(
                [size if (number, size) in batch else 1 for number, size in lead] + [*weights.shape[1:]]
            )
            yield from _emitted(left, each[..., _within(state, summed), :], columns)

    return g.add("Einsum", [x], [weights], (*axes[:-1], columns), attempts, equation=equation)


def matrices(g: Drawing, x: str) -> str | None:
    """A product with another input; either may be read transposed, and they may change places."""
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
                    for first in ((*left, *over), (*over, *left)):
                        yield (*b, *first), (*b, *over, *n)
                        yield (*b, *first), (*b, *n, *over)

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a, b), (first, second) = arrays, states
        turned, other = first[-1] not in k, second[-1] not in n
        left = a.reshape(-1, inner, rows).swapaxes(1, 2) if turned else a.reshape(-1, rows, inner)
        right = b.reshape(-1, columns, inner).swapaxes(1, 2) if other else b.reshape(-1, inner, columns)
        if not (turned and other):  # BATCH_MATMUL and the dialect read one operand transposed, not both
            yield one("MatMul", left, right)
        if not (not turned and not other):  # the operands change places: B' A', each read the other way round
            yield one("MatMul", right.swapaxes(1, 2), left.swapaxes(1, 2))

    return g.add("MatMul", [x, y], [], (*batch, m, n), attempts, candidates)


def heads(g: Drawing, x: str) -> str | None:
    """A linear layer whose columns are heads, which come before the rows, as attention has them; then a product."""
    if len(g.axes[x]) < 2 or len(g.axes[x][-2]) != 1 or len(modes(g.axes[x])) - len(g.axes[x][-1]) > 2:
        return None
    made = linear(g, x)
    axes = g.axes[made] if made else ()
    if made is None or len(axes[-1]) != 2 or len(axes) > 4:
        return made
    cut = _reshaped(g, made, (*axes[:-1], axes[-1][:1], axes[-1][1:]))
    rank = len(axes) + 1
    ahead = _transposed(g, cut, [*range(rank - 3), rank - 2, rank - 3, rank - 1])
    return matrices(g, ahead) or ahead


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


# --- recurrences -----------------------------------------------------------------------------------------------------


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

    def attempts(arrays: Sequence[Array], states: Sequence[State]) -> Attempted:
        (a,), (stored_as,) = arrays, states
        for outer, time_first in (((axes[0], axes[1]), True), ((axes[1], axes[0]), False)):
            if stored_as[: len(modes(outer))] == modes(outer):
                rows = a.reshape((steps, batch, -1) if time_first else (batch, steps, -1))
                given = np.ascontiguousarray(rows if time_first else rows.transpose(1, 0, 2))
                w = np.ascontiguousarray(weights[:, :, _within(stored_as, axes[2])])
                (made,) = run_node(node, {"x": given}, {"w": w, "r": state})
                yield from (made.transpose(*order, 3) for order in permutations(range(3)))

    return g.add("RNN", [x], [weights, state], (axes[0], ways, axes[1], hidden), attempts, **attributes)


Draw = Callable[[Drawing, str], str | None]

OPERATORS: Sequence[Draw] = (
    leaky_relu, scaled, added, transposed, transposed, reshaped, reshaped, softmax, mean, sliced, convolution,
    convolution, linear, linear, matrices, joined, joined, split, rolled, shuffled, windows, heads, branched,
)  # fmt: skip


PIECES: Sequence[Draw] = (
    leaky_relu, transposed, transposed, reshaped, reshaped, shuffled, windows, padded, padded, gathered, gathered,
    sliced, convolution, linear, mean, joined, split,
)  # fmt: skip

PRODUCTS: Sequence[Draw] = (
    leaky_relu, scaled, transposed, transposed, transposed, reshaped, reshaped, weighted, weighted, weighted, linear,
)  # fmt: skip


def draw(seed: int, length: int = 5, operators: Sequence[Draw] = OPERATORS) -> Drawing:
    """A graph of a few nodes."""
    rng = np.random.default_rng(seed)
    g = Drawing(rng)
    starts = (
        lambda: ((), (g.mode(2), g.mode(3)), (g.mode(4),), (g.mode(5),)),
        lambda: ((), (g.mode(3),), (g.mode(2), g.mode(2)), (g.mode(5),)),
        lambda: ((g.mode(2),), (g.mode(3),), (g.mode(4),), (g.mode(5),)),
        lambda: ((), (g.mode(5),), (g.mode(2), g.mode(3))),
        lambda: ((), (), (g.mode(2), g.mode(3)), (g.mode(2), g.mode(2))),
        lambda: ((g.mode(2),), (g.mode(3),), (g.mode(2),)),
    )
    last = g.add_input(starts[int(rng.integers(len(starts)))]())
    while len(g.steps) < length:
        name = last if rng.random() < 0.8 else str(rng.choice(list(g.axes)))
        made = operators[int(rng.integers(len(operators)))](g, name)
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
