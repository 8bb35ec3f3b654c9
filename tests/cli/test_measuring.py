"""The commands that measure: what they print, keep and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layoutopt import errors
from layoutopt.layout.costs.calibration import Grid, load_costs
from layoutopt.options import Objective
from tests.cli.commands import invoke

pytestmark = pytest.mark.usefixtures("without_tensorflow")


def test_benchmark_prints_one_table(model: Path, tmp_path: Path) -> None:
    result = invoke("optimize", model, "--tflite", tmp_path / "a.tflite", "--no-baseline", "--force")
    assert result.exit_code == 0, result.output
    assert "CONV_2D" not in result.stdout
    assert "TRANSPOSE" in result.stdout
    files, fast = [tmp_path / "a.tflite"] * 2, ("--rounds", "3", "--seconds", "0")
    timed = invoke("benchmark", *files, *fast, "--profile", "--memory", "--json", "-", "--csv", tmp_path / "r.csv")
    assert timed.exit_code == 0, timed.output
    rows = json.loads(timed.stdout)["rows"]
    assert [row["memory"] > 1e6 for row in rows] == [True, True]
    assert {each["operator"] for each in rows[0]["operators"]} >= {"CONV_2D", "FULLY_CONNECTED"}
    assert (tmp_path / "r.csv").read_text().count("\n") == 3
    timed = invoke("benchmark", *files, *fast, "--xnnpack", "both", "--threads", "1,2")
    assert timed.exit_code == 0, timed.output
    assert timed.stdout.count("Noise of this run") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--xnnpack", "maybe"), "maybe"),
        (("--threads", "1,none"), "--threads 1,none: cannot be read"),
        (("--threads", "0"), "--threads 0: cannot be read"),
        (("--quantize", "none,int2"), "--quantize int2: there is no such choice"),
        (("--threads", "2", "--clock", "cpu"), "--clock cpu counts one thread only"),
    ],
)
def test_benchmark_refuses_what_makes_no_sense(arguments: tuple[str, ...], message: str) -> None:
    result = invoke("benchmark", "nobody.tflite", *arguments)
    assert result.exit_code == errors.UsageError.exit_code
    assert message in result.output


def test_benchmark_refuses_a_bad_place_before_it_measures(tmp_path: Path) -> None:
    result = invoke("benchmark", "nobody.tflite", "--csv", tmp_path / "none" / "r.csv")
    assert result.exit_code == errors.OutputError.exit_code
    assert "--csv" in result.output
    assert "there is no directory" in result.output


def test_calibrate_measures_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path / "new" / "cache"))
    monkeypatch.setattr(
        "layoutopt.workflows.calibrate.QUICK", Grid((2, 8), (8, 64), (3584, 28672), (4, 16), (4, 16), 2)
    )
    result = invoke("calibrate", "--quick", "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    path = tmp_path / "new" / "cache" / "times-1.json"
    assert f"Times written to {path}" in result.stdout
    assert "words, tiles of 8" in result.stdout
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["path"] == str(path)
    assert data["calibration"]["machine"]["threads"] == 1
    assert len(data["calibration"]["times"]["transposes"]["curves"]) == 6
    costs = load_costs(Objective.TIME)
    assert costs.copy((2, 1000), (1, 0), 32) < costs.copy((2, 100_000), (1, 0), 32)


def test_calibrate_refuses_a_bad_place_before_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr("layoutopt.workflows.calibrate.measure_times", None)
    result = invoke("calibrate")
    assert result.exit_code == errors.OutputError.exit_code
    assert str(tmp_path / "file") in result.stderr
