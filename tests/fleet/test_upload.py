"""Results at URLs that fsspec opens."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.cli import app
from tests.fleet.runs import QUICK, invoke, lines

HAS_FSSPEC = importlib.util.find_spec("fsspec") is not None
needs_fsspec = pytest.mark.skipif(not HAS_FSSPEC, reason="needs fsspec")


def to_url(models: Sequence[Path], url: str, *options: str | Path) -> Result:
    return CliRunner().invoke(app, ["optimize", *map(str, models), "--upload", url, *QUICK, *map(str, options)])


@needs_fsspec
def test_results_at_a_url(models: list[Path], tmp_path: Path) -> None:
    import fsspec

    system, results, url = fsspec.filesystem("memory"), tmp_path / "r.jsonl", f"memory://{tmp_path.name}/out/"
    before = sorted(path.name for path in (tmp_path / "in").iterdir())
    result = to_url(models[:2], url, "--results", results)
    assert result.exit_code == 0, result.output
    names = ["a.nhwc.onnx", "a.tflite", "b.nhwc.onnx", "b.tflite"]
    assert sorted(path.rpartition("/")[2] for path in system.ls(f"/{tmp_path.name}/out", detail=False)) == names
    assert lines(results)[0]["report"]["tflite"] in (f"{url}a.tflite", f"{url}b.tflite")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == before
    local = invoke(models[:1], tmp_path)
    assert local.exit_code == 0, local.output
    assert system.cat(f"/{tmp_path.name}/out/a.tflite") == (tmp_path / "out" / "a.tflite").read_bytes()
    assert "2 done, 2 of them before" in to_url(models[:2], url, "--results", results).stdout
    refused = to_url(models[:1], url)
    assert refused.exit_code == errors.OutputExistsError.exit_code
    assert f"{url}a.nhwc.onnx, {url}a.tflite exist already" in refused.stderr
    system.rm(f"/{tmp_path.name}/out/a.tflite")
    again = to_url(models[:2], url, "--results", results, "--force")
    assert "2 done, 1 of them before" in again.stdout
    assert system.exists(f"/{tmp_path.name}/out/a.tflite")


@needs_fsspec
def test_a_url_that_cannot_be_written_is_one_row_each(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = (tmp_path / "file").as_uri()
    result = to_url(models[:2], f"{url}/out", "--results", tmp_path / "r.jsonl")
    assert result.exit_code == errors.ModelsFailedError.exit_code, result.output
    assert result.stdout.count("out: cannot be written (") == 2
    assert "0 done; 2 failed" in result.stdout


@needs_fsspec
@pytest.mark.parametrize(("url", "said"), [("somewhere", "is no URL"), ("gopher://a/b", "Protocol not known: gopher")])
def test_what_is_no_place(url: str, said: str, models: list[Path]) -> None:
    result = to_url(models[:1], url)
    assert result.exit_code == errors.UsageError.exit_code, result.output
    assert said in result.stderr


def test_one_place_is_enough(models: list[Path], tmp_path: Path) -> None:
    result = to_url(models[:1], "memory://a", "--output-dir", tmp_path)
    assert result.exit_code == errors.UsageError.exit_code
    assert "contradict each other" in result.stderr


@pytest.mark.skipif(HAS_FSSPEC, reason="fsspec is there")
def test_fsspec_is_an_extra(models: list[Path]) -> None:
    result = to_url(models[:1], "memory://a")
    assert result.exit_code == errors.MissingExtraError.exit_code
    assert "layoutopt[dask]" in result.stderr
