"""The command line: what it prints, where it writes, and its help."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from layoutopt import errors
from layoutopt.cli import app
from layoutopt.layout.costs.calibration import Calibration, Machine
from layoutopt.layout.costs.movement import Curve, Family, TimeTable
from tests.cli.commands import invoke
from tests.harness import only_transposes

pytestmark = pytest.mark.usefixtures("without_tensorflow")


COMMANDS = (
    "optimize",
    "explain",
    "report",
    "count",
    "check",
    "diff",
    "tensors",
    "compare",
    "benchmark",
    "calibrate",
    "passes",
    "demo",
)


def test_optimize_ends_in_a_table(model: Path) -> None:
    result = invoke("optimize", model)
    assert result.exit_code == 0, result.output
    assert "TRANSPOSE" in result.stdout
    assert "input.transpose(0,2,3,1)" in result.stdout
    assert "proved: no choice of layouts takes less" in result.stdout
    assert "relative tolerance 0.0001" in result.stdout
    assert "seed 0" in result.stdout
    assert f"ONNX written to {model.with_suffix('.nhwc.onnx')}" in result.stdout
    assert f"TFLite written to {model.with_suffix('.tflite')}" in result.stdout
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.nhwc.onnx", "model.onnx", "model.tflite"]
    again = invoke("optimize", model)
    assert again.exit_code == errors.OutputExistsError.exit_code
    assert again.stderr.count("\n") == 1
    assert "model.nhwc.onnx" in again.stderr
    assert "model.tflite exist already: --force overwrites them" in again.stderr


def test_the_graph_alone(model: Path) -> None:
    result = invoke("optimize", model, "--no-tflite")
    assert result.exit_code == 0, result.output
    assert "Transpose (ONNX)" in result.stdout
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.nhwc.onnx", "model.onnx"]
    for options in (("--tflite", "a.tflite"), ("--saved-model", "a"), ("--benchmark",)):
        result = invoke("optimize", model, "--force", "--no-tflite", *options)
        assert result.exit_code == errors.UsageError.exit_code
        assert "--no-tflite" in result.stderr


def test_several_models_in_one_call(model: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other.onnx", tmp_path / "new" / "out"
    other.write_bytes(model.read_bytes())
    both = invoke("optimize", model, other, "--output-dir", out, "--no-baseline", "--backend", "direct", "--json", "-")
    assert both.exit_code == 0, both.output
    names = ["model.nhwc.onnx", "model.tflite", "other.nhwc.onnx", "other.tflite"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [Path(report["tflite"]).name for report in json.loads(both.stdout)] == ["model.tflite", "other.tflite"]
    twice = invoke("optimize", model, model, "--force")
    assert twice.exit_code == errors.OutputError.exit_code
    assert "another output too" in twice.stderr
    one = invoke("optimize", model, other, "-o", tmp_path / "one.onnx")
    assert one.exit_code == errors.UsageError.exit_code
    assert "Use --output-dir" in one.stderr


def test_standard_input_is_a_model(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = model.read_bytes()
    model.unlink()
    result = CliRunner().invoke(app, ["optimize", "-", "--no-baseline"], input=content)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.nhwc.onnx", "model.tflite"]
    counted = CliRunner().invoke(app, ["count", "-"], input=content)
    assert counted.exit_code == 0, counted.output
    assert "standard input" in counted.stdout


@pytest.mark.parametrize("command", ["optimize", "explain", "report", "count", "compare"])
def test_a_url_is_refused_in_so_many_words(command: str, tmp_path: Path) -> None:
    result = invoke(command, *["https://example.org/model.onnx"] * (1 + (command == "compare")))
    assert result.exit_code == errors.UsageError.exit_code
    assert "https://example.org/model.onnx: a URL, and layoutopt reads files only" in result.stderr
    assert "Download it first" in result.stderr


def test_stages_have_their_seconds(model: Path) -> None:
    result = invoke("optimize", model, "--no-baseline", "-v", "--json", model.with_name("r.json"))
    seconds = json.loads(model.with_name("r.json").read_text())["seconds"]
    assert list(seconds)[:4] == ["loading", "ONNX Runtime on the original", "passes", "verification"]
    lines = dict(line.removesuffix(" s").rsplit(": ", 1) for line in result.stderr.splitlines())
    long = {stage for stage, time in seconds.items() if time >= 0.1}
    assert "passes" in long
    assert long <= set(lines) <= {*seconds}
    assert "0.0" not in lines.values()
    assert float(lines["passes"]) == pytest.approx(seconds["passes"], abs=0.06)
    assert "Stages" in result.stdout
    assert "layoutopt: write .tflite" in result.stdout
    assert not invoke("optimize", model, "--force", "--no-tflite", "-q").stderr


def test_json_on_stdout_is_all_there_is(model: Path) -> None:
    result = invoke("optimize", model, "--no-baseline", "--json", "-")
    assert json.loads(result.stdout)["optimized"]["transposes"] == 0


def test_json_goes_to_a_file(model: Path, tmp_path: Path) -> None:
    assert invoke("optimize", model, "--no-baseline", "--json", tmp_path / "r.json", "-q").stdout == ""
    assert json.loads((tmp_path / "r.json").read_text())["layout"]["proved_optimal"] is True
    result = invoke("optimize", model, "--force", "--json", tmp_path / "no" / "r.json")
    assert result.exit_code == errors.OutputError.exit_code


def test_verbose_shows_the_passes(model: Path) -> None:
    result = invoke("optimize", model, "-v")
    assert "cancel-transposes" in result.stdout
    assert "multiplications" in result.stdout  # a row beside those of the baseline
    assert "DEPTHWISE_CONV_2D" in result.stdout


def test_dimensions_stay_symbolic(model: Path) -> None:
    result = invoke("optimize", model, "--dynamic", "batch", "--no-baseline")
    assert result.exit_code == 0, result.output
    assert "Resized to batch=5: relative error of the ONNX" in result.stdout
    assert "anyx32x32x3" in result.stdout
    wrong = invoke("optimize", model, "--force", "--dynamic", "batch,depth")
    assert wrong.exit_code == errors.UsageError.exit_code
    assert "--dynamic depth: no input has a dimension of this name" in wrong.stderr


def test_count_compares_files(model: Path) -> None:
    invoke("optimize", model, "--no-tflite")
    result = invoke("count", model, model.with_suffix(".nhwc.onnx"))
    assert result.exit_code == 0
    assert "bytes moved" in result.stdout
    assert "input stores the original's axes in the order (0, 2, 3, 1)" in result.stdout
    data = json.loads(invoke("count", model, "--json", "-").stdout)
    assert data[0]["counts"]["histogram"]["Conv"] == 52


def test_passes_lists_the_pipeline() -> None:
    result = invoke("passes")
    assert result.stdout.index("fold-constants") < result.stdout.index("propagate-layout")
    assert "│ expand-quantized-operators " in result.stdout
    assert "io=free (free" in result.stdout
    data = json.loads(invoke("passes", "--json", "-").stdout)
    options = {each["name"]: each["options"] for each in data}
    assert options["propagate-layout"][0] == {"name": "io", "default": "free", "choices": ["free", "keep"]}


def test_demo_needs_nothing(tmp_path: Path) -> None:
    result = invoke("demo", "-d", tmp_path / "out", "--resolution", "32", "--width", "0.25")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "mobilenet_v2.nhwc.onnx",
        "mobilenet_v2.onnx",
        "mobilenet_v2.tflite",
    ]
    again = invoke("demo", "-d", tmp_path / "out", "--resolution", "32")
    assert again.exit_code == errors.OutputExistsError.exit_code


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert f"layoutopt {command}" in result.stdout


def test_help_tells_of_every_exit_code() -> None:
    codes = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "1000"}).output
    told = text[text.index("Exit codes:") :]
    assert not [code for code in sorted(codes) if not re.search(rf"\b{code} ", told)]
    assert "glossary" in told


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'onnxsim', 'scipy', 'tensorflow', 'torch'}"
    code = f"import sys, layoutopt.cli; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "layoutopt", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 5  # 0.3 s on a quiet machine; a heavy import takes longer than this bound


def test_version() -> None:
    from layoutopt import __version__

    assert invoke("--version").stdout.strip() == f"layoutopt {__version__}"


def test_layouts_by_name_are_recorded_and_kept(model: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    result = invoke(
        "optimize", model, "--io", "keep", "--layout", "input=NHWC", "-o", once, "--no-tflite", "--json", "-"
    )
    data = json.loads(result.stdout)
    assert data["inputs"][0]["layout"] == "channels-last"
    assert "layouts=input:nhwc" in data["pipeline"]
    proof = {"cost": 0, "lower_bound": 0, "proved_optimal": True, "unit": "ns", "inside": 0, "unpriced": 0}
    assert data["layout"] == proof
    assert "input stores the original's axes in the order (0, 2, 3, 1)" in invoke("count", once).stdout
    again = invoke("optimize", once, "-o", twice, "--layout", "input=nhwc", "--no-baseline")
    assert again.exit_code == 0, again.output
    assert "input stores the original's axes in the order (0, 2, 3, 1)" in invoke("count", twice).stdout


def test_time_is_an_objective(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path))
    (tmp_path / "times-1.json").write_text("no table")
    result = invoke("optimize", model, "--objective", "time")
    assert result.exit_code == errors.CalibrationError.exit_code
    assert "Run: layoutopt calibrate" in result.stderr
    curves = tuple(Curve(family, 8, (1,), (2.0,)) for family in Family)
    Calibration(Machine.here(1), only_transposes(TimeTable(1000, dict.fromkeys(Family, 0.0), curves))).save()
    result = invoke("optimize", model, "--objective", "time", "--io", "keep", "--no-tflite")
    assert "25.6 µs to move data per inference, proved: no choice of layouts takes less" in result.stdout


def test_seed_is_used(model: Path) -> None:
    one = json.loads(invoke("optimize", model, "--no-baseline", "--seed", "4", "--json", "-").stdout)
    assert one["verification"]["seed"] == 4
    assert np.isfinite(one["optimized"]["mse"])
