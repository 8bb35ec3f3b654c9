"""Overlays for Google's Model Explorer: its custom node data, one file for each overlay and model.

A file holds, by the name of the graph, the overlay's name and a value for each node by its id. Model Explorer numbers
the operators of a .tflite in the order of the file, and its extension for ONNX calls nodes by their names: both as
`GraphNode.id` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from shlex import quote

from layoutopt.outputs import Outputs
from layoutopt.results.model_report import GraphNode, Layout, ModelGraph, ModelReport, Side
from layoutopt.results.optimize import ModelKind
from layoutopt.results.result import Json

_TEXT = "#000000"
"""Colour of text on all of these: what Model Explorer would choose by itself cannot be read on some of them."""
_DIGITS = 3
"""Significant digits of measured numbers, which it shows as they are."""
_COLOURS: Mapping[Layout, str] = {
    Layout.NATURAL: "#f2a65a",
    Layout.CHANNELS_LAST: "#8cc5cf",
    Layout.OTHER: "#cfb0e0",
    Layout.UNKNOWN: "#d9d9d9",
}
_MUCH = "#f0707f"
_GRADIENT: Json = [{"stop": 0, "bgColor": "#fde4e1"}, {"stop": 1, "bgColor": _MUCH}]
"""From the least to the greatest value; not from white, which is the colour of operators without a value."""


@dataclass(frozen=True, slots=True)
class _Overlay:
    """One kind of node data.

    Attributes:
        file: the word in the name of the file.
        name: what Model Explorer shows.
        value: of a node; None where it has none.
    """

    file: str
    name: str
    value: Callable[[ModelGraph, GraphNode], float | None]


def _bytes_moved(graph: ModelGraph, node: GraphNode) -> float | None:
    del graph
    return node.bytes_moved if node.is_transpose else None


def _microseconds(graph: ModelGraph, node: GraphNode) -> float | None:
    del graph
    return node.microseconds


def _error(graph: ModelGraph, node: GraphNode) -> float | None:
    errors = (graph.tensors[name].relative_error for name in node.outputs)
    most = max((error for error in errors if error is not None and isfinite(error)), default=None)
    return None if most is None else float(f"{most:.{_DIGITS}g}")


_OVERLAYS = (
    _Overlay("bytes", "bytes moved", _bytes_moved),
    _Overlay("time", "microseconds", _microseconds),
    _Overlay("error", "relative error", _error),
)


def expect_overlays(outputs: Outputs, directory: Path, *, force: bool) -> None:
    """Reserve the places of all that `write_overlays` may write.

    Raises:
        OutputError: one of them cannot be written.
    """
    for side in Side:
        for name in ("layout", *(overlay.file for overlay in _OVERLAYS)):
            outputs.expect(directory / side.file(f".{name}.json"), force=force)


def write_overlays(report: ModelReport, directory: Path, outputs: Outputs) -> tuple[str, ...]:
    """Write the overlays of both graphs, ``before.layout.json`` and the like, to where the models are.

    Args:
        report: the report.
        directory: which is there.
        outputs: where the files are expected.

    Returns:
        For each graph the command that shows it.

    Raises:
        OutputError: a file cannot be written.
    """
    onnx = report.optimize.optimized.kind is ModelKind.ONNX
    suffix, extension = (".onnx", " --extensions=model_explorer_onnx") if onnx else (".tflite", "")
    commands = []
    for side, graph in ((Side.BEFORE, report.before), (Side.AFTER, report.after)):
        if graph is None:
            continue
        paths = []
        for name, data in overlays_of(graph).items():
            paths.append(directory / side.file(f".{name}.json"))
            outputs.write(paths[-1], json.dumps(data, indent=1, allow_nan=False))
        model = directory / side.file(suffix)
        data_paths = ",".join(map(str, paths))
        commands.append(f"model-explorer {quote(str(model))}{extension} --node_data_paths={quote(data_paths)}")
    return tuple(commands)


def overlays_of(graph: ModelGraph) -> Mapping[str, Json]:
    """Return the node data of a graph by overlay; of what was not measured there is none."""
    found: dict[str, Json] = {"layout": {graph.key: _layouts(graph)}}
    for overlay in _OVERLAYS:
        values = {node.id: value for node in graph.nodes if (value := overlay.value(graph, node)) is not None}
        if values:
            found[overlay.file] = {graph.key: {"name": overlay.name, **_shaded(values)}}
    return found


def _shaded(values: Mapping[str, float]) -> dict[str, Json]:
    """Return values by node in colours from little to much; Model Explorer has none where all are equal."""
    equal = len(set(values.values())) == 1
    style = {"bgColor": _MUCH, "textColor": _TEXT} if equal else {"textColor": _TEXT}
    shaded: dict[str, Json] = {"results": {key: {"value": value, **style} for key, value in values.items()}}
    return shaded if equal else {**shaded, "gradient": _GRADIENT}


def _layouts(graph: ModelGraph) -> Json:
    """Return the layout of the first result of each node, in words and in colour."""
    results: dict[str, Json] = {}
    for node in graph.nodes:
        if node.outputs:
            layout = graph.tensors[node.outputs[0]].layout
            results[node.id] = {"value": layout.value, "bgColor": _COLOURS[layout], "textColor": _TEXT}
    return {
        "name": "layout",
        "results": results,
        "showExpandedSummaryOnGroupNode": True,
        "hideInAggregatedStatsTable": True,
        "hideInChildrenStatsTable": True,
    }
