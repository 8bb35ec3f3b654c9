"""Boxes in rows: all links go down, nothing overlaps, and lines are as straight as in no other order-keeping layout."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.report.html.graph_layout import layered


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 24))
    order = draw(st.permutations(range(count)))
    pairs = [(order[low], order[high]) for high in range(count) for low in range(high)]
    links = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=40)) if pairs else []
    return count, links


@settings(max_examples=60)
@given(graphs())
def test_links_go_down_and_boxes_do_not_overlap(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, links = graph
    found = layered(count, links)
    rows: dict[int, list[float]] = defaultdict(list)
    for box in range(count):
        column, row = found.places[box]
        rows[row].append(column)
    for columns in map(sorted, rows.values()):
        assert all(right - left > 1 - 1e-6 for left, right in pairwise(columns))
    assert set(found.ways) == set(links)
    for (source, target), way in found.ways.items():
        assert (way[0], way[-1]) == (source, target)
        assert all(bend >= count for bend in way[1:-1])
        steps = [found.places[at][1] for at in way]
        assert all(below == above + 1 for above, below in pairwise(steps))


@settings(max_examples=30)
@given(graphs())
def test_parts_stand_side_by_side(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, links = graph
    found = layered(count, links)
    whole = nx.Graph(links)
    whole.add_nodes_from(range(count))
    spans = []
    for part in nx.connected_components(whole):
        vertices = {at for way in found.ways.values() if way[0] in part for at in way} | part
        columns = [found.places[vertex][0] for vertex in vertices]
        spans.append((min(columns), max(columns)))
    spans.sort()
    assert all(left[1] + 1 - 1e-6 <= right[0] for left, right in pairwise(spans))


def test_a_chain_with_a_skip_is_straight() -> None:
    links = [(at, at + 1) for at in range(30)]
    found = layered(31, [*links, (0, 30)])
    assert len({round(found.places[box][0], 6) for box in range(31)}) == 1
    bends = {round(found.places[at][0], 6) for at in found.ways[0, 30][1:-1]}
    assert len(bends) == 1


def test_the_same_graph_is_drawn_in_the_same_way() -> None:
    links = [(low, high) for high in range(12) for low in range(high) if (low * 7 + high) % 3 == 0]
    assert layered(12, links) == layered(12, links)
