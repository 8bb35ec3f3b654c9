"""Bad models, options and outputs: one clear line, an exit code, and no file."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from layoutopt import errors
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from tests.cli.commands import invoke

pytestmark = pytest.mark.usefixtures("without_tensorflow")


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.onnx"
    model = mobilenet_v2(resolution=32, width=0.25)
    if kind == "truncated":
        data = ir.to_proto(model).SerializeToString()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "text":
        path.write_text("not a model")
    elif kind == "operator":
        model.graph[3].op_type = "Frobnicate"
        path.write_bytes(ir.to_proto(model).SerializeToString())
    elif kind == "opset":
        model.opset_imports[""] = 99
        path.write_bytes(ir.to_proto(model).SerializeToString())
    elif kind == "dynamic":
        model.graph.inputs[0].shape = ir.Shape(["n", 3, 32, 32])
        save(model, path)
    return path


@pytest.mark.parametrize(
    ("kind", "error", "blamed"),
    [
        ("missing", errors.ModelNotFoundError, "no such file"),
        ("text", errors.InvalidModelError, "not an ONNX file"),
        ("truncated", errors.InvalidModelError, "truncated"),
        ("operator", errors.UnsupportedOperatorError, "ai.onnx::Frobnicate"),
        ("opset", errors.UnsupportedOperatorError, "opset 99"),
        ("dynamic", errors.DynamicShapeError, "--shape input="),
    ],
)
def test_a_bad_model_is_one_clear_line_and_an_exit_code(
    tmp_path: Path, kind: str, error: type[errors.LayoutoptError], blamed: str
) -> None:
    path = broken(tmp_path, kind)
    result = invoke("optimize", path, "-o", tmp_path / "out.onnx")
    assert result.exit_code == error.exit_code, result.output
    assert blamed in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.onnx").exists()
    assert not list(tmp_path.glob(".*"))
    assert "Traceback" in invoke("optimize", path, "-o", tmp_path / "out.onnx", "-v").stderr


def test_bad_outputs_are_refused_before_any_work(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    for target, error in (
        (model, errors.OutputError),
        (tmp_path / "no" / "out.onnx", errors.OutputError),
        (model.with_suffix(".nhwc.onnx"), errors.OutputExistsError),
    ):
        model.with_suffix(".nhwc.onnx").touch()
        result = invoke("optimize", model, "-o", target)
        assert result.exit_code == error.exit_code, result.output
        assert str(target) in result.stderr
    assert invoke("optimize", model, "-o", model, "--force").exit_code == errors.OutputError.exit_code
    assert model.read_bytes() == before
    assert invoke("optimize", model, "--force").exit_code == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that nobody may write to")
def test_an_unwritable_directory_is_refused(model: Path) -> None:
    result = invoke("optimize", model, "-o", "/proc/out.onnx")
    assert result.exit_code == errors.OutputError.exit_code
    assert "/proc/out.onnx" in result.stderr


@pytest.mark.parametrize(
    ("options", "blamed"),
    [
        (["--passes", "nonsense"], "there is no pass 'nonsense'"),
        (["--passes", "propagate-layout{io=sideways}"], "Possible: free, keep"),
        (["--shape", "input"], "Write --shape NAME=1,3,224,224"),
        (["--io", "keep", "--passes", "fold-constants"], "propagate-layout{io=keep}"),
        (["--layout", "input=nhwc", "--passes", "fold-constants"], "propagate-layout{layouts=input:nhwc}"),
        (["--objective", "time", "--passes", "fold-constants"], "propagate-layout{objective=time}"),
        (["--exact", "--passes", "fold-constants"], "Leave these out of the pipeline: remove-dead-channels"),
        (["--layout", "input"], "Write --layout NAME=LAYOUT"),
        (["--layout", "input=sideways"], "channels-last, free"),
        (["--layout", "image=nhwc"], "Inputs: input. Outputs: logits."),
        (["--layout", "logits=nhwc"], "its shape is [1,1000]"),
        (["--dump-after", "nonsense"], "no pass 'nonsense'"),
    ],
)
def test_bad_options_are_usage_errors(model: Path, options: list[str], blamed: str) -> None:
    result = invoke("optimize", model, *options)
    assert result.exit_code == errors.UsageError.exit_code
    assert blamed in result.stderr


def test_a_failed_conversion_leaves_no_onnx(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise errors.ConversionError("lowering", "no")

    monkeypatch.setattr("layoutopt.workflows.conversion.convert_directly", fail)
    result = invoke("optimize", model)
    assert result.exit_code == errors.ConversionError.exit_code
    assert "--no-tflite" in result.stderr
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]


def test_a_missing_extra_is_told_before_any_work(model: Path, tmp_path: Path) -> None:
    result = invoke("optimize", model, "--saved-model", tmp_path / "saved")
    assert result.exit_code == errors.MissingExtraError.exit_code
    assert "layoutopt[onnx-tf]" in result.stderr
    assert not model.with_suffix(".nhwc.onnx").exists()


def test_every_error_has_an_exit_code_of_its_own() -> None:
    kinds = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.LayoutoptError)
    ]
    assert len({kind.exit_code for kind in kinds}) == len(kinds) == 19
