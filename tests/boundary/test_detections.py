"""Outputs with a row for each detection, at a fixed number of rows: what is there, in order, and zeros after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from layoutopt.report.terminal.quantization import of_quantization
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


@pytest.mark.parametrize("threshold", [2.0, 1.0, 0.25])
@pytest.mark.parametrize("most", [3, 20])
def test_two_stages_find_the_same(threshold: float, most: int, tmp_path: Path) -> None:
    """Regions of the first selection are looked at, and what is found there is selected from again."""
    body, constants = detectors.two_stages()
    features = np.random.default_rng(5).standard_normal((1, 5, 12, 12)).astype(np.float32)
    names = tuple(f"second_{name}" for name in NAMES)
    made = Case(body, {**inputs(threshold), "features": features}, constants, outputs=names)
    path, report = converted(tmp_path, Boundary(max_detections=most), detector(made))
    assert [each.shape for each in report.outputs] == [(most, 4), (most,), (most,), (1,)]
    wanted, found = made.expected(), dict[str, Array](run_tflite(path, stored(report, made.inputs)))
    number = int(found["count"][0])
    assert number == min(len(wanted[0]), most)
    assert (number > 0) == (threshold < 2)
    np.testing.assert_array_equal(found["second_w"][:number], wanted[2][:number])
    for name, array in zip(names, wanted, strict=True):
        np.testing.assert_allclose(found[name][:number], array[:number], rtol=1e-5, atol=1e-5)
        assert not found[name][number:].any()


def stored(report: layoutopt.OptimizeReport, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs of the original as the .tflite takes them."""
    return {
        each.name: np.ascontiguousarray(arrays[each.name].reshape(each.original_shape).transpose(0, 2, 3, 1))
        if each.shape != each.original_shape
        else arrays[each.name]
        for each in report.inputs
    }


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


def test_the_part_with_one_open_axis_is_named() -> None:
    """Masks that are pasted into the picture of a detection: no kernel does that, and the part before it is told."""
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[4, 8] x, bool[4] rows, bool[6] columns) => (float[a, b] y) {
        table = MatMul(x, weights)
        some = Compress<axis=0>(table, rows)
        y = Compress<axis=1>(some, columns)
    }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 6), np.float32), "weights"))
    with pytest.raises(UnsupportedOperatorError, match="output 'y' has several axes of unknown size: 0, 1") as caught:
        layoutopt.optimize(model, boundary=Boundary(max_detections=ROWS))
    assert caught.value.hint.endswith("To take the part without them: --outputs some")
    part, _ = Boundary(outputs=["some"], max_detections=ROWS).apply(ir.from_proto(model))
    assert [value.name for value in part.graph.outputs] == ["some", "count"]


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


def overlaps(one: Array, others: Array) -> Array:
    """Intersection over union of a box with others."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    return np.asarray(inside / ((one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - inside))


@pytest.mark.parametrize("io", ["float", "int8"])
def test_int8_stops_at_the_selection(io: str, tmp_path: Path) -> None:
    """The network computes with integers, the selection with floats; it finds what the float model finds."""
    rng = np.random.default_rng(0)
    images = [(rng.standard_normal((1, 3, 32, 32)) * 0.1).astype(np.float32) for _ in range(24)]
    report = layoutopt.optimize(
        detectors.network(),
        tflite=tmp_path / "a.tflite",
        quantize="int8",
        calibration={"image": np.stack(images[:20])},
        quantization=layoutopt.QuantizationOptions(io=io),
        boundary=Boundary(max_detections=12),
        baseline=False,
    )
    made = report.quantization
    assert made is not None
    assert made.whole >= 2
    assert [each.code for each in made.floats].count("NON_MAX_SUPPRESSION_V4") == 1
    assert {each.name for each in made.floats if "detections" in each.reason} >= {"/kept/NonMaxSuppression"}
    read = {each.name.partition("[")[0] for each in made.outputs}
    assert read == {"/every_box/Concat", "/every_score/Sigmoid"}  # of which the selection is made
    assert min(output.sqnr for output in made.outputs) > 20
    assert "selects detections" in " ".join(str(line) for line in of_quantization(made, file_size=1, verbose=False))
    signature = signature_of(tmp_path / "a.tflite")
    assert [each.dtype for each in signature.outputs] == ["float32", "float32", "int64", "int32"]
    assert signature.inputs[0].dtype == ("float32" if io == "float" else "int8")
    if io == "float":
        boundary, _ = Boundary(max_detections=12).apply(ir.from_proto(detectors.network()))
        for image in images[20:]:
            wanted = run_onnx(boundary, {"image": image})
            stored = image.transpose(0, 2, 3, 1) if signature.inputs[0].shape[-1] == 3 else image
            found = run_tflite(tmp_path / "a.tflite", {"image": np.ascontiguousarray(stored)})
            _same_boxes(wanted, found)


def _same_boxes(wanted: dict[str, Array], found: dict[str, Array]) -> None:
    """Each detection with a score that is above others by more than rounding has one like it in the other model."""
    count, other = int(wanted["count"][0]), int(found["count"][0])
    assert count > 3
    alike = 0
    for at in range(count):
        same = found["labels"][:other] == wanted["labels"][at]
        near = overlaps(wanted["boxes"][at], found["boxes"][:other]) > 0.8
        close = np.abs(found["scores"][:other] - wanted["scores"][at]) < 0.05
        alike += bool((same & near & close).any())
    assert alike >= 0.8 * count


def test_nothing_but_integers_is_not_for_a_selection(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((8, 1, 3, 32, 32)).astype(np.float32)
    with pytest.raises(UnsupportedOperatorError, match="--int8 full: from /found/NonZero on, which") as caught:
        layoutopt.optimize(
            detectors.network(),
            tflite=tmp_path / "a.tflite",
            quantize="int8",
            calibration={"image": samples},
            quantization=layoutopt.QuantizationOptions(int8="full"),
            baseline=False,
            backend="direct",
        )
    assert "--outputs every_box," in caught.value.hint
