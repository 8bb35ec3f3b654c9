"""Where the boxes of a graph stand: rows from a layered layout, and places in them that keep its lines straight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import fast_sugiyama
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

_MOST_SECONDS = 20.0
_BEND = 0.3
"""How wide a line is where it passes a row, in boxes."""

Link = tuple[int, int]
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Layering:
    """Places for boxes, and for the bends of lines that pass rows.

    Attributes:
        places: of boxes, which are numbered from 0, and of bends, numbered behind them: the column, which is as wide as
            a box and may be broken, and the row, from the top.
        ways: for each link, the boxes and bends that it passes.
    """

    places: Mapping[int, Place]
    ways: Mapping[Link, Sequence[int]]


def layered(count: int, links: Sequence[Link]) -> Layering:
    """Places ``count`` boxes in rows, so that all links go down and few cross."""
    places: dict[int, Place] = {}
    steps: dict[int, list[int]] = defaultdict(list)
    right = 0.0
    parts = fast_sugiyama.from_edges(links, vertex_spacing=1, dummy_vertices=True) if links else ()
    for positions, _, _, edges in parts:
        bottom = max(y for _, (_, y) in positions)
        found = {int(vertex): (x, round(bottom - y)) for vertex, (x, y) in positions}
        pieces = [(int(source), int(target)) for source, target in edges or ()]
        columns = _straightened(count, found, pieces)
        left = min(columns.values())
        places |= {vertex: (right + column - left, found[vertex][1]) for vertex, column in columns.items()}
        right += max(columns.values()) - left + 1
        for source, target in pieces:
            steps[source].append(target)
    alone = [box for box in range(count) if box not in places]
    places |= {box: (right + position, 0) for position, box in enumerate(alone)}
    return Layering(places, {(way[0], way[-1]): way for way in _ways(count, steps)})


def _straightened(count: int, places: Mapping[int, Place], pieces: Sequence[Link]) -> dict[int, float]:
    """Columns that make the lines as straight as the order within the rows allows: a linear program.

    Long lines count more, as in the drawings of Gansner, Koutsofios, North and Vo (1993). The layout's own columns keep
    the order too, but push whole parts of a deep graph far apart.
    """
    number = {vertex: at for at, vertex in enumerate(places)}
    rows: dict[int, list[int]] = defaultdict(list)
    for vertex in sorted(places, key=lambda vertex: places[vertex][0]):
        rows[places[vertex][1]].append(vertex)
    # One unknown per place, then one per piece of a line, which is no less than the distance that it goes sideways.
    limits: list[tuple[int, int, int | None, float]] = []
    for row in rows.values():
        for left, right in pairwise(row):
            limits.append((number[left], number[right], None, -_distance(count, left, right)))
    for at, (source, target) in enumerate(pieces, start=len(places)):
        limits.append((number[source], number[target], at, 0))
        limits.append((number[target], number[source], at, 0))
    entries = [
        (line, column, sign)
        for line, (plus, minus, extra, _) in enumerate(limits)
        for column, sign in ((plus, 1.0), (minus, -1.0), (extra, -1.0))
        if column is not None
    ]
    lines, columns, signs = zip(*entries, strict=True)
    size = (len(limits), len(places) + len(pieces))
    weights = np.array([0.0] * len(places) + [_weight(count, *piece) for piece in pieces])
    solved = linprog(
        weights,
        A_ub=csr_array((signs, (lines, columns)), shape=size),
        b_ub=np.array([bound for *_, bound in limits]),
        method="highs-ds",
        options={"time_limit": _MOST_SECONDS},
    )
    if solved.x is None:
        return {vertex: x for vertex, (x, _) in places.items()}
    return {vertex: float(solved.x[at]) for vertex, at in number.items()}


def _distance(count: int, left: int, right: int) -> float:
    """Between the middles of neighbours in a row."""
    return sum(0.5 if vertex < count else _BEND / 2 for vertex in (left, right))


def _weight(count: int, source: int, target: int) -> float:
    bends = (source >= count) + (target >= count)
    return (1.0, 2.0, 8.0)[bends]


def _ways(count: int, steps: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """From box to box along the bends."""
    for source in range(count):
        for step in steps.get(source, ()):
            way = [source, step]
            while way[-1] >= count:
                way.append(steps[way[-1]][0])
            yield way
