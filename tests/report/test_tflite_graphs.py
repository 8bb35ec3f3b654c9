"""The report of a .tflite: its graphs, times, errors and reasons are what others find, too."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from docs.tools.examples import damage
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.ir.io import load
from layoutopt.ir.verify import random_inputs
from layoutopt.layout.explain.explanation import Copy, TransposeSide
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph, ModelReport
from layoutopt.results.optimize import ModelKind
from layoutopt.workflows import graphs
from layoutopt.workflows.annotation import annotate
from layoutopt.workflows.conversion import path_in
from layoutopt.workflows.layerwise import compare_layers
from layoutopt.workflows.plan_facts import PlanFacts
from tests.report.models import transposes


def test_graphs_are_those_of_the_files(directory: Path, converted: ModelReport) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    assert converted.before is not None
    for graph, path in ((converted.before, directory / "before.tflite"), (converted.after, directory / "after.tflite")):
        counts = count_tflite(path)
        assert Counter(node.operator for node in graph.nodes) == counts.histogram
        assert len(transposes(graph)) == counts.transposes
        assert sum(node.bytes_moved for node in graph.nodes) == counts.bytes_moved
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        names = {each["index"]: each["name"] for each in interpreter.get_tensor_details()}
        shapes = {each["name"]: tuple(each["shape"]) for each in interpreter.get_tensor_details()}
        for node, theirs in zip(graph.nodes, interpreter._get_ops_details(), strict=True):
            assert node.operator == theirs["op_name"]
            assert int(node.id) == theirs["index"]
            assert [names[index] for index in theirs["outputs"]] == list(node.outputs)
            assert set(node.inputs) <= {names[index] for index in theirs["inputs"]}
            assert len(node.inputs) + len(node.constants) == len(theirs["inputs"])
        assert all(tensor.shape == shapes[name] for name, tensor in graph.tensors.items())
        assert all(tensor.size == 4 * np.prod(tensor.shape) for tensor in graph.tensors.values())
    (left,) = [node for node in converted.after.nodes if node.is_transpose]
    assert "Conv head" in left.reason
    assert (left.attributes or {})["perm"] == "0 4 3 1 2"
    convolutions = [node.attributes or {} for node in converted.after.nodes if "CONV" in node.operator]
    assert [each["stride_h"] for each in convolutions] == ["1", "2", "1"]
    assert {each["padding"] for each in convolutions} <= {"SAME", "VALID"}
    assert "weights 6x3x3x3 float32" in converted.after.nodes[0].constants


def test_layouts_in_a_tflite_go_with_the_shapes(converted: ModelReport) -> None:
    assert converted.before is not None
    channels = {3, 6, 8, 14}
    for graph in (converted.before, converted.after):
        planes = [each for each in graph.tensors.values() if len(each.shape) == 4 and channels & {*each.shape[1::2]}]
        planes = [each for each in planes if each.layout in (Layout.NATURAL, Layout.CHANNELS_LAST)]
        assert len(planes) >= 6
        for each in planes:
            last = each.shape[3] in channels and each.shape[1] > 14 - 7
            assert each.layout is (Layout.CHANNELS_LAST if last else Layout.NATURAL), each
    assert any(each.layout is not Layout.UNKNOWN and not each.value for each in converted.before.tensors.values())
    moved = [node for node in converted.before.nodes if node.is_transpose]
    for node in moved:
        source, result = (converted.before.tensors[name] for name in (node.inputs[0], node.outputs[0]))
        is_of_the_model = source.value != result.value
        assert source.layout is not result.layout or source.layout is Layout.OTHER or is_of_the_model
        assert node.reason


def test_every_operator_is_timed(converted: ModelReport) -> None:
    assert converted.before is not None
    assert converted.optimize.baseline is not None
    for graph, form in (
        (converted.before, converted.optimize.baseline),
        (converted.after, converted.optimize.optimized),
    ):
        times = [node.microseconds for node in graph.nodes]
        assert None not in times
        assert form.latency_ms is not None
        assert 0 <= sum(time or 0 for time in times) < 20 * 1e3 * form.latency_ms + 1e3


@pytest.mark.parametrize(
    ("read", "order", "words"), [(Layout.NATURAL, "as is", "NCHW"), (Layout.OTHER, "NHCW", "NHCW")]
)
def test_of_several_copies_of_a_value_the_reason_is_that_of_the_layout(read: Layout, order: str, words: str) -> None:
    def copy(layout: str) -> Copy:
        written, reading = (
            TransposeSide("NHWC", ("Conv c",), (), "Conv c", ""),
            TransposeSide(layout, (), (), f"reader of {layout}", ""),
        )
        return Copy("v", (1, 3, 4, 5), "float32", 240, 240, 1, 1, written, reading, frozenset())

    tensors = {
        "c": GraphTensor("c", (1, 4, 5, 3), "float32", 240, Layout.CHANNELS_LAST, "NHWC"),
        "t": GraphTensor("t", (1, 3, 4, 5), "float32", 240, read, order),
    }
    node = GraphNode("0", "TRANSPOSE", "Transpose/v_natural", ("c",), ("t",), is_transpose=True)
    knowledge = PlanFacts(copies={"v": [copy("WHCN"), copy("NCHW"), copy("NHCW")]})
    (found,) = annotate(ModelGraph("", (node,), tensors, ("c",), ("t",)), {}, knowledge, planned=True).nodes
    assert f"reader of {words}" in found.reason


@pytest.mark.parametrize("which", [0, 1, 2])
def test_errors_come_to_the_nodes_that_make_them(
    directory: Path, converted: ModelReport, tmp_path: Path, which: int
) -> None:
    position = [int(node.id) for node in converted.after.nodes if "CONV" in node.operator][which]
    bad = damage(directory / "after.tflite", tmp_path / "bad.tflite", position, 1, 1.2)
    model = load(directory / "head.onnx")
    findings = compare_layers(
        model, random_inputs(model, 0), bad, tolerance=1e-4, verbose=False, say=lambda _stage: None
    )
    graph, names = graphs.of_tflite(bad, "damaged")
    graph = annotate(graph, {names[each.index]: each for each in findings.layers}, PlanFacts(), planned=True)
    own = {node.id: max(graph.tensors[name].own_error or 0 for name in node.outputs) for node in graph.nodes}
    assert max(own, key=own.__getitem__) == str(position)
    assert own[str(position)] > 0.01
    assert sorted(own.values())[-2] < 1e-4
    assert all((graph.tensors[node.outputs[0]].relative_error or 0) < 1e-4 for node in graph.nodes[:position])
    assert max(tensor.relative_error or 0 for tensor in converted.after.tensors.values()) < 1e-4


def test_json_and_notes(converted: ModelReport) -> None:
    data = json.loads(json.dumps(converted.to_json(), allow_nan=False))
    assert data["after"]["tensors"][converted.after.inputs[0]]["layout"] == "channels-last"
    assert set(data) >= {"name", "created", "machine", "optimize", "explain", "before", "after", "stages", "notes"}
    assert converted.notes == ()
    assert converted.name == "head.onnx"
    assert converted.before is not None
    assert converted.before.title == ModelKind.PER_OPERATOR.value


def test_a_conversion_leaves_its_files_where_it_is_told_to(directory: Path, converted: ModelReport) -> None:
    del converted
    assert {path.name for path in directory.iterdir()} >= {"before.tflite", "after.tflite"}
    assert path_in(directory, ModelKind.PLAIN) == directory / "plain.tflite"
