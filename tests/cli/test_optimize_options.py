"""Options of optimize that say what it is verified on, what is folded, and which sizes stay open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer.main
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.cli import app
from layoutopt.ir.io import save
from tests.graphs import numbers
from tests.harness import model_of

RESHAPED = (
    f"g (float[1,3,6,6] x, int64[2] s) => (float[a,b] y) <{numbers('w', 4, 3, 1, 1)}, int64 two = {{2}}> "
    "{ c = Conv (x, w) h = Mod (s, two) t = Sub (s, h) y = Reshape (c, t) }"
)
PIXELS = f"g (float[1,3,8,8] x) => (float y) <{numbers('w', 4, 3, 1, 1)}> {{ c = Conv (x, w) y = Relu (c) }}"
GRID = (
    f"g (float[1,3,64,64] x) => (float y) <int64[4] shape = {{1, 4, 64, 64}}, {numbers('g', 1, 1, 1, 64)}, "
    f"{numbers('w', 2, 7, 1, 1)}> "
    "{ a = Expand (g, shape) d = Concat <axis = 1> (x, a) y = Conv (d, w) }"
)
OPEN = (
    f"g (float[1,3,H,W] x) => (float y) <{numbers('w', 4, 3, 3, 3)}> {{ c = Conv (x, w) y = Softmax <axis = 3> (c) }}"
)


def invoke(directory: Path, text: str, *arguments: str) -> Result:
    """Run a command on the model of ``text``; JSON goes to ``out.json``."""
    model = directory / "model.onnx"
    if not model.exists():
        save(model_of(text), model)
    command, *options = arguments
    report = ["--json", str(directory / "out.json"), "--force"]
    return CliRunner().invoke(app, [command, str(model), *options, *report], catch_exceptions=False)


def convert(directory: Path, text: str, *options: str) -> Result:
    return invoke(directory, text, "optimize", "--backend", "direct", "--no-baseline", *options)


def told(directory: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((directory / "out.json").read_text())
    return found


def test_options_that_mean_the_same_in_a_report_have_the_same_help() -> None:
    commands = vars(typer.main.get_command(app))["commands"]
    found = [
        {each.opts[0]: vars(each).get("help") for each in commands[name].params} for name in ("optimize", "report")
    ]
    shared = found[0].keys() & found[1].keys()
    assert {"--target", "--backend", "--quantize"} < shared
    assert {each for each in shared if found[0][each] != found[1][each]} == {
        "models",
        "--output",
        "--benchmark",
    } & shared


def test_arrays_of_the_user_are_what_it_is_verified_on(tmp_path: Path) -> None:
    given = tmp_path / "given.npz"
    np.savez(given, x=np.ones((1, 3, 6, 6), np.float32), s=np.array([4, 36]))
    result = convert(tmp_path, RESHAPED, "--input", str(given))
    assert result.exit_code == 0, result.output
    np.savez(given, x=np.ones((1, 3, 6, 6), np.float32), s=np.array([4, 38]))
    refused = convert(tmp_path, RESHAPED, "--input", str(given))
    assert refused.exit_code == errors.UsageError.exit_code
    assert "with these numbers for s" in refused.stderr


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros((1, 3, 8, 8), np.float32)}, "The inputs of the model are ['x']"),
        ({"x": np.zeros((1, 3, 9, 8), np.float32)}, "The model takes float32[1, 3, 8, 8]"),
        ({"x": np.zeros((1, 3, 8, 8), np.int64)}, "The model takes float32[1, 3, 8, 8]"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    given = tmp_path / "given.npz"
    np.savez(given, **arrays)  # type: ignore[arg-type]
    result = convert(tmp_path, PIXELS, "--input", str(given))
    assert result.exit_code == errors.UsageError.exit_code
    assert message in result.stderr


def test_an_image_is_what_it_is_verified_on(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(tmp_path / "photo.png")
    result = convert(tmp_path, PIXELS, "--input", str(tmp_path / "photo.png"))
    assert result.exit_code == 0, result.output
    assert convert(tmp_path, PIXELS, "--input", str(tmp_path / "none.png")).exit_code == errors.UsageError.exit_code


def test_one_input_is_not_for_several_sizes(tmp_path: Path) -> None:
    result = convert(tmp_path, OPEN, "--dynamic", "H,W", "--input", "given.npz")
    assert result.exit_code == errors.UsageError.exit_code
    assert "--dynamic is verified at several" in result.stderr


def test_the_limit_of_what_is_folded(tmp_path: Path) -> None:
    """A grid of 64 kB of which 256 B are told: folded by default, and not beyond a limit, in both files."""
    sizes = {}
    for limit in ("", "100kB", "16kB", "0"):
        result = convert(tmp_path, GRID, *(["--fold-limit", limit] if limit else []))
        assert result.exit_code == 0, result.output
        sizes[limit] = [(tmp_path / name).stat().st_size for name in ("model.nhwc.onnx", "model.tflite")]
    assert min(*sizes[""], *sizes["100kB"]) > 65_536
    assert max(*sizes["16kB"], *sizes["0"]) < 16_384


def test_the_limit_has_to_be_a_size_and_is_part_of_a_pipeline(tmp_path: Path) -> None:
    assert convert(tmp_path, GRID, "--fold-limit", "much").exit_code == errors.UsageError.exit_code
    result = convert(tmp_path, GRID, "--fold-limit", "1kB", "--passes", "fold-constants,propagate-layout")
    assert result.exit_code == errors.UsageError.exit_code
    assert "fold-constants{limit=1000}" in result.stderr


def test_explain_tells_of_the_layouts_that_optimize_chooses_for_open_sizes(tmp_path: Path) -> None:
    options = ("--dynamic", "H,W", "--shape", "x=1,3,40,40", "--io", "keep")
    assert convert(tmp_path, OPEN, *options).exit_code == 0
    optimized = told(tmp_path)
    result = invoke(tmp_path, OPEN, "explain", *options)
    assert result.exit_code == 0, result.output
    assert optimized["chosen_at"] == told(tmp_path)["chosen_at"] != {}
    assert optimized["layout"] == told(tmp_path)["layout"]
    assert "This holds at H=" in result.stdout


def test_a_report_of_open_sizes(tmp_path: Path) -> None:
    options = ("--dynamic", "H,W", "--shape", "x=1,3,40,40", "--backend", "direct", "--no-benchmark", "--io", "keep")
    result = invoke(tmp_path, OPEN, "report", *options)
    assert result.exit_code == 0, result.output
    found = told(tmp_path)
    assert found["optimize"]["inputs"][0]["shape"] == [1, 3, -1, -1]  # type: ignore[index]
    assert len(found["optimize"]["dynamic"]) > 2  # type: ignore[index]
    assert found["explain"]["layout"] == found["optimize"]["layout"]  # type: ignore[index]
    after = {each["name"]: each for each in found["after"]["tensors"].values()}  # type: ignore[index]
    assert after["x"]["shape"] == [1, 3, -1, -1]
    assert after["y"]["relative_error"] < 1e-5, "at the default sizes"
