"""The backend by onnx-tf as its caller sees it: names, files, errors, and what a whole network becomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from layoutopt import errors
from layoutopt.backend import process
from layoutopt.backend.conversion import Quantize
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.inspect import count_tflite, signature_of
from layoutopt.backend.onnx_tf import child
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save as save_model
from layoutopt.ir.verify import run_onnx
from layoutopt.passes import DEFAULT_PIPELINE
from layoutopt.pipeline.manager import PassManager

pytestmark = pytest.mark.onnx_tf

Array = npt.NDArray[np.float32]


def save(path: Path, text: str, **constants: npt.NDArray[np.generic]) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    return path


def small(path: Path) -> Path:
    return save(path, "g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }")


# --- names and files ---------------------------------------------------------------------------------------------


def test_names_order_and_saved_model(tmp_path: Path) -> None:
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("Sub", ["z.1", "1:b"], ["out/2"], name="a node [with] odd:name"),
                onnx.helper.make_node("Relu", ["z.1"], ["9.out"]),
            ],
            "g",
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4])
                for name in ("z.1", "1:b", "unused")
            ],
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4])
                for name in ("out/2", "9.out", "z.1")
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    (tmp_path / "saved" / "old").touch()
    stages: list[str] = []
    done = convert_model(
        tmp_path / "m.onnx", tflite=tmp_path / "m.tflite", saved_model=tmp_path / "saved", progress=stages.append
    )
    assert list(done.input_names) == ["z.1", "1:b", "unused"]
    assert list(done.output_names) == ["out/2", "9.out", "z.1"]
    assert stages == list(done.seconds)
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "m.tflite", "saved"}
    assert (tmp_path / "saved" / "saved_model.pb").exists()
    assert not (tmp_path / "saved" / "old").exists()

    signature = signature_of(tmp_path / "m.tflite")
    assert [each.signature_name for each in signature.inputs] == list(done.input_names.values())
    z, b = np.array([1, -2, 3, -4], np.float32), np.ones(4, np.float32)
    feeds = {"z.1": z, "1:b": b, "unused": b}
    result = runtime.run_tflite(tmp_path / "m.tflite", {done.input_names[name]: value for name, value in feeds.items()})
    np.testing.assert_array_equal(result[done.output_names["out/2"]], z - b)
    np.testing.assert_array_equal(result[done.output_names["9.out"]], np.maximum(z, 0))
    np.testing.assert_array_equal(result[done.output_names["z.1"]], z)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_text("old")
    model = save(tmp_path / "m.onnx", "g (float[2] x) => (float[3] y) { y = Reshape(x, t) }", t=np.array([3]))
    with pytest.raises(errors.ConversionError):
        convert_model(model, tflite=tmp_path / "m.tflite")
    assert (tmp_path / "m.tflite").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "m.tflite"}


def test_targets_are_checked_first(tmp_path: Path) -> None:
    model = small(tmp_path / "m.onnx")
    with pytest.raises(errors.UsageError):
        convert_model(model)
    with pytest.raises(errors.OutputError, match="nowhere"):
        convert_model(model, tflite=tmp_path / "nowhere" / "m.tflite")
    with pytest.raises(errors.ModelNotFoundError):
        convert_model(tmp_path / "none.onnx", tflite=tmp_path / "m.tflite")


# --- errors ------------------------------------------------------------------------------------------------------


def test_death_by_signal_names_stage_and_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = (
        "import os, signal, sys; from layoutopt.backend.onnx_tf.protocol import ChildEvent; "
        "print(ChildEvent(stage='TFLite converter').dump(), flush=True); "
        "print('last words', file=sys.stderr, flush=True); "
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    monkeypatch.setattr(child, "_kept", None)  # not the one that other tests share
    monkeypatch.setattr(process, "_BOOT", f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {boot}")
    with pytest.raises(errors.ConversionError, match=r"TFLite converter: .*SIGSEGV\n(.*\n)*last words") as caught:
        convert_model(small(tmp_path / "m.onnx"), tflite=tmp_path / "m.tflite")
    assert caught.value.stage == "TFLite converter"
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx"}


def test_a_broken_model_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small(tmp_path / "m.onnx").read_bytes()[:-9])
    with pytest.raises(errors.InvalidModelError, match=r"m\.onnx"):
        convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")


def test_the_error_of_a_lowering_reaches_the_caller(tmp_path: Path) -> None:
    text = "g (float[1,2,8,8] x, float[1,5] r) => (float[1,2,2,2] y) { y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }"
    with pytest.raises(errors.UnsupportedOperatorError, match=r"y: MaxRoiPool .*; instead, use a RoiAlign"):
        convert_model(save(tmp_path / "m.onnx", text), tflite=tmp_path / "m.tflite")
    model = save(tmp_path / "m.onnx", "g (float[batch,3] x) => (float[batch,3] y) { y = Relu(x) }")
    with pytest.raises(errors.DynamicShapeError, match="batch"):
        convert_model(model, tflite=tmp_path / "m.tflite")


def test_what_onnx_tf_does_not_know_either_is_listed(tmp_path: Path) -> None:
    text = "g (float[2,3,4,5] x) => (float[2,3,4,5] y) { [one] a = Strange(x) [two] y = Stranger(a) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13, "odd" : 2]> {text}')
    for node in model.graph.node:
        node.domain = "odd"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(errors.UnsupportedOperatorError, match=r"'one': operator odd::Strange\n.*'two'.*odd::Stranger"):
        convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")


def test_flex_only_when_allowed(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", "g (float[2,3] x) => (float[2,3] y) { y = RandomNormalLike(x) }")
    with pytest.raises(errors.ConversionError, match=r"RandomStandardNormal") as caught:
        convert_model(model, tflite=tmp_path / "m.tflite")
    assert "Flex" in caught.value.hint
    convert_model(model, tflite=tmp_path / "m.tflite", allow_flex=True)
    assert count_tflite(tmp_path / "m.tflite").histogram["FlexRandomStandardNormal"] == 1


# --- in the child ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_stand_ins_leave_no_trace() -> None:
    script = """
import sys, types, onnx, onnx.helper
mine = sys.modules["tensorflow_probability"] = types.ModuleType("tensorflow_probability")
from layoutopt.backend.onnx_tf.compat import import_onnx_tf
import_onnx_tf()
assert sys.modules["tensorflow_probability"] is mine
assert not {"onnx.mapping", "tensorflow_addons"} & set(sys.modules)
assert not hasattr(onnx, "mapping") and not hasattr(onnx.helper, "mapping")
from onnx_tf.common import data_type
assert data_type.onnx2tf(11).name == "float64" and data_type.tf2onnx(data_type.onnx2tf(7)) == 7
import onnx_tf.handlers.backend.hardmax as hardmax, numpy as np
assert hardmax.tfa.seq2seq.hardmax(np.array([[1., 3., 3.]])).numpy().tolist() == [[0, 1, 0]]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_caller_never_loads_tensorflow() -> None:
    script = """
import sys, layoutopt.backend.onnx_tf.convert
assert not {"tensorflow", "onnx", "onnx_tf"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- a whole network ---------------------------------------------------------------------------------------------


SIDE = 96


def test_mobilenet_v2_has_no_transposes(tmp_path: Path) -> None:
    """Its input has a name that TensorFlow does not take."""
    model = mobilenet_v2(resolution=SIDE)
    model.graph.inputs[0].name = "input.1"
    x = np.random.default_rng(1).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    expected = np.asarray(run_onnx(model, {"input.1": x})["logits"], np.float32)
    save_model(PassManager(DEFAULT_PIPELINE).run(model).model, tmp_path / "m.onnx")
    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")
    native = {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10, "PAD": 5, "MEAN": 1, "FULLY_CONNECTED": 1}
    assert count_tflite(tmp_path / "m.tflite").histogram == native
    actual = first_output(tmp_path / "m.tflite", x.transpose(0, 2, 3, 1))
    scale = float(np.abs(expected).max())
    assert np.abs(actual - expected).max() < 1e-5 * scale

    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "q.tflite", quantize=Quantize.DYNAMIC)
    assert (tmp_path / "q.tflite").stat().st_size < 0.4 * (tmp_path / "m.tflite").stat().st_size
    assert count_tflite(tmp_path / "q.tflite").histogram == native
    assert np.abs(first_output(tmp_path / "q.tflite", x.transpose(0, 2, 3, 1)) - expected).max() < 0.2 * scale


def test_plain_onnx_tf_is_left_plain(tmp_path: Path) -> None:
    """Its names are those of TensorFlow, and each convolution stands between TRANSPOSEs."""
    body = "a = Conv <pads=[1,1,1,1]> (x, w) b = Relu(a) c = Conv <strides=[2,2]> (b, w) y = GlobalAveragePool(c)"
    rng = np.random.default_rng(1)
    weights, x = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 4, 3, 3), (1, 4, 15, 15)))
    path = save(tmp_path / "m.onnx", f"g (float[1,4,15,15] x) => (float[1,4,1,1] y) {{ {body} }}", w=weights)
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "input.1"
    onnx.save(model, path)
    done = convert_model(path, tflite=tmp_path / "m.tflite", handlers=Handlers.PLAIN)
    assert done.input_names == {"input.1": "input_1"}
    found = count_tflite(tmp_path / "m.tflite").histogram
    assert (found["CONV_2D"], found["TRANSPOSE"]) == (2, 2)
    expected = run_onnx(ir.from_proto(model), {"input.1": x})["y"]
    np.testing.assert_allclose(first_output(tmp_path / "m.tflite", x), np.asarray(expected), rtol=0, atol=1e-5)


def first_output(path: Path, x: Array) -> Array:
    (given,) = signature_of(path).inputs
    (result,) = runtime.run_tflite(path, {given.signature_name: np.ascontiguousarray(x)}).values()
    return np.asarray(result, np.float32)
