"""``layoutopt optimize --quantize int8`` and ``mixed``: what is written, what is told, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import layoutopt
from layoutopt import errors
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.cli import app
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.ir.verify import run_onnx
from layoutopt.quantization.request import QuantizationOptions
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.reader import read_tflite
from tests.report.models import head

SHAPE = (3, 32, 32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    save(mobilenet_v2(resolution=32, width=0.25), path)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, input=np.random.default_rng(0).standard_normal((24, *SHAPE), np.float32))
    return path


def optimize(model: Path, *arguments: object) -> Result:
    line = ["optimize", model, "--no-baseline", "--force", *arguments]
    return CliRunner().invoke(app, [str(each) for each in line], env={"COLUMNS": "132"})


def made(result: Result, model: Path) -> Path:
    assert result.exit_code == 0, result.output
    return model.with_suffix(".tflite")


def test_int8_by_samples(model: Path, samples: Path) -> None:
    """The file holds integers, computes nearly what ONNX Runtime does, and its error is what the table says."""
    result = optimize(model, "--quantize", "int8", "--calibration", samples, "--json", model.with_suffix(".json"))
    tflite = made(result, model)
    assert "Against float, on 4 held-out samples (" in result.stdout
    told = json.loads(model.with_suffix(".json").read_text())["quantization"]
    given = np.load(samples)["input"]
    held_out = given[np.random.default_rng(0).permutation(len(given)) % 5 == 4]
    original = layoutopt_model(model)
    expected = np.concatenate([run_onnx(original, {"input": each[None]})["logits"] for each in held_out])
    stored = [np.ascontiguousarray(each[None].transpose(0, 2, 3, 1)) for each in held_out]
    found = np.concatenate([run_tflite(tflite, {"input": each})["logits"] for each in stored])
    sqnr = 10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum())
    assert told["outputs"][0]["sqnr"] == pytest.approx(sqnr, abs=0.1)
    assert sqnr > 15
    assert told["float_size"] > 2 * tflite.stat().st_size
    operations = [each for each in read_tflite(tflite).graph.operations if each.code != "DEQUANTIZE"]
    floats = Counter(each.code for each in operations if each.results[0].dtype is DType.FLOAT32)
    assert floats == Counter(each["code"] for each in told["floats"])
    assert told["whole"] > floats.total()


def layoutopt_model(path: Path) -> ir.Model:
    return ir.load(path)


def test_a_folder_of_images(model: Path, tmp_path: Path) -> None:
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for at in range(16):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{at}.png")
    normal = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--scale", "1/255", "--resize", "crop")
    made(optimize(model, "--quantize", "int8", "--calibration", folder, *normal), model)
    wrong = optimize(model, "--quantize", "int8", "--calibration", folder, "--mean", "grey")
    assert wrong.exit_code == errors.UsageError.exit_code
    assert "--mean grey: not numbers" in wrong.stderr


def test_ranges_make_the_same_file_without_samples(model: Path, samples: Path, tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.json"
    tflite = made(optimize(model, "--quantize", "int8", "--calibration", samples, "--save-ranges", ranges), model)
    first = tflite.read_bytes()
    result = optimize(model, "--quantize", "int8", "--load-ranges", ranges)
    assert made(result, model).read_bytes() == first
    assert "nothing was judged" in result.stdout
    both = optimize(model, "--quantize", "int8", "--load-ranges", ranges, "--calibration", samples)
    assert both.exit_code == errors.UsageError.exit_code
    assert "not both" in both.stderr


def test_integers_in_and_out(model: Path, samples: Path) -> None:
    line = ("--quantize", "int8", "--calibration", samples, "--quantized-io", "uint8", "--int8", "full")
    result = optimize(model, *line)
    graph = read_tflite(made(result, model)).graph
    assert [each.dtype for each in (*graph.inputs, *graph.outputs)] == [DType.UINT8, DType.UINT8]
    assert all(each.results[0].dtype is not DType.FLOAT32 for each in graph.operations)
    assert result.stdout.count("uint8") == 2


def test_boxes_and_scores_in_one_output(tmp_path: Path) -> None:
    """Floats hold both, one int8 tensor does not, and the last line says what to do then."""
    rng, model = np.random.default_rng(0), tmp_path / "model.onnx"
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,16,16] x) => (float[1,10,16,16] y) {
        a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Conv(b, v) d = Mul(c, far) e = Conv(b, u) f = Sigmoid(e)
        y = Concat<axis=1>(d, f) }"""
    proto = onnx.parser.parse_model(text)
    for name, shape in (("w", (16, 3, 3, 3)), ("v", (4, 16, 1, 1)), ("u", (6, 16, 1, 1))):
        values = (rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(300, np.float32), "far"))
    onnx.save(proto, model)
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=rng.standard_normal((20, 3, 16, 16)).astype(np.float32))
    line = ("--quantize", "int8", "--int8", "full", "--calibration", samples)
    floats = optimize(model, *line)
    assert made(floats, model).exists()
    assert "too coarse" not in floats.stdout
    assert "joins values of different size" in floats.stdout
    whole = optimize(model, *line, "--quantized-io", "int8")
    graph = read_tflite(made(whole, model)).graph
    assert all(each.results[0].dtype is DType.INT8 for each in graph.operations)
    last = [text for text in whole.stdout.splitlines() if "Warning" in text][-1]
    assert "one int8 tensor is too coarse for parts of different size: y[" in last


def test_mixed_reaches_what_is_asked_for(model: Path, samples: Path) -> None:
    plain = layoutopt.optimize(model, baseline=False, quantize="int8", calibration=samples)
    assert plain.quantization is not None
    target = plain.quantization.outputs[0].sqnr + 4
    mixed = layoutopt.optimize(
        model,
        baseline=False,
        quantize="mixed",
        calibration=samples,
        quantization=QuantizationOptions(min_sqnr=target),
    )
    assert mixed.quantization is not None
    assert mixed.quantization.outputs[0].sqnr >= target
    assert len(mixed.quantization.floats) > 0
    assert mixed.quantization.whole > 0


def test_all_kinds_of_samples_give_the_same(tmp_path: Path) -> None:
    model, samples = head(tmp_path / "model.onnx"), tmp_path / "samples.npz"
    values = np.random.default_rng(0).standard_normal((24, 3, 16, 20), np.float32)
    np.savez(samples, image=values)
    given: list[Any] = [samples, values, {"image": values}, ({"image": each[None]} for each in values)]
    found = []
    for at, each in enumerate(given):
        path = tmp_path / f"{at}.tflite"
        layoutopt.optimize(model, tflite=path, baseline=False, quantize="int8", calibration=each)
        found.append(path.read_bytes())
    assert len(set(found)) == 1


REFUSED = {
    "no samples": (("--quantize", "int8"), "needs samples"),
    "samples for nothing": (("--calibration", "samples.npz"), "are for --quantize int8 and mixed"),
    "options for nothing": (("--quantized-io", "uint8"), "are for --quantize int8 and mixed"),
    "dynamic": (("--quantize", "int8", "--calibration", "samples.npz", "--dynamic", "batch"), "static shapes"),
    "no .tflite": (("--quantize", "int8", "--calibration", "samples.npz", "--no-tflite"), "static shapes"),
    "onnx-tf": (
        ("--quantize", "int8", "--calibration", "samples.npz", "--backend", "onnx-tf"),
        "is done without TensorFlow",
    ),
    "full and mixed": (
        ("--quantize", "mixed", "--calibration", "samples.npz", "--int8", "full"),
        "contradict each other",
    ),
    "ratio of int8": (
        ("--quantize", "int8", "--calibration", "samples.npz", "--min-sqnr", "9"),
        "is for --quantize mixed",
    ),
    "nothing of that name": (
        ("--quantize", "int8", "--calibration", "samples.npz", "--keep-float", "LSTM"),
        "matches no operator",
    ),
    "another layout": (("--quantize", "int8", "--calibration", "nhwc.npz"), "--calibration-layout nhwc"),
    "not finite": (("--quantize", "int8", "--calibration", "nan.npz"), "NaN or infinity"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    name: str, model: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    values = np.load(samples)["input"]
    np.savez("nhwc.npz", input=values.transpose(0, 2, 3, 1))
    np.savez("nan.npz", input=np.full_like(values, np.nan))
    there = sorted(model.parent.iterdir())
    arguments, message = REFUSED[name]
    result = optimize(model, *arguments)
    assert result.exit_code == errors.UsageError.exit_code, result.output
    assert message in result.stderr.replace("\n", " ")
    assert sorted(model.parent.iterdir()) == there


def test_a_model_that_does_not_suit_int8_ends_in_a_warning(tmp_path: Path) -> None:
    """One channel is a thousand times larger than what counts."""
    text = "(float[1,4,6,6] x) => (float[1,4,6,6] y) { a = Conv(x,w) b = Relu(a) y = Conv(b,v) }"
    weights = {name: np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1) for name in ("w", "v")}
    weights["w"][0] *= 3000
    weights["v"][0] /= 3e6
    from tests.lowering.quantized import text_model

    model = tmp_path / "model.onnx"
    save(text_model(text, weights), model)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 4, 6, 6), np.float32))
    result = optimize(model, "--quantize", "int8", "--calibration", tmp_path / "x.npy", "--ranges", "minmax")
    made(result, model)
    assert result.stdout.rstrip().splitlines()[-1].startswith("Warning: int8 does not suit this model: y (")


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantFormat

    from tests.lowering.quantized import NETWORKS, quantized

    quantized(NETWORKS["residual"].model(), tmp_path, QuantFormat.QDQ)
    np.save(tmp_path / "x.npy", np.zeros((20, 8, 12, 16), np.float32))
    model = tmp_path / "quantized.onnx"
    result = optimize(model, "--quantize", "int8", "--calibration", tmp_path / "x.npy")
    assert result.exit_code == errors.UsageError.exit_code
    assert "the model is quantized already" in result.stderr
