"""The hand-off as its caller sees it: names, files, errors, and what a whole network becomes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from layoutopt import errors
from layoutopt.backend import process
from layoutopt.backend.conversion import Quantize
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save as save_model
from layoutopt.ir.verify import run as evaluate
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants
from layoutopt.pipeline.manager import PassManager

pytestmark = pytest.mark.tflite

Array = npt.NDArray[np.float32]


def save(path: Path, text: str, **constants: npt.NDArray[np.generic]) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    return path


def small(path: Path) -> Path:
    return save(path, "g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }")


def operators(path: Path) -> Counter[str]:
    return Counter(operator.name for operator in operators_of(path))


# --- names and files ---------------------------------------------------------------------------------------------


def test_names_order_and_saved_model(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

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

    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    assert [entry["name"] for entry in interpreter.get_input_details()] == list(done.input_names)
    assert len(interpreter.get_output_details()) == 3
    z, b = np.array([1, -2, 3, -4], np.float32), np.ones(4, np.float32)
    feeds = {"z.1": z, "1:b": b, "unused": b}
    result = interpreter.get_signature_runner("serving_default")(
        **{done.input_names[name]: value for name, value in feeds.items()}
    )
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
        "import os, signal, sys; from layoutopt.backend.onnx_tf.protocol import Event; "
        "print(Event(stage='TFLite converter').dump(), flush=True); print('last words', file=sys.stderr, flush=True); "
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    monkeypatch.setattr(process, "_BOOT", f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {boot}")
    with pytest.raises(errors.ConversionError, match=r"TFLite converter: .*SIGSEGV\n(.*\n)*last words") as caught:
        convert_model(small(tmp_path / "m.onnx"), tflite=tmp_path / "m.tflite")
    assert caught.value.stage == "TFLite converter"
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx"}


def test_a_broken_model_is_a_conversion_error(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small(tmp_path / "m.onnx").read_bytes()[:-9])
    with pytest.raises(errors.ConversionError) as caught:
        convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")
    assert caught.value.stage == "onnx-tf"


def test_every_unsupported_node_is_listed(tmp_path: Path) -> None:
    text = "g (float[2,3,4,5] x) => (float[] y) { [one] a = Strange(x) [two] y = Stranger(a) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13, "odd" : 2]> {text}')
    for node in model.graph.node:
        node.domain = "odd"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(errors.UnsupportedOperatorError, match=r"one: Strange \(odd, opset 2\)\n  two: Stranger"):
        convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")


def test_the_nearest_way_out_is_told(tmp_path: Path) -> None:
    text = "g (float[1,2,8,8] x, float[1,5] r) => (float[1,2,2,2] y) { y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }"
    with pytest.raises(errors.UnsupportedOperatorError, match=r"y: MaxRoiPool .*; instead, use a RoiAlign"):
        convert_model(save(tmp_path / "m.onnx", text), tflite=tmp_path / "m.tflite")


def test_every_node_that_a_handler_refuses_is_listed(tmp_path: Path) -> None:
    text = """g (float[1,2,4,4] x) => (float[1,2,4,4] z) {
        [one] y = LRN <size = 2> (x)
        [two] r = Relu (y)
        [three] z = LRN <size = 4> (r)
    }"""
    model = save(tmp_path / "m.onnx", text)
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), model)
    with pytest.raises(errors.UnsupportedOperatorError, match=r"2 nodes .*\n  node one .*\n  node three "):
        convert_model(model, tflite=tmp_path / "m.tflite")


def test_flex_only_when_allowed(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", "g (float[2,3] x) => (float[2,3] y) { y = RandomNormalLike(x) }")
    with pytest.raises(errors.ConversionError, match=r"RandomStandardNormal") as caught:
        convert_model(model, tflite=tmp_path / "m.tflite")
    assert "Flex" in caught.value.hint
    convert_model(model, tflite=tmp_path / "m.tflite", allow_flex=True)
    assert operators(tmp_path / "m.tflite")["FlexRandomStandardNormal"] == 1


def test_symbolic_dimensions_are_refused(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", "g (float[batch,3] x) => (float[batch,3] y) { y = Relu(x) }")
    with pytest.raises(errors.DynamicShapeError, match="batch"):
        convert_model(model, tflite=tmp_path / "m.tflite")


@pytest.mark.parametrize("missing", ["tensorflow", "onnx_tf"])
def test_a_missing_extra_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(errors.MissingExtraError, match=missing) as caught:
        convert_model(small(tmp_path / "m.onnx"), tflite=tmp_path / "m.tflite")
    assert "layoutopt[tflite]" in caught.value.hint
    assert ("--no-deps" in caught.value.hint) == (sys.version_info >= (3, 12))


# --- in the child ------------------------------------------------------------------------------------------------


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


def network(*, last: bool) -> ir.Model:
    """MobileNetV2-224, folded; `last` also chooses its layouts. Its input has a name that TensorFlow does not take."""
    model = mobilenet_v2()
    model.graph.inputs[0].name = "input.1"
    return PassManager(DEFAULT_PIPELINE if last else (FoldConstants(),)).run(model).model


NATIVE = {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10, "PAD": 5, "MEAN": 1, "FULLY_CONNECTED": 1}


def test_mobilenet_v2_has_no_transposes(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    expected = np.asarray(evaluate(mobilenet_v2(), {"input": x})["logits"], np.float32)
    save_model(network(last=True), tmp_path / "m.onnx")
    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")
    assert operators(tmp_path / "m.tflite") == NATIVE
    actual = run(tmp_path / "m.tflite", x.transpose(0, 2, 3, 1))
    scale = float(np.abs(expected).max())
    assert np.abs(actual - expected).max() < 1e-5 * scale
    assert np.mean((actual - expected) ** 2) < 1e-10  # the logits have about unit variance

    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "q.tflite", quantize=Quantize.DYNAMIC)
    assert (tmp_path / "q.tflite").stat().st_size < 0.4 * (tmp_path / "m.tflite").stat().st_size
    assert operators(tmp_path / "q.tflite") == NATIVE
    assert np.abs(run(tmp_path / "q.tflite", x.transpose(0, 2, 3, 1)) - expected).max() < 0.2 * scale


def test_plain_onnx_tf_is_left_plain(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    save_model(network(last=False), tmp_path / "m.onnx")
    done = convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite", handlers=Handlers.PLAIN)
    assert done.input_names == {"input.1": "input_1"}
    assert operators(tmp_path / "m.tflite") == {**NATIVE, "TRANSPOSE": 36, "PAD": 18, "RESHAPE": 1}
    assert run(tmp_path / "m.tflite", x).shape == (1, 1000)


def run(path: Path, x: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    (result,) = runner(**{name: np.ascontiguousarray(x)}).values()
    return np.asarray(result, np.float32)
