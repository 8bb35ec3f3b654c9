"""``optimize --target``: operators that the target takes, and what the check says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt import errors
from layoutopt.cli import app
from layoutopt.options import Target

NETWORK = """
    <ir_version: 9, opset_import: ["": 17]>
    g (float[1, 3, 16, 16] x) => (float[1, 8, 8, 8] y) {
        a = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, stem)
        b = HardSwish(a)
        y = Conv(b, head)
    }
"""
SAMPLES = np.random.default_rng(0).standard_normal((10, 1, 3, 16, 16)).astype(np.float32)


def network() -> onnx.ModelProto:
    model = onnx.parser.parse_model(NETWORK)
    rng = np.random.default_rng(1)
    for name, shape in (("stem", (16, 3, 3, 3)), ("head", (8, 16, 1, 1))):
        weights = rng.standard_normal(shape).astype(np.float32) / 4
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def optimized(path: Path, **options: Any) -> layoutopt.OptimizeReport:
    return layoutopt.optimize(network(), tflite=path, baseline=False, force=True, **options)


def test_an_integer_model_runs_on_the_edge_tpu_as_a_whole(tmp_path: Path) -> None:
    """HARD_SWISH, which it does not take, is computed by what it takes; nothing else changes."""
    whole = layoutopt.QuantizationOptions(int8="full", io="int8")
    options = {"quantize": "int8", "calibration": {"x": SAMPLES}, "quantization": whole}
    path = tmp_path / "a.tflite"
    plain, aimed = optimized(path, **options), optimized(path, target="edgetpu", **options)
    assert plain.check is None
    assert "HARD_SWISH" in plain.optimized.histogram
    assert aimed.check is not None
    assert aimed.check.passes
    assert aimed.check.taken == aimed.check.operators == sum(aimed.optimized.histogram.values())
    assert aimed.check == layoutopt.check(path, Target.EDGETPU)
    assert Counter(aimed.optimized.histogram) == Counter({"CONV_2D": 2, "PAD": 1, "ADD": 1, "MUL": 2})
    assert aimed.quantization is not None
    assert aimed.quantization.outputs[0].sqnr > 20


def test_the_command_line_says_what_the_target_runs(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(network(), model)
    told = ["optimize", str(model), "--no-baseline", "--target"]
    found = CliRunner().invoke(app, [*told, "gpu", "--json", str(tmp_path / "m.json")])
    assert found.exit_code == 0, found.output
    assert "GPU delegate of LiteRT" in found.output
    assert "It runs 4 of 4 operators, in 1 part." in found.output
    report = json.loads((tmp_path / "m.json").read_text())
    assert report["check"]["file"] == report["tflite"] == str(tmp_path / "m.tflite")
    found = CliRunner().invoke(app, [*told, "edgetpu", "--force"])
    assert found.exit_code == 0, found.output
    assert "runs on the CPU" in found.output  # its floats do


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"dynamic": ["batch"]}, "--dynamic"),
        ({"convert": False}, "--no-tflite"),
        ({"backend": "onnx-tf"}, "--backend onnx-tf"),
        ({"allow_flex": True}, "--allow-flex"),
    ],
)
def test_what_does_not_go_with_a_target(options: dict[str, Any], other: str) -> None:
    with pytest.raises(errors.UsageError, match="--target") as caught:
        layoutopt.optimize(network(), target="gpu", **options)
    assert caught.value.hint == f"Go without {other}."
