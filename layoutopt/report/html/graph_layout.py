"""The places of the boxes of a graph: rows from a layered layout, and places in them that keep its lines straight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import fast_sugiyama
import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

_MAX_ITERATIONS = 100_000
"""Not seconds, so that the same graph is drawn in the same way on a busy machine."""
_BEND = 0.3
"""The width of a line where it passes a row, in boxes."""

Link = tuple[int, int]
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Layering:
    """Places for boxes, and for the bends of lines that pass rows.

    Attributes:
        places: of boxes, which are numbered from 0, and of bends, numbered after them: the column, which is as wide as
            a box and may be broken, and the row, from the top.
        ways: for each link, the boxes and bends that it passes.
    """

    places: Mapping[int, Place]
    ways: Mapping[Link, Sequence[int]]


def layered(count: int, links: Sequence[Link]) -> Layering:
    """Place ``count`` boxes in rows, so that all links go down and few cross, with unlinked parts side by side."""
    places: dict[int, Place] = {}
    ways: dict[Link, Sequence[int]] = {}
    right, bends = 0.0, count
    for boxes, inside in _parts(count, links):
        part = _layered_part(len(boxes), inside)
        names = [*boxes, *range(bends, bends + len(part.places) - len(boxes))]
        bends += len(part.places) - len(boxes)
        left = min(column for column, _ in part.places.values())
        places |= {names[at]: (right + column - left, row) for at, (column, row) in part.places.items()}
        ways |= {(names[way[0]], names[way[-1]]): [names[at] for at in way] for way in part.ways.values()}
        right += max(column for column, _ in part.places.values()) - left + 1
    return Layering(places, ways)


def _parts(count: int, links: Sequence[Link]) -> Iterator[tuple[list[int], list[Link]]]:
    """Yield the parts that no link joins: their boxes, and their links by the places of the boxes in that list."""
    ends = np.array(links, dtype=int).reshape(-1, 2)
    linked = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    number, part_of = connected_components(linked, directed=False)
    for part in range(number):
        boxes = [int(box) for box in np.flatnonzero(part_of == part)]
        place = {box: at for at, box in enumerate(boxes)}
        yield boxes, [(place[source], place[target]) for source, target in links if source in place]


def _layered_part(count: int, links: Sequence[Link]) -> Layering:
    """Return the same for one part. Bends are numbered from ``count`` without a gap."""
    if not links:
        return Layering({0: (0.0, 0)}, {})
    # Given more than one part, the layout numbers the bends of one as it does the boxes of another.
    ((positions, _, _, edges),) = fast_sugiyama.from_edges(links, vertex_spacing=1, dummy_vertices=True)
    bottom = max(y for _, (_, y) in positions)
    bends = sorted({int(vertex) for vertex, _ in positions} - set(range(count)))
    name = {vertex: vertex for vertex in range(count)} | {bend: at for at, bend in enumerate(bends, start=count)}
    found = {name[int(vertex)]: (x, round(bottom - y)) for vertex, (x, y) in sorted(positions)}
    pieces = sorted((name[int(source)], name[int(target)]) for source, target in edges or ())
    columns = _straightened(count, found, pieces)
    places = {vertex: (column, found[vertex][1]) for vertex, column in columns.items()}
    return Layering(places, {(way[0], way[-1]): way for way in _ways(count, pieces)})


def _straightened(count: int, places: Mapping[int, Place], pieces: Sequence[Link]) -> dict[int, float]:
    """Return columns that make the lines as straight as the order within the rows allows: a linear program.

    Long lines count most, as in the drawings of Gansner, Koutsofios, North and Vo (1993), then chains of boxes; where a
    line joins a chain, it is the line that bends. The layout's own columns keep the order too, but push whole parts of
    a deep graph far apart.
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
        options={"maxiter": _MAX_ITERATIONS},
    )
    if solved.x is None:
        return {vertex: x for vertex, (x, _) in places.items()}
    return {vertex: float(solved.x[at]) for vertex, at in number.items()}


def _distance(count: int, left: int, right: int) -> float:
    """Return the distance between the middles of neighbours in a row."""
    return sum(0.5 if vertex < count else _BEND / 2 for vertex in (left, right))


def _weight(count: int, source: int, target: int) -> float:
    bends = (source >= count) + (target >= count)
    return (4.0, 1.0, 8.0)[bends]


def _ways(count: int, pieces: Sequence[Link]) -> Iterator[list[int]]:
    """Return the lines from box to box along the bends."""
    onward = {source: target for source, target in pieces if source >= count}
    for source, step in pieces:
        if source >= count:
            continue
        way = [source, step]
        while way[-1] >= count:
            way.append(onward[way[-1]])
        yield way
