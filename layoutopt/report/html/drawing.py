"""Graphs as drawings: a place for every operator and a way for every tensor, in pixels, before any colour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from layoutopt.report.html.graph_layout import Place, layered
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph

BOX_WIDTH = 190
BOX_HEIGHT = 42
ROW = BOX_HEIGHT + 30
"""From one row of boxes to the next."""

_COLUMN = BOX_WIDTH + 26
_MARGIN = 28
_BAND = 12 * ROW
"""The height that a page draws at once while one scrolls: thousands of operators are too much to lay out at once."""


class BoxRole(Enum):
    """The things that a box stands for."""

    INPUT = "input"
    OPERATOR = "operator"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Box:
    """An operator, an input or an output of the graph, as drawn.

    Attributes:
        index: its number in the drawing: the inputs, then the operators in the order of execution, then the outputs.
        role: what it stands for.
        node: the operator; for an input or output, a stand-in that writes or reads the tensor.
        layout: of what it writes; of what it reads where it writes nothing.
        shape: of the same tensor.
        x: of the left side.
        y: of the upper side.
    """

    index: int
    role: BoxRole
    node: GraphNode
    layout: Layout
    shape: tuple[int, ...]
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor on its way from one box to another.

    Attributes:
        source: index of the box that writes it.
        target: index of the box that reads it.
        layout: of the tensor.
        path: as SVG has it.
    """

    source: int
    target: int
    layout: Layout
    path: str


@dataclass(frozen=True, slots=True)
class Band:
    """A horizontal slice of a drawing, with the boxes in it and the edges that end not far below it.

    Attributes:
        top: of the slice.
        bottom: of all that it holds.
        boxes: whose upper side is in the slice.
        edges: that begin in the slice.
    """

    top: int
    bottom: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph as drawn.

    Attributes:
        width: of all.
        height: of all.
        boxes: by index.
        bands: slices that cover all boxes, from the top.
        long_edges: those that cross whole slices, such as the skip connections of a U-Net.
    """

    width: int
    height: int
    boxes: tuple[Box, ...]
    bands: tuple[Band, ...]
    long_edges: tuple[Edge, ...]

    def silhouette(self, layout: Layout | None) -> str:
        """Return the boxes of a layout as one path, seen from afar; for None, the transposes, of whatever layout."""
        chosen = (box for box in self.boxes if (None if box.node.is_transpose else box.layout) is layout)
        return "".join(f"M{box.x} {box.y}h{BOX_WIDTH}v{BOX_HEIGHT}h-{BOX_WIDTH}z" for box in chosen)


def draw(graph: ModelGraph) -> Drawing:
    """Draw a graph in layers, the inputs at the top, with few crossings."""
    actors = _actors(graph)
    links = _links([node for _, node in actors])
    layering = layered(len(actors), list(links))
    centres = {vertex: _centre(place) for vertex, place in layering.places.items()}
    boxes = tuple(_box(index, role, node, graph.tensors, centres[index]) for index, (role, node) in enumerate(actors))
    edges = [
        Edge(source, target, graph.tensors[name].layout, _path([centres[at] for at in layering.ways[source, target]]))
        for (source, target), name in links.items()
    ]
    width = max(x for x, _ in centres.values()) + BOX_WIDTH // 2 + _MARGIN
    height = max(box.y for box in boxes) + BOX_HEIGHT + _MARGIN
    by_length: tuple[list[Edge], list[Edge]] = ([], [])
    for edge in edges:
        by_length[boxes[edge.target].y - boxes[edge.source].y > _BAND].append(edge)
    short_edges, long_edges = by_length
    return Drawing(width, height, boxes, tuple(_bands(boxes, short_edges)), tuple(long_edges))


def _actors(graph: ModelGraph) -> list[tuple[BoxRole, GraphNode]]:
    """Return all that gets a box: inputs and outputs as operators that only write, or only read, one tensor."""
    inputs = [(BoxRole.INPUT, GraphNode(f"input {name}", "input", name, (), (name,))) for name in graph.inputs]
    outputs = [(BoxRole.OUTPUT, GraphNode(f"output {name}", "output", name, (name,), ())) for name in graph.outputs]
    return [*inputs, *((BoxRole.OPERATOR, node) for node in graph.nodes), *outputs]


def _links(nodes: Sequence[GraphNode]) -> dict[tuple[int, int], str]:
    """Return the first tensor that each box hands to each other one."""
    writers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    links: dict[tuple[int, int], str] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            if name in writers and writers[name] != index:
                links.setdefault((writers[name], index), name)
    return links


def _centre(place: Place) -> tuple[int, int]:
    column, row = place
    return _MARGIN + BOX_WIDTH // 2 + round(column * _COLUMN), _MARGIN + BOX_HEIGHT // 2 + row * ROW


def _path(points: Sequence[tuple[int, int]]) -> str:
    """Return a path that goes straight down past the boxes of a layer, and curved between two layers."""
    x, y = points[0]
    path = [f"M{x} {y + BOX_HEIGHT // 2}"]
    for next_x, next_y in points[1:]:
        above, below = y + BOX_HEIGHT // 2, next_y - BOX_HEIGHT // 2
        if next_x == x:
            path.append(f"V{below}")
        else:
            middle = (above + below) // 2
            path.append(f"V{above}C{x} {middle} {next_x} {middle} {next_x} {below}")
        x, y = next_x, next_y
    return "".join(path)


def _box(
    index: int, role: BoxRole, node: GraphNode, tensors: Mapping[str, GraphTensor], centre: tuple[int, int]
) -> Box:
    shown = next((tensors[name] for name in (*node.outputs, *node.inputs) if name in tensors), None)
    layout, shape = (shown.layout, shown.shape) if shown else (Layout.UNKNOWN, ())
    return Box(index, role, node, layout, shape, centre[0] - BOX_WIDTH // 2, centre[1] - BOX_HEIGHT // 2)


def _bands(boxes: Sequence[Box], edges: Sequence[Edge]) -> Iterator[Band]:
    """Return slices of equal height that hold something."""
    inside: dict[int, list[Box]] = defaultdict(list)
    starting: dict[int, list[Edge]] = defaultdict(list)
    for box in boxes:
        inside[box.y // _BAND].append(box)
    for edge in edges:
        starting[boxes[edge.source].y // _BAND].append(edge)
    for band in sorted(inside):
        lowest = [box.y for box in inside[band]] + [boxes[edge.target].y for edge in starting[band]]
        yield Band(band * _BAND, max(lowest) + BOX_HEIGHT, tuple(inside[band]), tuple(starting[band]))
