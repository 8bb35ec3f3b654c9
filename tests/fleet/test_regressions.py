"""``layoutopt diff``: what counts as worse, and what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.cli import app
from layoutopt.fleet.regressions import DEFAULTS, Allowance, ChangeVerdict, compare_runs
from layoutopt.fleet.row import Row

NUMBERS = {
    "operators": 10,
    "transposes": 2,
    "bytes_moved": 1000,
    "file_size": 10_000,
    "max_abs_error": 1e-5,
    "latency_ms": 5.0,
}


def report(model: str = "m.onnx", **numbers: float | None) -> dict[str, Any]:
    return {"model": model, "optimized": {**NUMBERS, **numbers}}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "number", "options", "verdict"),
    [
        ("operators", 11, (), ChangeVerdict.WORSE),
        ("operators", 11, ("--allow", "operators=1"), ChangeVerdict.LARGER),
        ("operators", 12, ("--allow", "operators=1"), ChangeVerdict.WORSE),
        ("operators", 9, (), ChangeVerdict.BETTER),
        ("transposes", 3, (), ChangeVerdict.WORSE),
        ("bytes_moved", 1001, (), ChangeVerdict.WORSE),
        ("bytes_moved", 1001, ("--allow", "bytes=1%"), ChangeVerdict.LARGER),
        ("file_size", 10_100, (), ChangeVerdict.LARGER),
        ("file_size", 10_101, (), ChangeVerdict.WORSE),
        ("max_abs_error", 2e-5, (), ChangeVerdict.LARGER),
        ("max_abs_error", 2.1e-5, (), ChangeVerdict.WORSE),
        ("max_abs_error", 2.1e-5, ("--allow", "error=3e-5"), ChangeVerdict.LARGER),
        ("latency_ms", 5.5, (), ChangeVerdict.LARGER),
        ("latency_ms", 5.6, (), ChangeVerdict.WORSE),
        ("latency_ms", 5.2, ("--allow", "latency=3%"), ChangeVerdict.WORSE),
        ("latency_ms", None, (), None),
    ],
)
def test_what_is_worse(
    name: str, number: float | None, options: tuple[str, ...], verdict: ChangeVerdict | None, tmp_path: Path
) -> None:
    before, after, told = (tmp_path / each for each in ("before.json", "after.json", "told.json"))
    before.write_text(json.dumps(report("one/m.onnx")))
    after.write_text(json.dumps(report("other/m.onnx", **{name: number})))
    result = invoke(before, after, *options, "--json", told)
    expected = errors.RegressionError.exit_code if verdict is ChangeVerdict.WORSE else 0
    assert result.exit_code == expected, result.output
    changes = json.loads(told.read_text())
    assert {each["verdict"] for each in changes} == {"same", verdict.value} if verdict else {"same"}
    assert len(changes) == 6 - (number is None)


def test_rounding_is_no_regression() -> None:
    allowed = {metric: Allowance.of(amount) for metric, amount in DEFAULTS.items()}
    one, other = (Row("m", "", 0.0, report(max_abs_error=error)) for error in (1e-8, 9e-7))
    assert not any(change.is_regression for change in compare_runs([one], [other], allowed))


def lines(path: Path, *rows: Row) -> Path:
    path.write_text("".join(row.to_line() for row in rows))
    return path


def test_models_that_come_go_and_fail(tmp_path: Path) -> None:
    def done(name: str) -> Row:
        return Row(name, name, 1.0, report(name))

    def failed(name: str) -> Row:
        return Row(name, f"{name} failed", 1.0, None, "broken [x]", "", 4)

    one = lines(tmp_path / "1", done("same"), done("breaks"), failed("mended"), failed("bad"), done("gone"))
    other = lines(
        tmp_path / "2", failed("same"), done("same"), failed("breaks"), done("mended"), failed("bad"), done("new")
    )
    result = invoke(one, other, "--json", tmp_path / "told")
    assert result.exit_code == errors.RegressionError.exit_code
    assert "broken [x]" in result.stdout
    assert "6 models compared; 2 worse" in result.stdout
    found = {each["model"]: each["verdict"] for each in json.loads((tmp_path / "told").read_text())}
    expected = {"same": "same", "breaks": "fails", "mended": "works", "bad": "same", "gone": "gone", "new": "new"}
    assert found == expected
    assert invoke(other, other).exit_code == 0


def test_models_are_matched_by_name_where_folders_differ(tmp_path: Path) -> None:
    one = tmp_path / "1.json"
    one.write_text(json.dumps([report("x/a.onnx"), report("x/b.onnx")]))
    other = tmp_path / "2.json"
    other.write_text(json.dumps([report("y/b.onnx", operators=12), report("y/a.onnx")]))
    result = invoke(one, other)
    assert result.exit_code == errors.RegressionError.exit_code
    assert "1 worse" in result.stdout
    assert "y/b.onnx" in result.stdout


@pytest.mark.parametrize("content", ["", "[1]", "{}", "nonsense", '{"a": 1}\n{"a": 2}\n'])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    result = invoke(path, path)
    assert result.exit_code == errors.InvalidModelError.exit_code
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("text", ["latency", "latency=", "latency=x%", "weight=1", "size=-1", "size=nan"])
def test_an_allowance_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(report()))
    result = invoke(path, path, "--allow", text)
    assert result.exit_code == errors.UsageError.exit_code
    assert "--allow METRIC=5%" in result.stderr
