"""A .tflite beside its ONNX model: what is the same is found to be, and a fault is found where it was put."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from typer.testing import CliRunner, Result

import layoutopt
from docs.tools.examples import damage
from layoutopt import errors
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.backend.litert.operator_times import Transpose, write_operator
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.cli import app
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import load, save
from layoutopt.results.comparison import MatchedBy
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value
from layoutopt.tfl.reader import read_tflite

Array = npt.NDArray[np.float32]

PLAIN = """<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,16,16] x) => (float[1,10] y) {
    [first] a = Conv<pads=[1,1,1,1]>(x, w1, b1)
    [norm] n = BatchNormalization(a, scale, offset, mean, variance)
    [act] r = Relu(n)
    [second] c = Conv<pads=[1,1,1,1]>(r, w2, b2)
    [sum] s = Add(c, r)
    [pool] p = GlobalAveragePool(s)
    [flat] f = Flatten(p)
    [head] y = Gemm<transB=1>(f, w3, b3)
}"""


def plain_model(path: Path) -> Path:
    rng = np.random.default_rng(0)
    shapes = {"w1": (6, 3, 3, 3), "w2": (6, 6, 3, 3), "w3": (10, 6)}
    shapes |= dict.fromkeys(("b1", "scale", "offset", "mean", "variance", "b2"), (6,)) | {"b3": (10,)}
    model = onnx.parser.parse_model(PLAIN)
    for name, shape in shapes.items():
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.abs(array) + 0.5 if name == "variance" else array, name)
        )
    onnx.save(model, path)
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("mobilenet")
    model, converted = directory / "model.onnx", directory / "model.tflite"
    save(mobilenet_v2(resolution=32, width=0.25), model)
    layoutopt.optimize(model, output=directory / "model.nhwc.onnx", tflite=converted, baseline=False)
    return model, converted


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("plain")
    model, converted = plain_model(directory / "model.onnx"), directory / "model.tflite"
    layoutopt.convert(model, tflite=converted, handlers=layoutopt.Handlers.PLAIN)
    return model, converted


# --- what agrees -----------------------------------------------------------------------------------------------------


def test_a_good_tflite_agrees_layer_by_layer(mobilenet: tuple[Path, Path]) -> None:
    model, converted = mobilenet
    report = layoutopt.compare(model, converted)
    assert report.passed
    assert report.first is None
    assert len(report.layers) >= 0.9 * report.tensors
    assert report.largest.relative_error < 1e-4
    # Each Relu6, each residual sum and each linear bottleneck of the original is found, in its layout.
    proto = onnx.load(model)
    found = {layer.value: layer for layer in report.layers}
    for node in proto.graph.node:
        if node.op_type in ("Clip", "Add"):
            layer = found[node.output[0]]
            assert layer.node == node.name
            assert layer.layout in ("NHWC", "as is")
            assert tuple(layer.onnx_shape[axis] for axis in (0, 2, 3, 1)) == layer.shape
    assert {layer.matched_by for layer in report.layers} == {MatchedBy.INTERFACE, MatchedBy.CONTENT}
    assert json.dumps(report.to_json(), allow_nan=False)


def test_the_optimized_onnx_will_do_as_well(mobilenet: tuple[Path, Path]) -> None:
    model, converted = mobilenet
    report = layoutopt.compare(model.with_suffix(".nhwc.onnx"), converted)
    assert report.passed
    assert {layer.layout for layer in report.layers if len(layer.shape) == 4} == {"as is"}


@pytest.mark.onnx_tf
def test_what_plain_onnx_tf_made(plain: tuple[Path, Path]) -> None:
    report = layoutopt.compare(*plain)
    assert report.passed
    assert {"x", "r", "s", "y"} <= {layer.value for layer in report.layers}  # a and n are fused into r, c into s or not


# --- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operand", "factor"), [(1, 1.02), (1, -3.0), (2, 1.5)])
def test_a_fault_is_found_where_it_was_put(
    mobilenet: tuple[Path, Path], tmp_path: Path, operand: int, factor: float
) -> None:
    model, converted = mobilenet
    convolutions = [at for at, each in enumerate(operators_of(converted)) if "CONV" in each.name]
    for at in convolutions[2::16]:
        index, name = operators_of(converted)[at].outputs[0]
        report = layoutopt.compare(model, damage(converted, tmp_path / "bad.tflite", at, operand, factor))
        assert not report.passed
        assert report.first is not None
        assert report.first.layer.index == index
        assert report.first.suspects[-1].endswith(name)
        (worst,) = report.adding_most(1)
        assert worst.index == index
        others = [layer.own_error for layer in report.layers if layer.index != index]
        assert max(others) < 1e-4 < worst.own_error


@pytest.mark.onnx_tf
def test_a_fault_behind_plain_onnx_tf(plain: tuple[Path, Path], tmp_path: Path) -> None:
    model, converted = plain
    convolutions = [at for at, each in enumerate(operators_of(converted)) if each.name == "CONV_2D"]
    report = layoutopt.compare(model, damage(converted, tmp_path / "bad.tflite", convolutions[1], 1, 1.05))
    assert report.first is not None
    assert report.first.layer.value in ("c", "s")
    assert "r" in report.first.after
    assert report.first.suspects[0].startswith(("CONV_2D", "PAD", "TRANSPOSE"))
    assert report.adding_most(1)[0] == report.first.layer


def test_the_errors_are_those_that_numpy_finds(mobilenet: tuple[Path, Path], tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model, converted = mobilenet
    bad = damage(converted, tmp_path / "bad.tflite", 3, 1, 1.1)
    image = np.random.default_rng(5).standard_normal((1, 3, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "x.npz", input=image)
    report = layoutopt.compare(model, bad, input=tmp_path / "x.npz")
    (expected,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"input": image})
    interpreter = Interpreter(str(bad))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1).copy())
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    wide = np.abs(expected.astype(np.float64) - actual)
    (output,) = report.outputs
    assert math.isclose(output.xnnpack.max_abs_error, wide.max(), rel_tol=1e-3)
    assert math.isclose(output.xnnpack.mse, np.mean(wide**2), rel_tol=1e-3)
    assert math.isclose(output.xnnpack.relative_error, wide.max() / np.abs(expected).max(), rel_tol=1e-3)


@pytest.mark.long
def test_dynamic_range_weights(mobilenet: tuple[Path, Path], tmp_path: Path) -> None:
    model, converted = mobilenet
    small = tmp_path / "small.tflite"
    layoutopt.convert(model.with_suffix(".nhwc.onnx"), tflite=small, quantize=layoutopt.Quantize.DYNAMIC)
    report = layoutopt.compare(model, small, tolerance=0.3)
    assert report.passed
    assert len(report.layers) >= 0.9 * report.tensors
    assert 1e-4 < report.largest.relative_error < 0.3
    exact = layoutopt.compare(model, converted)
    same = {layer.value for layer in report.layers} & {layer.value for layer in exact.layers}
    assert len(same) >= 0.95 * len(exact.layers)


def test_int8_layers_have_their_own_noise(mobilenet: tuple[Path, Path], tmp_path: Path) -> None:
    """The ratios are those of NumPy, and a layer that is made worse has the least of its own."""
    model, _ = mobilenet
    samples = np.random.default_rng(0).standard_normal((20, 3, 32, 32)).astype(np.float32)
    small = tmp_path / "int8.tflite"
    layoutopt.optimize(model, tflite=small, baseline=False, quantize="int8", calibration=samples)
    image = samples[:1]
    report = layoutopt.compare(model, small, input={"input": image})
    assert report.quantized
    assert report.tolerance == 0.1
    (expected,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"input": image})
    (found,) = run_tflite(small, {"input": np.ascontiguousarray(image.transpose(0, 2, 3, 1))}).values()
    wide = expected.astype(np.float64)
    (output,) = report.outputs
    assert output.xnnpack.sqnr == pytest.approx(10 * np.log10((wide**2).sum() / ((wide - found) ** 2).sum()), abs=0.05)
    own = [layer.own_sqnr for layer in report.adding_most(5)]
    assert own == sorted(own)
    assert 15 < own[0] == min(layer.own_sqnr for layer in report.layers if layer.own_error)
    coarse = read_tflite(small)
    convolutions = [each for each in coarse.graph.operations if each.code == "CONV_2D" and each[1].dtype is DType.INT8]
    layer = convolutions[5]
    layer.operands[1] = rounded(layer[1], 32)
    bad = tmp_path / "bad.tflite"
    write_tflite(coarse, bad)
    worse = layoutopt.compare(model, bad, input={"input": image}).adding_most(1)[0]
    assert worse.tensor == layer.result.name
    assert worse.own_sqnr < own[0]
    told = invoke(model, bad, "--top", "1")
    assert f"{worse.own_sqnr:.1f} dB" in told.stdout


def rounded(weights: Value, step: int) -> Value:
    """Return int8 weights as multiples of ``step``."""
    coarse = Value.constant(np.clip(np.rint(weights.array / step) * step, -127, 127).astype(np.int8))
    coarse.quantization = weights.quantization
    return coarse


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_tells_and_fails(mobilenet: tuple[Path, Path], tmp_path: Path) -> None:
    model, converted = mobilenet
    good = invoke(model, converted)
    assert good.exit_code == 0, good.output
    assert "No layer is off by more than the tolerance" in good.stdout
    bad = damage(converted, tmp_path / "bad.tflite", 3, 1, 1.1)
    told = invoke(model, bad, "--json", tmp_path / "r.json", "--top", "1")
    assert told.exit_code == errors.VerificationError.exit_code
    assert "The error enters after" in told.stdout
    assert "It enters at node" in told.stderr
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["passed"] is False
    assert data["first"]["layer"]["index"] == operators_of(bad)[3].outputs[0][0]
    assert data["largest"]["relative_error"] >= data["first"]["layer"]["relative_error"] > data["tolerance"]
    assert len(data["layers"]) == data["matched"]
    assert invoke(model, bad, "--tolerance", "10").exit_code == 0
    every = invoke(model, bad, "--all", "--tolerance", "10")
    assert every.stdout.count(" -> ") == data["matched"]


# --- inputs and layouts ----------------------------------------------------------------------------------------------


def transposing(tmp_path: Path, shape: str = "1,4,4,4") -> tuple[Path, Path]:
    """An ONNX model that transposes, and a .tflite that does the same, made without TensorFlow."""
    graph = f"g (float[{shape}] x) => (float[A,B,C,D] y) {{ y = Transpose<perm=[0,3,1,2]>(x) }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {graph}')
    onnx.save(model, tmp_path / "t.onnx")
    write_operator(Transpose((1, 4, 4, 4), (0, 3, 1, 2), 32), tmp_path / "t.tflite")
    return tmp_path / "t.onnx", tmp_path / "t.tflite"


def test_where_sizes_do_not_tell_the_layout_the_outputs_do(tmp_path: Path) -> None:
    report = layoutopt.compare(*transposing(tmp_path))
    assert report.passed
    assert report.layers[0].layout == "as is"


def test_arrays_give_symbolic_dimensions_their_sizes(tmp_path: Path) -> None:
    model, converted = transposing(tmp_path, "N,4,4,4")
    with pytest.raises(errors.DynamicShapeError, match="x"):
        layoutopt.compare(model, converted)
    assert layoutopt.compare(model, converted, shapes={"x": (1, 4, 4, 4)}).passed
    assert layoutopt.compare(model, converted, input={"x": np.ones((1, 4, 4, 4), np.float32)}).passed


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    model, converted = transposing(tmp_path)
    cases: Mapping[str, tuple[dict[str, npt.NDArray[np.generic]], str]] = {
        "missing": ({"z": np.ones(3, np.float32)}, r"holds \['z'\]"),
        "shape": ({"x": np.ones((1, 4, 4, 3), np.float32)}, r"'x' is float32\[1, 4, 4, 3\]"),
        "type": ({"x": np.ones((1, 4, 4, 4), np.int32)}, r"'x' is int32"),
    }
    for name, (arrays, message) in cases.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(errors.UsageError, match=message):
            layoutopt.compare(model, converted, input=tmp_path / f"{name}.npz")
    (tmp_path / "text.npz").write_text("no archive")
    for path in ("text.npz", "none.npz"):
        with pytest.raises(errors.UsageError, match=path):
            layoutopt.compare(model, converted, input=tmp_path / path)


def test_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    model, _ = transposing(tmp_path)
    with pytest.raises(errors.ModelNotFoundError, match="none"):
        layoutopt.compare(model, tmp_path / "none.tflite")
    (tmp_path / "text.tflite").write_text("not a model at all")
    with pytest.raises(errors.InvalidModelError, match=r"text\.tflite"):
        layoutopt.compare(model, tmp_path / "text.tflite")
    write_operator(Transpose((1, 4, 5, 4), (0, 3, 1, 2), 32), tmp_path / "other.tflite")
    with pytest.raises(errors.UsageError, match=r"takes \[1, 4, 5, 4\] for the input 'x'"):
        layoutopt.compare(model, tmp_path / "other.tflite")
    write_operator(Transpose((1, 4, 4, 4), (0, 2, 1, 3), 32), tmp_path / "wrong.tflite")
    report = layoutopt.compare(model, tmp_path / "wrong.tflite")
    assert not report.passed or report.layers[-1].layout != "as is"


def test_an_image_needs_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    model, converted = transposing_files(tmp_path)
    layoutopt.convert(model, tflite=converted)
    with pytest.raises(errors.MissingExtraError, match="Pillow"):
        layoutopt.compare(model, converted, input=tmp_path / "photo.png")


def transposing_files(tmp_path: Path) -> tuple[Path, Path]:
    save(mobilenet_v2(resolution=32, width=0.25), tmp_path / "m.onnx")
    return tmp_path / "m.onnx", tmp_path / "m.tflite"


def test_an_image_becomes_the_one_input(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    from layoutopt.frontend.inputs import give_inputs

    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    image_module.fromarray(pixels).save(tmp_path / "photo.png")
    model, _ = transposing_files(tmp_path)
    given = give_inputs(load(model), tmp_path / "photo.png", shapes={}, seed=0)
    expected: Array = (pixels.transpose(2, 0, 1)[np.newaxis] / 255).astype(np.float32)
    assert given["input"].dtype == np.float32
    np.testing.assert_allclose(given["input"].astype(np.float32), expected, rtol=1e-6)
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[1,5,4,4] x) => (float[1,5,4,4] y) { y = Relu(x) }'
    many = ir.from_proto(onnx.parser.parse_model(text))
    with pytest.raises(errors.UsageError, match="does not take one image"):
        give_inputs(many, tmp_path / "photo.png", shapes={}, seed=0)
