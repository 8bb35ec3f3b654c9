"""Shapes that a model states wrongly are those that follow from its operators, and the user hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import layoutopt
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.ir.stated_shapes import correct_stated_shapes
from tests.graphs import numbers
from tests.harness import model_of

NETWORK = (
    f"g (float[1,3,8,8] x) => (float[1,2,8,8] y) <{numbers('w', 4, 3, 3, 3)}, {numbers('v', 2, 4, 1, 1)}> "
    "{ a = Conv <pads = [1, 1, 1, 1]> (x, w) b = Relu (a) y = Conv (b, v) }"
)
WRONG = {
    "another size of an output": ("y", (1, 2, 9, 9)),
    "another batch of an output": ("y", (10, 2, 8, 8)),
    "another rank of an output": ("y", (1, 128)),
    "another size within": ("b", (1, 4, 9, 9)),
    "another batch within": ("b", (10, 4, 8, 8)),
    "another rank within": ("b", (4, 64)),
}


def wrong_model(name: str, shape: Sequence[int]) -> ir.Model:
    model = model_of(NETWORK)
    next(value for node in model.graph for value in node.outputs if value.name == name).shape = ir.Shape(shape)
    return model


@pytest.mark.parametrize("case", WRONG)
def test_wrong_shapes_are_corrected(case: str) -> None:
    name, shape = WRONG[case]
    model = wrong_model(name, shape)
    (note,) = correct_stated_shapes(model)
    right = [1, 4, 8, 8] if name == "b" else [1, 2, 8, 8]
    assert f"{name!r} is {right}, not {list(shape)}" in note
    assert correct_stated_shapes(model) == ()


def test_right_and_unknown_shapes_stay() -> None:
    model = model_of(NETWORK)
    model.graph[1].outputs[0].shape = ir.Shape(["batch", 4, None, 8])
    assert correct_stated_shapes(model) == ()
    assert model.graph[1].outputs[0].shape == ir.Shape(["batch", 4, None, 8])


def test_the_tflite_is_right_and_the_report_tells(tmp_path: Path) -> None:
    model, tflite = wrong_model("b", (10, 4, 9, 9)), tmp_path / "out.tflite"
    report = layoutopt.optimize(model, tflite=tflite, baseline=False, backend=Backend.DIRECT, io="keep")
    assert any("wrong shapes" in note for note in report.notes)
    assert run_tflite(tflite, {"x": np.ones((1, 3, 8, 8), np.float32)})["y"].shape == (1, 2, 8, 8)
    assert layoutopt.explain(model).layout.proved_optimal
