"""Operators of the graphs of `second_opinion` that sum products: convolutions, matrices, recurrences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
from onnx import helper

from tests.layout.opinion_operators import Attempted, reshape_to, transpose_by
from tests.layout.second_opinion import (
    MAX_MODES,
    Array,
    Drawing,
    Mode,
    State,
    modes,
    one,
    run_node,
    sizes,
)


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
    cut = reshape_to(g, made, (*axes[:-1], axes[-1][:1], axes[-1][1:]))
    rank = len(axes) + 1
    ahead = transpose_by(g, cut, [*range(rank - 3), rank - 2, rank - 3, rank - 1])
    return matrices(g, ahead) or ahead


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
