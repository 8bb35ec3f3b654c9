"""Overlays for Model Explorer hold what the graphs do."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from layoutopt.outputs import writing
from layoutopt.report.model_explorer import expect_overlays, overlays_of, write_overlays
from layoutopt.results.model_report import ModelGraph, ModelReport


def check_node_data(data: object, graph: ModelGraph) -> None:
    """Holds one file against the format: graphs by name, each with a name, results by node, and perhaps a gradient."""
    assert isinstance(data, dict)
    assert list(data) == [graph.key]
    node_data = data[graph.key]
    hidden = {"hideInAggregatedStatsTable", "hideInChildrenStatsTable"}
    assert set(node_data) <= {"name", "results", "gradient", "thresholds", "showExpandedSummaryOnGroupNode", *hidden}
    assert isinstance(node_data["name"], str)
    assert set(node_data["results"]) <= {node.id for node in graph.nodes}
    for result in node_data["results"].values():
        assert set(result) <= {"value", "bgColor", "textColor"}
        assert isinstance(result["value"], int | float | str)
        assert "bgColor" not in result or "textColor" in result, "the viewer's own choice cannot be read on all colours"
        assert len(f"{result['value']!r}".replace("-", "")) < 16, "too long for its tables"
    assert "gradient" in node_data or all("bgColor" in result for result in node_data["results"].values())
    stops = [item["stop"] for item in node_data.get("gradient", [])]
    assert stops == sorted(stops)
    assert not stops or (stops[0], stops[-1]) == (0, 1)


def test_overlays_hold_what_the_graph_does(converted: ModelReport, tmp_path: Path) -> None:
    graph = converted.after
    assert graph.key == "main"
    with writing() as outputs:
        expect_overlays(outputs, tmp_path, force=False)
        commands = write_overlays(converted, tmp_path, outputs)
    assert len(commands) == 2
    assert commands[1].startswith(
        f"model-explorer {tmp_path / 'after.tflite'} --node_data_paths={tmp_path}/after.layout.json,"
    )
    read = {path.name: json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())}
    assert len(read) == 8
    for name, data in read.items():
        shown = converted.before if name.startswith("before") else graph
        assert shown is not None
        check_node_data(data, shown)
    results = {name: data["main"]["results"] for name, data in read.items()}
    assert {key: each["value"] for key, each in results["after.bytes.json"].items()} == {
        node.id: node.bytes_moved for node in graph.nodes if node.is_transpose
    }
    assert len(results["after.time.json"]) == len(results["after.layout.json"]) == len(graph.nodes)
    for node in graph.nodes:
        assert results["after.layout.json"][node.id]["value"] == graph.tensors[node.outputs[0]].layout.value


@pytest.mark.model_explorer
def test_model_explorer_reads_the_overlays(converted: ModelReport, directory: Path) -> None:
    """Its own classes take the data, and its own reader of .tflite files calls the graph and the operators alike."""
    builder = pytest.importorskip("model_explorer.node_data_builder", reason="needs ai-edge-model-explorer")
    adapter = pytest.importorskip("ai_edge_model_explorer_adapter")
    for side, graph in (("before", converted.before), ("after", converted.after)):
        assert graph is not None
        text = adapter.ConvertFlatbufferDirectlyToJson(adapter.VisualizeConfig(), str(directory / f"{side}.tflite"))
        (collection,) = json.loads(text)
        (shown,) = collection["subgraphs"]
        labels = {node["id"]: node["label"].upper() for node in shown["nodes"]}
        assert shown["id"] == graph.key
        assert {node.id: node.operator for node in graph.nodes}.items() <= labels.items()
        overlays = overlays_of(graph)
        assert {"layout", "bytes", "time", "error"} >= overlays.keys() >= {"layout", "time"}
        for data in json.loads(json.dumps([*overlays.values()])):
            (node_data,) = data.values()
            node_data["results"] = {key: builder.NodeDataResult(**each) for key, each in node_data["results"].items()}
            assert builder.GraphNodeData(**node_data).to_json_string()


def test_overlays_of_onnx_go_by_the_names_of_nodes(unconverted: tuple[Path, ModelReport]) -> None:
    models, found = unconverted
    for name, data in overlays_of(found.after).items():
        assert name != "time"
        check_node_data(data, found.after)
    names = {node.name for node in onnx.load(models / "after.onnx").graph.node}
    assert {node.id for node in found.after.nodes} == names
