"""The Python API: reports, files, and what happens when something is missing or wrong."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from rich.console import Console

import layoutopt
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.latency import Latency, Verdict
from layoutopt.backend.litert.runtime import Setting
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.errors import (
    ConversionError,
    DynamicShapeError,
    MissingExtraError,
    OutputError,
    OutputExistsError,
    UsageError,
    VerificationError,
)
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.options import Io, Verify
from layoutopt.passes import EliminateDeadCode, FoldConstants
from layoutopt.report.terminal import tables
from layoutopt.results.optimize import LayoutName, ModelKind, Multiplications
from layoutopt.workflows.conversion import run_natural
from layoutopt.workflows.latencies import SettingLatencies
from tests.rewrites import network, normal


@pytest.fixture
def model() -> ir.Model:
    return mobilenet_v2(resolution=32, width=0.25)


def dynamic(model: ir.Model) -> ir.Model:
    """The same with a symbolic batch and symbolic sizes all along."""
    model.graph.inputs[0].shape = ir.Shape(["batch", 3, "height", "width"])
    for value in (value for node in model.graph for value in node.outputs):
        value.shape = None
    model.graph.outputs[0].shape = ir.Shape(["batch", 1000])
    return model


def test_the_optimized_model_runs_in_plain_onnx_runtime_with_the_outputs_of_the_original(
    model: ir.Model, tmp_path: Path
) -> None:
    source, output = tmp_path / "model.onnx", tmp_path / "out.onnx"
    save(model, source)
    before = source.read_bytes()
    report = layoutopt.optimize(source, output=output, convert=False)
    assert source.read_bytes() == before
    x = np.random.default_rng(3).standard_normal((1, 3, 32, 32)).astype(np.float32)
    expected = ort.InferenceSession(source).run(None, {"input": x})[0]
    actual = ort.InferenceSession(output).run(None, {"input": x.transpose(0, 2, 3, 1)})[0]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    (tensor,) = report.inputs
    assert (tensor.shape, tensor.original_shape) == ((1, 32, 32, 3), (1, 3, 32, 32))
    assert tensor.layout is LayoutName.CHANNELS_LAST
    np.testing.assert_array_equal(eval(tensor.feed, {"input": x}), x.transpose(0, 2, 3, 1))


def test_without_tensorflow_the_tflite_is_written_too(model: ir.Model, tmp_path: Path) -> None:
    onnx, tflite = tmp_path / "out.onnx", tmp_path / "out.tflite"
    stages: list[str] = []
    report = layoutopt.optimize(model, output=onnx, tflite=tflite, benchmark=True, progress=stages.append)
    assert (report.output, report.tflite, report.saved_model) == (onnx, tflite, None)
    assert report.optimized.kind is ModelKind.LAYOUTOPT
    assert report.optimized.file_size == tflite.stat().st_size
    assert report.inputs[0].tflite_name == "input"
    assert "layoutopt: write .tflite" in stages
    counts = layoutopt.count(tflite).counts
    assert (counts.operators, counts.transposes) == (report.optimized.operators, 0)
    assert report.baseline is not None
    assert report.baseline.kind is ModelKind.PER_OPERATOR
    assert report.baseline.transposes > 20
    assert report.speedup is not None
    with pytest.raises(OutputExistsError, match="--force"):
        layoutopt.optimize(model, tflite=tflite)
    small = tmp_path / "small.tflite"
    layoutopt.convert(onnx, tflite=small, quantize=layoutopt.Quantize.DYNAMIC)
    assert small.stat().st_size < 0.6 * tflite.stat().st_size
    timed = layoutopt.benchmark([tflite, small], rounds=3, seconds=0, warmup=1)
    assert [len(row.latency.samples) for row in timed.rows] == [3, 3]
    assert timed.rows[0].speedup.of_medians == 1.0
    assert json.dumps(timed.to_json(), allow_nan=False)


def test_without_tensorflow_its_extra_is_named_before_anything_is_written(model: ir.Model, tmp_path: Path) -> None:
    for what in ({"saved_model": tmp_path / "saved"}, {"allow_flex": True}, {"backend": Backend.ONNX_TF}):
        with pytest.raises(MissingExtraError, match=r"layoutopt\[onnx-tf\]"):
            layoutopt.optimize(model, output=tmp_path / "out.onnx", **what)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ir_version", [3, 4, 7, 8, 10])
def test_every_ir_version_comes_in_and_goes_out_valid(model: ir.Model, tmp_path: Path, ir_version: int) -> None:
    proto = ir.to_proto(FoldConstants()(model).model)
    proto.ir_version = ir_version
    proto.opset_import[0].version = 11  # nothing that is left of the model has changed since
    if ir_version < 4:
        proto.graph.input.extend(
            onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in proto.graph.initializer
        )
    (tmp_path / "old.onnx").write_bytes(proto.SerializeToString())
    report = layoutopt.optimize(tmp_path / "old.onnx", output=tmp_path / "new.onnx", convert=False)
    assert [each.name for each in report.inputs] == ["input"]
    assert report.optimized.transposes == 0
    onnx.checker.check_model(onnx.load(tmp_path / "new.onnx"), full_check=True)


def test_json_holds_what_scripts_need(model: ir.Model) -> None:
    report = layoutopt.optimize(model, io=Io.KEEP, objective="bytes", convert=False)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert set(data["inputs"][0]) >= {"name", "shape", "dtype", "layout"}
    assert data["inputs"][0] | {"feed": ""} == data["inputs"][0]
    assert set(data["optimized"]) >= {
        *("operators", "transposes", "pads", "reshapes", "bytes_moved", "histogram"),
        *("latency_ms", "max_abs_error", "mse", "kind"),
    }
    assert data["layout"]["cost"] == data["layout"]["lower_bound"] == 4 * 3 * 32 * 32
    assert data["layout"]["proved_optimal"] is True
    assert [each["name"] for each in data["passes"]][:2] == ["inline-functions", "fold-constants"]
    assert set(data["passes"][0]) >= {"seconds", "nodes_before", "nodes_after", "transposes_before", "transposes_after"}
    assert {"layoutopt", "onnx", "onnxruntime", "python"} <= set(data["versions"])


def test_multiplications_are_told_and_exact_keeps_them() -> None:
    text = """g (float[1,32,16,16] x) => (y) {
        u = Resize <mode = "nearest"> (x, , scales) y = Conv <pads = [1,1,1,1]> (u, w)
    }"""
    upsampling = network(text, scales=[1.0, 1.0, 2.0, 2.0], w=normal(32, 32, 3, 3))
    report = layoutopt.optimize(upsampling, convert=False)
    whole, phases = 32 * 32 * 32 * 32 * 9, 17 * 17 * 32 * 128 * 4
    assert report.multiplications == Multiplications(whole, phases)
    products = {record.name: record.multiplications_after for record in report.passes}
    assert products["remove-dead-channels"] == whole
    assert products["convolve-before-upsampling"] == phases
    exact = layoutopt.optimize(upsampling, convert=False, exact=True)
    assert exact.multiplications == Multiplications(whole, whole)
    assert "convolve-before-upsampling" not in exact.pipeline


def test_a_dynamic_shape_needs_a_shape(model: ir.Model) -> None:
    symbolic = dynamic(model)
    with pytest.raises(DynamicShapeError, match="--shape input=1,3,224,224") as caught:
        layoutopt.optimize(symbolic, convert=False)
    assert "input[batch,3,height,width]" in caught.value.message
    report = layoutopt.optimize(symbolic, shapes={"input": (2, 3, 64, 32)}, convert=False)
    assert report.inputs[0].shape == (2, 64, 32, 3)
    assert report.outputs[0].shape == (2, 1000)
    assert report.optimized.transposes == 0


def test_sizes_of_minus_one_are_unknown(model: ir.Model, tmp_path: Path) -> None:
    proto = ir.to_proto(model)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    del proto.graph.value_info[:]
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(DynamicShapeError, match="--shape input="):
        layoutopt.optimize(tmp_path / "model.onnx", convert=False)
    report = layoutopt.optimize(tmp_path / "model.onnx", shapes={"input": (2, 3, 32, 32)}, convert=False)
    assert report.outputs[0].shape == (2, 1000)


@pytest.mark.parametrize("shapes", [{"nothing": (1, 3, 32, 32)}, {"input": (1, 4, 32, 32)}, {"input": (1, 3, 0, 32)}])
def test_a_wrong_shape_is_refused(model: ir.Model, shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match="--shape"):
        layoutopt.optimize(dynamic(model), shapes=shapes, convert=False)


def test_verification_catches_a_wrong_pass(model: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = EliminateDeadCode.call

    def wrong(self: EliminateDeadCode, model: ir.Model) -> ir.passes.PassResult:
        constants = model.graph.initializers.items()
        bias = next(value for name, value in constants if "classifier.1.bias" in name and value.uses())
        assert bias.const_value is not None
        bias.const_value = ir.tensor(bias.const_value.numpy() + 1, name=bias.name)
        return honest(self, model)

    monkeypatch.setattr(EliminateDeadCode, "call", wrong)
    with pytest.raises(VerificationError, match=r"output 'logits'.*seed 5"):
        layoutopt.optimize(model, seed=5, convert=False)
    with pytest.raises(VerificationError, match=r"pass \d+ \(eliminate-dead-code\)"):
        layoutopt.optimize(model, verify=Verify.EACH, convert=False)
    assert layoutopt.optimize(model, verify=Verify.NONE, convert=False).verification is None


def test_dumps_are_models(model: ir.Model, tmp_path: Path) -> None:
    layoutopt.optimize(model, dump=layoutopt.Dump(tmp_path / "all"), convert=False)
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "01-inline-functions.onnx",
        "02-fold-constants.onnx",
        "03-drop-identities.onnx",
        "04-recognize-activations.onnx",
        "05-expand-quantized-operators.onnx",
        "06-fold-batch-norm.onnx",
        "07-arrange-resizes.onnx",
        "08-expand-instance-norm.onnx",
        "09-expand-products.onnx",
        "10-split-products.onnx",
        "11-remove-dead-channels.onnx",
        "12-convolve-before-upsampling.onnx",
        "13-fold-affine.onnx",
        "14-merge-parallel-convolutions.onnx",
        "15-merge-linear-chains.onnx",
        "16-pool-before-convolution.onnx",
        "17-compute-what-is-read.onnx",
        "18-fuse-depth-to-space.onnx",
        "19-absorb-channel-shuffles.onnx",
        "20-propagate-layout.onnx",
        "21-cancel-transposes.onnx",
        "22-recognize-batch-norm.onnx",
        "23-eliminate-dead-code.onnx",
    ]
    layoutopt.optimize(model, dump=layoutopt.Dump(tmp_path / "one", frozenset({"propagate-layout"})))
    (dumped,) = (tmp_path / "one").iterdir()
    assert layoutopt.count(dumped).counts.histogram["layoutopt.nhwc::Conv2D"] == 52
    with pytest.raises(UsageError, match="no pass 'nonsense'"):
        layoutopt.optimize(model, dump=layoutopt.Dump(tmp_path, frozenset({"nonsense"})))


def test_io_has_no_say_over_a_pipeline(model: ir.Model) -> None:
    with pytest.raises(UsageError, match=r"propagate-layout\{io=keep\}"):
        layoutopt.optimize(model, io=Io.KEEP, passes="fold-constants", convert=False)
    report = layoutopt.optimize(
        model, passes="fold-constants,propagate-layout{io=keep},eliminate-dead-code", convert=False
    )
    assert report.optimized.transposes == 1
    assert layoutopt.optimize(model, passes="fold-constants", convert=False).layout is None


def test_count_reads_layouts_back(model: ir.Model, tmp_path: Path) -> None:
    layoutopt.optimize(model, output=tmp_path / "out.onnx", convert=False)
    report = layoutopt.count(tmp_path / "out.onnx")
    assert report.layouts == {"input": (0, 2, 3, 1)}
    assert report.counts.transposes == 0


def test_reports_are_frozen(model: ir.Model) -> None:
    report = layoutopt.optimize(model, convert=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.pipeline = ""  # type: ignore[misc]


def test_two_outputs_cannot_share_a_path(model: ir.Model, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is another output too"):
        layoutopt.optimize(model, output=tmp_path / "x", tflite=tmp_path / "x")


@pytest.mark.parametrize("what", ["input", "calibration"])
def test_nothing_that_is_read_is_overwritten(model: ir.Model, tmp_path: Path, what: str) -> None:
    path = tmp_path / "samples.npz"
    np.savez(path, input=np.zeros((4 if what == "calibration" else 1, 3, 32, 32), np.float32))
    before = path.read_bytes()
    more = {"quantize": "int8"} if what == "calibration" else {}
    with pytest.raises(OutputError, match="is an input"):
        layoutopt.optimize(model, tflite=path, force=True, **{what: str(path)}, **more)  # type: ignore[arg-type]
    assert path.read_bytes() == before


@pytest.mark.onnx_tf
def test_the_conversion_writes_what_was_asked_for(model: ir.Model, tmp_path: Path) -> None:
    onnx, tflite, saved = tmp_path / "out.onnx", tmp_path / "out.tflite", tmp_path / "saved"
    stages: list[str] = []
    report = layoutopt.optimize(
        model, output=onnx, tflite=tflite, saved_model=saved, baseline=False, benchmark=True, progress=stages.append
    )
    assert (report.output, report.tflite, report.saved_model) == (onnx, tflite, saved)
    assert (saved / "saved_model.pb").is_file()
    assert report.optimized.file_size == tflite.stat().st_size
    assert report.optimized.latency_ms is not None
    assert report.optimized.latency_ms > 0
    assert report.inputs[0].tflite_name
    assert "layoutopt: TFLite converter" in stages
    counts = layoutopt.count(tflite).counts
    assert (counts.operators, counts.transposes) == (report.optimized.operators, 0)


def test_a_wrong_tflite_is_an_error_and_not_written(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = run_natural

    def wrong(*args: object, **keywords: object) -> dict[str, np.ndarray]:
        return {name: array + 1 for name, array in honest(*args, **keywords).items()}  # type: ignore[arg-type]

    monkeypatch.setattr("layoutopt.workflows.conversion.run_natural", wrong)
    with pytest.raises(VerificationError, match=r"the \.tflite differs from the original at output 'logits'"):
        layoutopt.optimize(model, tflite=tmp_path / "out.tflite", baseline=False)
    assert list(tmp_path.iterdir()) == []


def test_two_forms_of_an_onnx_file_are_timed_against_each_other(
    model: ir.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alike(paths: list[Path], settings: list[Setting], **_: object) -> list[SettingLatencies]:
        """What a machine sees of two forms that differ by half of its noise."""
        rng = np.random.default_rng(0)
        times = np.array([[10.1], [10.0], [10.1]]) * np.exp(0.02 * rng.standard_normal((3, 60)))
        assert len(paths) == 2
        return [SettingLatencies.of(settings[0], [Latency(tuple(row)) for row in times], seed=0)]

    save(model, tmp_path / "model.onnx")
    monkeypatch.setattr("layoutopt.workflows.optimize.time_together", alike)
    report = layoutopt.benchmark([tmp_path / "model.onnx"], rounds=3, seconds=0, warmup=1)
    optimized = layoutopt.optimize(model, benchmark=True)
    assert optimized.speedup is not None
    assert optimized.speedup.verdict is Verdict.WITHIN_NOISE
    console = Console(width=100, file=io.StringIO())
    console.print(*tables.of_optimize(optimized, verbose=False))
    assert "1.01x within noise" in console.file.getvalue()  # type: ignore[attr-defined]
    before, after = report.rows
    assert before.name.endswith("(per-operator layout)")
    assert after.name.endswith("(layoutopt)")
    assert before.counts.transposes > after.counts.transposes == 0


@pytest.mark.onnx_tf
def test_a_failing_baseline_is_a_note(model: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = convert_model

    def fail_in_plain(*args: object, **keywords: object) -> layoutopt.Conversion:
        if "layoutopt" not in str(args[0]).rpartition("/")[2]:
            raise ConversionError("onnx-tf", "no")
        return honest(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr("layoutopt.workflows.conversion.convert_model", fail_in_plain)
    report = layoutopt.optimize(model)
    assert report.baseline is None
    assert "no baseline: onnx-tf: no" in report.notes


def test_plain_values_are_taken(tmp_path: Path) -> None:
    proto = ir.to_proto(mobilenet_v2(resolution=32, width=0.25))
    report = layoutopt.optimize(
        proto,
        output=str(tmp_path / "out.onnx"),
        tflite=str(tmp_path / "out.tflite"),
        io="keep",
        layouts={"input": "nhwc"},
        objective="bytes",
        verify="result",
        quantize="float16",
        backend="direct",
        baseline=False,
    )
    assert report.inputs[0].layout is LayoutName.CHANNELS_LAST
    assert (report.model, report.tflite) == (None, tmp_path / "out.tflite")
    assert report.tflite is not None
    assert report.tflite.stat().st_size < len(proto.SerializeToString()) * 0.7
    assert report.optimized.file_size == report.tflite.stat().st_size
    assert layoutopt.count(proto).counts.histogram["Conv"] == 52
    assert "TRANSPOSE" in report._repr_html_()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"io": "banana"}, "Choose from free, keep."),
        ({"quantize": "int3"}, "none, dynamic, weights, int4, float16, int8, mixed"),
        ({"verify": None}, "none, result, each"),
        ({"layouts": {"input": "sideways"}}, "natural, channels-last, free"),
        ({"backend": "tvm"}, "direct, onnx-tf"),
        ({"seed": -1}, ""),
    ],
)
def test_a_wrong_value_is_told_with_the_choices(wrong: dict[str, Any], hint: str) -> None:
    with pytest.raises(layoutopt.LayoutoptError, match=str(next(iter(wrong)))) as error:
        layoutopt.optimize(mobilenet_v2(resolution=32, width=0.25), **wrong)
    assert hint in error.value.hint
    with pytest.raises(UsageError, match="a model of type int"):
        layoutopt.optimize(3)  # type: ignore[arg-type]


def test_the_log_tells_of_each_stage(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="layoutopt"):
        layoutopt.explain(mobilenet_v2(resolution=32, width=0.25))
    assert any(record.getMessage().startswith("passes: ") for record in caplog.records)
