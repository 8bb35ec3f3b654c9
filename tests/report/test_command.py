"""The command that writes the page of a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import layoutopt
from layoutopt.cli import app
from layoutopt.errors import OutputError, OutputExistsError
from layoutopt.results.result import to_json
from tests.report.models import head


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


@pytest.mark.usefixtures("unconvertible")
def test_the_command_writes_a_page(tmp_path: Path) -> None:
    model, page, overlays = head(tmp_path / "head.onnx"), tmp_path / "page.html", tmp_path / "overlays"
    result = invoke(model, "-o", page, "--io", "keep", "--json", tmp_path / "r.json", "--model-explorer", overlays)
    assert result.exit_code == 0, result.output
    assert f"Report written to {page}" in result.stdout
    assert "proved: no choice of layouts takes less" in result.stdout
    assert "--extensions=model_explorer_onnx --node_data_paths=" in result.stdout
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.json").read_text())["stages"][0]["name"] == "original"
    assert (overlays / "after.onnx").is_file()
    assert (overlays / "after.layout.json").is_file()


def test_a_page_on_a_quantized_model(tmp_path: Path) -> None:
    """It names every value that is stored in int8 with its range, and the operators that add the most noise."""
    model, page, samples = head(tmp_path / "head.onnx"), tmp_path / "page.html", tmp_path / "samples.npz"
    np.savez(samples, image=np.random.default_rng(0).standard_normal((20, 3, 16, 20)).astype(np.float32))
    line = ("--quantize", "int8", "--calibration", samples, "--no-benchmark", "--json", tmp_path / "r.json")
    result = invoke(model, "-o", page, *line)
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "r.json").read_text())
    values, text = told["optimize"]["quantization"]["values"], page.read_text()
    assert {"CONV_2D"} <= {each["code"] for each in values}
    assert text.count('<svg viewBox="0 0 100 20"') == len(values)
    assert "Operators that add the most noise by themselves" in text
    noisy = [each["own_sqnr"] for each in told["after"]["tensors"].values() if each["own_sqnr"] is not None]
    assert noisy
    assert 10 < min(noisy) < 60
    assert f"{min(noisy):.1f} dB" in text


def test_the_command_refuses_before_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **keywords: object) -> None:
        raise AssertionError("work was done")

    monkeypatch.setattr("layoutopt.api.report", never)
    model, page = head(tmp_path / "head.onnx"), tmp_path / "head.report.html"
    page.write_text("mine")
    refused = invoke(model)
    assert refused.exit_code == OutputExistsError.exit_code
    assert "--force" in refused.stderr
    assert page.read_text() == "mine"
    assert invoke(model, "-o", tmp_path / "no" / "page.html").exit_code == OutputError.exit_code
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "after.layout.json").write_text("mine")
    taken = invoke(model, "--force", "--model-explorer", page)
    assert taken.exit_code == OutputError.exit_code
    assert invoke(model, "-o", tmp_path / "p.html", "--model-explorer", tmp_path / "there").exit_code == (
        OutputExistsError.exit_code
    )


def test_a_page_for_a_target(tmp_path: Path) -> None:
    """It says what `layoutopt check` says of the .tflite, beside the file before, and its rows lead into the graph."""
    model, page, models = head(tmp_path / "head.onnx"), tmp_path / "page.html", tmp_path / "models"
    line = ("--target", "edgetpu", "--io", "keep", "--no-benchmark", "--json", tmp_path / "r.json")
    result = invoke(model, "-o", page, *line, "--model-explorer", models)
    assert result.exit_code == 0, result.output
    told, text = json.loads((tmp_path / "r.json").read_text()), page.read_text()
    for side, found in (("after", told["optimize"]["check"]), ("before", told["check_before"])):
        assert found["file"] == f"{side}.tflite"
        wanted = json.loads(json.dumps(to_json(layoutopt.check(models / found["file"], "edgetpu"))))
        assert {**wanted, "file": found["file"]} == found
    after = told["optimize"]["check"]
    assert after["findings"]
    assert f"runs {after['taken']} of {after['operators']} operators" in text
    assert f"of the file before {told['check_before']['taken']} of {told['check_before']['operators']}" in text
    for finding in after["findings"]:
        assert finding["reasons"][0] in text
        node = told["after"]["nodes"][finding["position"]]
        assert (node["operator"], node["id"]) == (finding["operator"], str(finding["position"]))
    assert "What the accelerator runs" in text
    assert f"{after['title']} runs {after['taken']} of {after['operators']}" in result.stdout


@pytest.mark.usefixtures("unconvertible")
def test_without_a_tflite_there_is_nothing_to_check(tmp_path: Path) -> None:
    model, page = head(tmp_path / "head.onnx"), tmp_path / "page.html"
    result = invoke(model, "-o", page, "--target", "gpu", "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["optimize"]["check"], told["check_before"]) == (None, None)
    assert any(note.startswith("no .tflite") for note in told["notes"])
    assert "What the accelerator runs" not in page.read_text()
    assert invoke(model, "-o", page, "--force", "--target", "gpu", "--backend", "onnx-tf").exit_code == 2
