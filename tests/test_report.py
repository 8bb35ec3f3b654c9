"""The report of a model: what it says of layouts, bytes, errors and reasons is what others find, too."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from typer.testing import CliRunner, Result

from layoutopt.api import optimize, report
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.cli import app
from layoutopt.errors import ConversionError, OutputError, OutputExistsError, UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.io import load, save
from layoutopt.ir.verify import random_inputs
from layoutopt.layout.explain.explanation import Copy, Side
from layoutopt.options import Io
from layoutopt.outputs import writing
from layoutopt.passes import FoldConstants
from layoutopt.report.model_explorer import expect_overlays, overlays_of, write_overlays
from layoutopt.results.model_report import Graph, GraphNode, GraphTensor, Layout, ModelReport
from layoutopt.results.optimize import Kind
from layoutopt.workflows import graphs
from layoutopt.workflows.annotation import annotate
from layoutopt.workflows.conversion import path_in, per_operator
from layoutopt.workflows.layerwise import compare_layers, compare_rewritten
from layoutopt.workflows.plan_facts import Knowledge
from tests.test_compare import damage

HEAD = """<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,16,20] image) => (float[1,160,7] y) {
    [stem] a = Conv<pads=[1,1,1,1]>(image, w1, b1)
    [act] r = Relu(a)
    [down] d = Conv<pads=[1,1,1,1], strides=[2,2]>(r, w2, b2)
    [gate] g = Sigmoid(d)
    [silu] m = Mul(d, g)
    [head] h = Conv(m, w3, b3)
    [view] v = Reshape(h, split)
    [permute] p = Transpose<perm=[0,1,3,4,2]>(v)
    [squash] q = Sigmoid(p)
    [join] y = Reshape(q, flat)
}"""
"""A detector's head: behind the last convolution, boxes come before channels, which costs one transpose."""


def head(path: Path) -> Path:
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(HEAD)
    shapes = {"w1": (6, 3, 3, 3), "w2": (8, 6, 3, 3), "w3": (14, 8, 1, 1), "b1": (6,), "b2": (8,), "b3": (14,)}
    constants: dict[str, npt.NDArray[np.generic]] = {
        name: rng.standard_normal(shape).astype(np.float32) / 4 for name, shape in shapes.items()
    }
    constants |= {"split": np.array([1, 2, 7, 8, 10]), "flat": np.array([1, 160, 7])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    return path


def refuse(*_: object, **__: object) -> None:
    raise ConversionError("lowering", "no")


@pytest.fixture
def unconvertible(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model can be converted, so that reports are of ONNX graphs."""
    monkeypatch.setattr("layoutopt.workflows.conversion.convert_directly", refuse)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def converted(directory: Path) -> ModelReport:
    """The report on the head, converted and timed; the models are in ``directory``."""
    return report(head(directory / "head.onnx"), models=directory)


@pytest.fixture(scope="module")
def unconverted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelReport]:
    """The report on a MobileNetV2 that cannot be converted and whose interface stays, and where its models are."""
    models = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layoutopt.workflows.conversion.convert_directly", refuse)
        save(mobilenet_v2(resolution=32, width=0.25), models / "original.onnx")
        return models, report(models / "original.onnx", io=Io.KEEP, objective="bytes", models=models)


def inner(path: Path, names: list[str], feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime computes for values inside of a model."""
    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feed), strict=True))


def transposes(graph: Graph) -> list[str]:
    return [node.id for node in graph.nodes if node.is_transpose]


# --- ONNX graphs ----------------------------------------------------------------------------------------------------


def test_layouts_are_what_onnx_runtime_computes(unconverted: tuple[Path, ModelReport]) -> None:
    models, found = unconverted
    graph, perms = found.after, {Layout.NATURAL: (0, 1, 2, 3), Layout.CHANNELS_LAST: (0, 2, 3, 1)}
    image = np.random.default_rng(9).standard_normal((1, 3, 32, 32)).astype(np.float32)
    told = [each for each in graph.tensors.values() if each.layout in perms and len(each.shape) == 4]
    told = [each for each in told if each.name not in graph.inputs]
    assert len(told) > 70
    expected = inner(models / "original.onnx", sorted({each.value for each in told}), {"input": image})
    actual = inner(models / "after.onnx", [each.name for each in told], {"input": image})
    for each in told:
        wanted = expected[each.value].transpose(perms[each.layout])
        assert wanted.shape == each.shape == actual[each.name].shape
        assert np.abs(actual[each.name] - wanted).max() < 1e-4 * max(1, np.abs(wanted).max()), each.name
        assert each.relative_error is not None
        assert each.relative_error < 1e-4
    assert Counter(each.layout for each in told) == {Layout.CHANNELS_LAST: len(told)}


def test_bytes_and_transposes_add_up(unconverted: tuple[Path, ModelReport]) -> None:
    models, found = unconverted
    assert found.before is not None
    for graph, path in ((found.before, models / "before.onnx"), (found.after, models / "after.onnx")):
        counts = count_onnx(FoldConstants(simplify=False)(load(path)).model)
        assert len(graph.nodes) == counts.operators
        assert len(transposes(graph)) == counts.transposes
        assert sum(node.bytes_moved for node in graph.nodes) == counts.bytes_moved
        assert len({node.id for node in graph.nodes}) == len(graph.nodes)
    assert len(transposes(found.after)) == 1
    assert found.after.nodes[0].is_transpose  # of the image, since the interface stays


def test_stages_fall_to_what_the_plan_costs(unconverted: tuple[Path, ModelReport]) -> None:
    models, found = unconverted
    assert [stage.name for stage in found.stages] == ["original", *(each.name for each in found.optimize.passes)]
    moved = [stage.bytes_moved for stage in found.stages]
    before = count_onnx(FoldConstants(simplify=False)(load(models / "before.onnx")).model)
    assert (moved[0], found.stages[0].transposes) == (before.bytes_moved, before.transposes)
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] == found.explain.layout.cost == 4 * 3 * 32 * 32
    names = [stage.name for stage in found.stages]
    assert moved[names.index("propagate-layout")] == moved[-1] < moved[names.index("propagate-layout") - 1]
    assert found.stages[-1].nodes == len(found.after.nodes)


@pytest.mark.usefixtures("unconvertible")
def test_the_model_is_left_alone(tmp_path: Path) -> None:
    path = head(tmp_path / "head.onnx")
    content = path.read_bytes()
    report(path)
    assert path.read_bytes() == content
    model = load(path)
    before = ir.to_proto(model).SerializeToString()
    report(model)
    assert ir.to_proto(model).SerializeToString() == before


@pytest.mark.usefixtures("unconvertible")
def test_each_transpose_that_is_left_has_its_reason(tmp_path: Path) -> None:
    found = report(head(tmp_path / "head.onnx"), objective="bytes")
    (left,) = [node for node in found.after.nodes if node.is_transpose]
    assert "Conv head" in left.reason
    assert "TFLite runs Conv channels-last only" in left.reason
    assert left.rule == ""
    assert left.bytes_moved == 4 * 14 * 8 * 10 == found.explain.layout.cost
    rules = {node.name: node.rule for node in found.after.nodes}
    assert rules["stem"].startswith("layout-sensitive: TFLite runs Conv channels-last only")
    assert rules["squash"].startswith("layout-agnostic: ")
    assert found.before is not None
    assert all(node.reason for node in found.before.nodes if node.is_transpose)


@pytest.mark.usefixtures("unconvertible")
def test_a_missing_rule_is_named(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
        [first] a = Conv<pads=[1,1,1,1]>(x, w)
        [odd] b = ScatterND(a, where, what)
        [last] y = Conv<pads=[1,1,1,1]>(b, w)
    }""")
    weights = np.random.default_rng(1).standard_normal((3, 3, 3, 3)).astype(np.float32)
    constants = {"w": weights, "where": np.array([[0, 1, 2, 3]]), "what": np.ones(1, np.float32)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, tmp_path / "m.onnx")
    found = report(tmp_path / "m.onnx")
    (odd,) = [node for node in found.after.nodes if node.operator == "ScatterND"]
    why = "an index names places on several axes in their natural order"
    assert odd.rule == f"layout-fixed: {why}"
    left = [node for node in found.after.nodes if node.is_transpose]
    assert len(left) == 2
    assert all(f"ScatterND odd, {why}" in node.reason for node in left)


def test_a_rewritten_model_is_compared_value_by_value() -> None:
    model = FoldConstants()(mobilenet_v2(resolution=32, width=0.25)).model
    inputs = random_inputs(model, 3)
    wrapped = per_operator(model.clone())
    layers = {layer.tensor: layer for layer in compare_rewritten(model, inputs, wrapped)}
    for node in wrapped.graph:
        if node.op_type == "Transpose":
            value = node.outputs[0]
            assert layers[str(value.name)].layout == ("NHWC" if str(value.name).endswith("nhwc") else "as is")
    assert max(layer.relative_error for layer in layers.values()) < 1e-4


@pytest.mark.usefixtures("unconvertible")
def test_what_cannot_be_had_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **keywords: object) -> None:
        raise UsageError("no comparison today")

    monkeypatch.setattr("layoutopt.workflows.report.compare_rewritten", fail)
    found = report(head(tmp_path / "head.onnx"))
    assert sum("no layouts and errors: no comparison today" in note for note in found.notes) == 2
    assert len(transposes(found.after)) == 1
    assert {tensor.value for tensor in found.after.tensors.values()} == {""}


@pytest.mark.usefixtures("unconvertible")
def test_a_model_that_cannot_be_converted_is_reported_as_onnx(tmp_path: Path) -> None:
    found = report(head(tmp_path / "head.onnx"), models=tmp_path / "models")
    assert found.notes[0] == "no .tflite: lowering: no"
    assert found.optimize.optimized.kind is Kind.ONNX
    assert (tmp_path / "models" / "after.onnx").is_file()


@pytest.mark.usefixtures("unconvertible")
def test_bodies_are_counted_but_not_shown(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,3,8,8] x, bool c) => (float[1,3,8,8] y) {
        a = Relu(x)
        y = If(c) <
            then_branch = t () => (float[1,3,8,8] u) { b = Sigmoid(a)  u = Exp(b) },
            else_branch = e () => (float[1,3,8,8] v) { v = Abs(a) }
        >
    }""")
    onnx.save(model, tmp_path / "m.onnx")
    found = report(tmp_path / "m.onnx")
    assert [node.operator for node in found.after.nodes] == ["Relu", "If"]
    assert any("3 operators in bodies of If, Loop and Scan" in note for note in found.notes)


@pytest.mark.usefixtures("unconvertible")
def test_what_passes_have_made_has_layouts_and_rules(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,3,8,10] x) => (float[1,4,8,10] y) {
        [first] a = Conv<pads=[1,1,1,1]>(x, w)
        [norm] n = InstanceNormalization(a, scale, shift)
        [last] y = Conv<pads=[1,1,1,1]>(n, v)
    }""")
    rng = np.random.default_rng(2)
    shapes = {"w": (6, 3, 3, 3), "v": (4, 6, 3, 3), "scale": (6,), "shift": (6,)}
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, tmp_path / "m.onnx")
    graph = report(tmp_path / "m.onnx").after
    planes = [tensor for tensor in graph.tensors.values() if tensor.has_order]
    assert all(tensor.layout is Layout.CHANNELS_LAST for tensor in planes)
    assert all(tensor.shape[-1] in (3, 4, 6) for tensor in planes if len(tensor.shape) == 4)
    made = [tensor for tensor in planes if not tensor.value]
    assert made
    assert {tensor.relative_error for tensor in made} == {None}
    assert len(graph.nodes) > 5
    assert all(node.rule for node in graph.nodes)


def test_optimize_can_be_looked_at_and_need_not_convert(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    model = head(tmp_path / "head.onnx")
    found = optimize(model, convert=False, instruments=[lambda at, name, _model: seen.append((at, name))])
    assert seen == [(at, each.name) for at, each in enumerate(found.passes, start=1)]
    assert found.optimized.kind is Kind.ONNX
    assert found.notes == ("Counts are of the ONNX graph.",)
    with pytest.raises(UsageError, match="without a conversion"):
        optimize(model, convert=False, tflite=tmp_path / "x.tflite")


# --- .tflite ---------------------------------------------------------------------------------------------------------


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
        written, reading = Side("NHWC", ("Conv c",), (), "Conv c", ""), Side(layout, (), (), f"reader of {layout}", "")
        return Copy("v", (1, 3, 4, 5), "float32", 240, 240, 1, 1, written, reading, frozenset())

    tensors = {
        "c": GraphTensor("c", (1, 4, 5, 3), "float32", 240, Layout.CHANNELS_LAST, "NHWC"),
        "t": GraphTensor("t", (1, 3, 4, 5), "float32", 240, read, order),
    }
    node = GraphNode("0", "TRANSPOSE", "Transpose/v_natural", ("c",), ("t",), is_transpose=True)
    knowledge = Knowledge(copies={"v": [copy("WHCN"), copy("NCHW"), copy("NHCW")]})
    (found,) = annotate(Graph("", (node,), tensors, ("c",), ("t",)), {}, knowledge, planned=True).nodes
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
    graph = annotate(graph, {names[each.index]: each for each in findings.layers}, Knowledge(), planned=True)
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
    assert converted.before.title == Kind.PER_OPERATOR.value


def test_a_hand_off_leaves_its_files_where_it_is_told_to(directory: Path, converted: ModelReport) -> None:
    del converted
    assert {path.name for path in directory.iterdir()} >= {"before.tflite", "after.tflite"}
    assert path_in(directory, Kind.PLAIN) == directory / "plain.tflite"


# --- Model Explorer --------------------------------------------------------------------------------------------------


def check_node_data(data: object, graph: Graph) -> None:
    """Holds one file against the format: graphs by name, each with a name, results by node, and perhaps a gradient."""
    assert isinstance(data, dict)
    assert list(data) == [graph.key]
    node_data = data[graph.key]
    assert set(node_data) <= {"name", "results", "gradient", "thresholds", "showExpandedSummaryOnGroupNode"}
    assert isinstance(node_data["name"], str)
    assert set(node_data["results"]) <= {node.id for node in graph.nodes}
    for result in node_data["results"].values():
        assert set(result) <= {"value", "bgColor", "textColor"}
        assert isinstance(result["value"], int | float | str)
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


def test_overlays_of_onnx_go_by_the_names_of_nodes(unconverted: tuple[Path, ModelReport]) -> None:
    models, found = unconverted
    for name, data in overlays_of(found.after).items():
        assert name != "time"
        check_node_data(data, found.after)
    names = {node.name for node in onnx.load(models / "after.onnx").graph.node}
    assert {node.id for node in found.after.nodes} == names


# --- the command line ------------------------------------------------------------------------------------------------


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


@pytest.mark.usefixtures("unconvertible")
def test_the_command_writes_a_page(tmp_path: Path) -> None:
    model, page, overlays = head(tmp_path / "head.onnx"), tmp_path / "page.html", tmp_path / "overlays"
    result = invoke(model, "-o", page, "--io", "keep", "--json", tmp_path / "r.json", "--model-explorer", overlays)
    assert result.exit_code == 0, result.output
    assert f"Report written to {page}" in result.stdout
    assert "proved: no choice of layouts takes less" in result.stdout
    assert "--extensions=model_explorer_onnx --node_data_paths=" in result.stdout
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.json").read_text())["stages"][0]["name"] == "original"
    assert (overlays / "after.onnx").is_file()
    assert (overlays / "after.layout.json").is_file()


def test_the_command_refuses_before_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **keywords: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr("layoutopt.api.report", never)
    model, page = head(tmp_path / "head.onnx"), tmp_path / "head.report.html"
    page.write_text("mine")
    refused = invoke(model)
    assert refused.exit_code == OutputExistsError.exit_code
    assert "--force" in refused.stderr
    assert page.read_text() == "mine"
    assert invoke(model, "-o", tmp_path / "no" / "page.html").exit_code == OutputError.exit_code
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "after.layout.json").write_text("mine")
    taken = invoke(model, "--force", "--model-explorer", page)
    assert taken.exit_code == OutputError.exit_code
    assert invoke(model, "-o", tmp_path / "p.html", "--model-explorer", tmp_path / "there").exit_code == (
        OutputExistsError.exit_code
    )
