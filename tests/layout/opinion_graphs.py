"""The random graphs of `second_opinion`: which operators they have, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.layout.opinion_operators import (
    added,
    branched,
    gathered,
    joined,
    leaky_relu,
    mean,
    padded,
    reshaped,
    rolled,
    scaled,
    shuffled,
    sliced,
    softmax,
    split,
    transposed,
    windows,
)
from tests.layout.opinion_products import convolution, heads, linear, matrices, recurrence, weighted
from tests.layout.second_opinion import Drawing

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
