"""Outputs with a row for each detection, at a fixed number of rows: what is there, in order, and zeros after it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.boundary import RECORD, Boundary
from layoutopt.boundary.record import recorded_boundary
from layoutopt.boundary.writing import boundary_of
from layoutopt.cli import app
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.ir.verify import run_onnx
from tests import detectors
from tests.boundary.networks import classifier
from tests.conversion_cases import Array, Case

ROWS = 5
NAMES = ("y", "z", "w")


def inputs(threshold: float) -> dict[str, Array]:
    """As many scores above 0.25 as there are above ``threshold``."""
    rng = np.random.default_rng(3)
    scores = detectors.scores(rng, 40, 3)
    return {"boxes": detectors.boxes(rng, 40), "scores": np.where(scores > threshold, scores, 0).astype(np.float32)}


def case(threshold: float = 0.25, body: str = detectors.TORCHVISION, outputs: tuple[str, ...] = NAMES) -> Case:
    return Case(body, inputs(threshold), detectors.TORCHVISION_CONSTANTS, outputs=outputs)


def detector(made: Case | None = None) -> ir.Model:
    made = made or case()
    return ir.from_proto(made.model_to_convert(made.expected()))


def converted(folder: Path, boundary: Boundary, model: ir.Model | None = None) -> tuple[Path, layoutopt.OptimizeReport]:
    path = folder / "a.tflite"
    report = layoutopt.optimize(
        model or detector(), tflite=path, boundary=boundary, baseline=False, backend="direct", force=True
    )
    return path, report


@pytest.mark.parametrize("threshold", [2.0, 1.0, 0.25])
def test_rows_are_filled_up_or_dropped(threshold: float, tmp_path: Path) -> None:
    path, report = converted(tmp_path, Boundary(max_detections=ROWS))
    assert [each.shape for each in report.outputs] == [(ROWS, 4), (ROWS,), (ROWS,), (1,)]
    assert [tuple(each.shape) for each in signature_of(path).outputs] == [(ROWS, 4), (ROWS,), (ROWS,), (1,)]
    made = case(threshold)
    found = run_tflite(path, made.fed())
    wanted = made.expected()
    number = min(len(wanted[0]), ROWS)
    assert number in ((0,), (1, 2, 3, 4), (ROWS,))[[2.0, 1.0, 0.25].index(threshold)]
    np.testing.assert_array_equal(found["count"], np.array([number], np.int32), strict=True)
    for name, array in zip(NAMES, wanted, strict=True):
        np.testing.assert_array_equal(found[name][:number], array[:number])
        assert found[name].dtype == array.dtype
        assert not found[name][number:].any()


def test_buffers_of_fixed_size_hold_them(tmp_path: Path) -> None:
    from ai_edge_litert.compiled_model import CompiledModel

    path, _ = converted(tmp_path, Boundary(max_detections=ROWS))
    compiled = CompiledModel.from_file(str(path))
    given, taken = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    signature, made = signature_of(path), case()
    for buffer, tensor in zip(given, signature.inputs, strict=True):
        buffer.write(made.inputs[tensor.signature_name])
    compiled.run_by_index(0, given, taken)
    wanted = run_tflite(path, made.fed())
    for buffer, tensor in zip(taken, signature.outputs, strict=True):
        array = wanted[tensor.signature_name]
        if array.dtype == np.int64:  # which LiteRT's buffers have no reader for in Python
            continue
        assert np.array_equal(np.reshape(buffer.read(array.size, array.dtype.type), array.shape), array)


def test_it_is_recorded_and_read_back(tmp_path: Path) -> None:
    path, _ = converted(tmp_path, Boundary(max_detections=ROWS))
    boundary = boundary_of(path)
    assert boundary is not None
    assert boundary == Boundary(max_detections=ROWS)
    assert boundary.told() == [f"--max-detections {ROWS}"]
    assert layoutopt.compare(detector(), path, input=inputs(0.25)).passed
    earlier = {key: value for key, value in json.loads(boundary.to_json()).items() if key != "max_detections"}
    assert Boundary.from_json(json.dumps(earlier)) == Boundary()
    model, _ = Boundary(max_detections=ROWS).apply(detector())
    assert recorded_boundary(model) == boundary
    assert RECORD in model.metadata_props


def test_outputs_of_different_numbers_have_a_count_each() -> None:
    model, _ = Boundary(max_detections=ROWS).apply(detector(case(outputs=("y", "z", "above"))))
    found = run_onnx(model, inputs(1.0))
    assert list(found) == ["y", "z", "above", "y_count", "above_count"]
    wanted = case(1.0, outputs=("y", "z", "above")).expected()
    assert [int(found[name][0]) for name in ("y_count", "above_count")] == [min(len(wanted[i]), ROWS) for i in (0, 2)]
    assert np.array_equal(found["above"][: len(wanted[2])], wanted[2][:ROWS])


def test_sizes_without_a_name_are_not_taken_for_equal() -> None:
    unknown = "m = Neg(z) \n p = Neg(above)"
    made = case(body=f"{detectors.TORCHVISION} {unknown}", outputs=("m", "p"))
    model = detector(made)
    for node in model.graph:
        if node.op_type == "Neg":  # of which inference knows nothing
            node.domain = "plugins.of.somebody"
    model.graph.opset_imports["plugins.of.somebody"] = 1
    model, _ = Boundary(max_detections=ROWS).apply(model)
    assert [value.name for value in model.graph.outputs] == ["m", "p", "m_count", "p_count"]


def test_rows_along_another_axis_and_in_a_body() -> None:
    body = "found = NonZero(scores) \n y = Cast<to = 1>(found)"
    made = case(body=body, outputs=("y",))
    model, _ = Boundary(max_detections=ROWS).apply(detector(made))
    found = run_onnx(model, made.inputs)
    assert np.array_equal(found["y"], made.expected()[0][:, :ROWS])
    inner = "flag = Constant<value_ints = [1]>() \n condition = Cast<to = 9>(flag)"
    branch = "(float[a] {0}) {{ {0} = Compress(scores, picked) }}"
    body = f"{inner} \n picked = Cast<to = 9>(flag) \n y = If(condition) <"
    body += f"then_branch = one () => {branch.format('p')}, else_branch = two () => {branch.format('q')}>"
    made = case(body=body, outputs=("y",))
    model, _ = Boundary(max_detections=ROWS).apply(detector(made))
    assert run_onnx(model, made.inputs)["count"] == 1


def test_what_has_no_such_output_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-detections 5: no output has a number of rows that depends"):
        Boundary(max_detections=ROWS).apply(classifier())
    with pytest.raises(UsageError, match="needs at least one row"):
        Boundary(max_detections=0).apply(detector())
    ultralytics = Case(detectors.ULTRALYTICS, inputs(0.25), detectors.ULTRALYTICS_CONSTANTS, opset=17, stated=True)
    with pytest.raises(UsageError, match="no output has") as caught:
        Boundary(max_detections=ROWS).apply(detector(ultralytics))
    assert "fixed size without" in caught.value.hint
    old = detector()
    old.graph.opset_imports[""] = 9
    with pytest.raises(UsageError, match="opset below 10"):
        Boundary(max_detections=ROWS).apply(old)


def test_several_open_axes_are_refused() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> g (float[batch, 8] x, bool[8] kept) => (float[batch, k] y) {
        y = Compress<axis = 1>(x, kept)
    }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    with pytest.raises(UsageError, match="output 'y' has several axes of unknown size: 0, 1") as caught:
        Boundary(max_detections=ROWS).apply(model)
    assert "fixed size of the batch" in caught.value.hint


def test_open_outputs_are_told_of(tmp_path: Path) -> None:
    path, report = converted(tmp_path, Boundary())
    assert "How many rows y, z, w have depends on the data" in report.notes[-1]
    for threshold in (2.0, 0.25):
        made = case(threshold)
        found = run_tflite(path, made.fed())
        for name, array in zip(NAMES, made.expected(), strict=True):
            np.testing.assert_array_equal(found[name], array, strict=True)


def test_the_command_line(tmp_path: Path) -> None:
    model = tmp_path / "detector.onnx"
    made = case()
    onnx.save(made.model_to_convert(made.expected()), model)
    told = ["optimize", str(model), "--no-baseline", "--backend", "direct", "--json", "-"]
    found = CliRunner().invoke(app, [*told, "--max-detections", "5"])
    assert found.exit_code == 0, found.output
    counted = CliRunner().invoke(app, ["count", str(model.with_suffix(".tflite"))])
    assert "--max-detections 5" in counted.output
    assert CliRunner().invoke(app, [*told, "--max-detections", "0"]).exit_code == 2


def test_int8_names_the_part_before_the_selection(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((8, 1, 3, 32, 32)).astype(np.float32)
    with pytest.raises(UnsupportedOperatorError, match="how large the result of /found/NonZero is") as caught:
        layoutopt.optimize(
            detectors.network(),
            tflite=tmp_path / "a.tflite",
            quantize="int8",
            calibration={"image": samples},
            baseline=False,
            backend="direct",
        )
    assert "--outputs every_box," in caught.value.hint
