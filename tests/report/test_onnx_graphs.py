"""The report of an ONNX model: layouts, bytes, errors and reasons are what others find, too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.api import optimize, report
from layoutopt.errors import UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.io import load
from layoutopt.ir.verify import random_inputs
from layoutopt.passes import FoldConstants
from layoutopt.results.model_report import Layout, ModelReport
from layoutopt.results.optimize import ModelKind
from layoutopt.workflows.conversion import per_operator
from layoutopt.workflows.layerwise import compare_rewritten
from tests.report.models import head, inner, transposes


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
    assert found.optimize.optimized.kind is ModelKind.ONNX
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
    assert found.optimized.kind is ModelKind.ONNX
    assert found.notes == ("Counts are of the ONNX graph.",)
    with pytest.raises(UsageError, match="without a conversion"):
        optimize(model, convert=False, tflite=tmp_path / "x.tflite")
