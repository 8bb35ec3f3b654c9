"""From a graph to boxes and lines."""

from __future__ import annotations

import re
from dataclasses import replace

import networkx as nx
import pytest

from layoutopt.report.html.drawing import BOX_HEIGHT, BOX_WIDTH, BoxRole, Drawing, draw
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph
from tests.reports import network


@pytest.fixture(scope="module", params=[True, False], ids=["wrapped", "channels-last"])
def graph(request: pytest.FixtureRequest) -> ModelGraph:
    return network("some", 60, wrapped=request.param)


@pytest.fixture(scope="module")
def drawing(graph: ModelGraph) -> Drawing:
    return draw(graph)


def test_every_operator_has_a_box_in_the_order_of_execution(graph: ModelGraph, drawing: Drawing) -> None:
    assert [box.node for box in drawing.boxes if box.role is BoxRole.OPERATOR] == list(graph.nodes)
    assert [box.node.name for box in drawing.boxes if box.role is not BoxRole.OPERATOR] == [
        *graph.inputs,
        *graph.outputs,
    ]
    assert [box.index for box in drawing.boxes] == list(range(len(drawing.boxes)))


def test_boxes_lie_inside_and_apart(drawing: Drawing) -> None:
    for box in drawing.boxes:
        assert 0 <= box.x <= drawing.width - BOX_WIDTH
        assert 0 <= box.y <= drawing.height - BOX_HEIGHT
    for one in drawing.boxes:
        for two in drawing.boxes[: one.index]:
            assert abs(one.x - two.x) >= BOX_WIDTH or abs(one.y - two.y) >= BOX_HEIGHT


def test_edges_are_those_of_the_graph(graph: ModelGraph, drawing: Drawing) -> None:
    edges = [*drawing.long_edges, *(edge for band in drawing.bands for edge in band.edges)]
    boxes = drawing.boxes
    written = {name: box.index for box in boxes for name in box.node.outputs}
    wanted = {(written[name], box.index) for box in boxes for name in box.node.inputs}
    assert {(edge.source, edge.target) for edge in edges} == wanted
    assert len(edges) == len(wanted)
    assert nx.is_directed_acyclic_graph(nx.DiGraph(list(wanted)))
    for edge in edges:
        start, numbers = boxes[edge.source], [int(number) for number in re.findall(r"-?\d+", edge.path)]
        assert numbers[:2] == [start.x + BOX_WIDTH // 2, start.y + BOX_HEIGHT]
        assert numbers[-1] == boxes[edge.target].y
        (name,) = set(start.node.outputs) & set(boxes[edge.target].node.inputs)
        assert edge.layout is graph.tensors[name].layout


def test_bands_hold_every_box_once_and_reach_as_far_as_their_edges(drawing: Drawing) -> None:
    assert sorted(box.index for band in drawing.bands for box in band.boxes) == list(range(len(drawing.boxes)))
    for band in drawing.bands:
        assert all(band.top <= box.y and box.y + BOX_HEIGHT <= band.bottom for box in band.boxes)
        assert all(drawing.boxes[edge.target].y <= band.bottom for edge in band.edges)
    assert drawing.long_edges


def test_silhouettes_hold_every_box_once(drawing: Drawing) -> None:
    outlines = "".join(drawing.silhouette(layout) for layout in (*Layout, None))
    corners = re.findall(r"M(\d+) (\d+)", outlines)
    assert sorted((int(x), int(y)) for x, y in corners) == sorted((box.x, box.y) for box in drawing.boxes)
    transposes = re.findall(r"M(\d+) (\d+)", drawing.silhouette(None))
    assert len(transposes) == sum(box.node.is_transpose for box in drawing.boxes)


def test_odd_graphs_are_drawn() -> None:
    """An operator that reads no tensor and one whose result nobody reads, a tensor read twice, and nothing at all."""
    tensors = {name: GraphTensor(name, (2, -1), "float32", 8, Layout.NATURAL) for name in "abc"}
    alone = GraphNode("0", "RANGE", "alone", (), ("a",))
    twice = GraphNode("1", "MUL", "twice", ("b", "b"), ("c",))
    found = draw(ModelGraph("odd", (alone, twice), tensors, ("b",), ("c",)))
    assert len(found.boxes) == 4
    assert sum(len(band.edges) for band in found.bands) == 2
    same = draw(ModelGraph("through", (), {"b": tensors["b"]}, ("b",), ("b",)))
    assert [box.role for box in same.boxes] == [BoxRole.INPUT, BoxRole.OUTPUT]
    silent = draw(ModelGraph("silent", (replace(alone, outputs=()),), {}, (), ()))
    assert [box.layout for box in silent.boxes] == [Layout.UNKNOWN]
