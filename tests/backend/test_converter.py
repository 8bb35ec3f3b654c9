"""The hand-off as its caller sees it: names, files, errors, and what a whole network becomes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tflite

from layoutopt import errors
from layoutopt.backend.litert import converter
from layoutopt.backend.litert.converter import Handlers, Quantize, convert_model
from layoutopt.ir.dialect import DOMAIN, OPERATORS

pytestmark = pytest.mark.tflite

Array = npt.NDArray[np.float32]
_NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}


def save(path: Path, text: str, **constants: npt.NDArray[np.generic]) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    return path


def small(path: Path) -> Path:
    return save(path, "g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }")


def operators(path: Path) -> Counter[str]:
    model = tflite.Model.GetRootAs(path.read_bytes())
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    return Counter(_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes)


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
    monkeypatch.setattr(converter, "_BOOT", f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {boot}")
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


def test_flex_only_when_allowed(tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", "g (float[2,3] x) => (float[2,3] y) { y = Tan(x) }")
    with pytest.raises(errors.ConversionError, match=r"tf\.Tan") as caught:
        convert_model(model, tflite=tmp_path / "m.tflite")
    assert "Flex" in caught.value.hint
    convert_model(model, tflite=tmp_path / "m.tflite", allow_flex=True)
    assert operators(tmp_path / "m.tflite") == {"CUSTOM": 1}


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
import sys, layoutopt.backend.litert.converter
assert not {"tensorflow", "onnx", "onnx_tf"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- a whole network ---------------------------------------------------------------------------------------------


class MobileNet:
    """MobileNetV2-224 with batch normalization folded, as ONNX; `last` spells it in the dialect."""

    SETTINGS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, *, last: bool) -> None:
        self.last = last
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants = [self._constant("lo", np.float32(0)), self._constant("hi", np.float32(6))]

    def model(self) -> onnx.ModelProto:
        x, channels = self.conv("input.1", 3, 32, 3, 2), 32
        for expansion, width, repeats, stride in self.SETTINGS:
            for index in range(repeats):
                x, channels = self.block(x, channels, width, stride if index == 0 else 1, expansion), width
        x = self.conv(x, channels, 1280, 1, 1)
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        weights = [self.weight("fc.w", (1000, 1280)), self.weight("fc.b", (1000,))]
        self.nodes.append(onnx.helper.make_node("Gemm", [x, *weights], ["y"], transB=1))
        shape = [1, 224, 224, 3] if self.last else [1, 3, 224, 224]
        graph = onnx.helper.make_graph(
            self.nodes,
            "mobilenet_v2",
            [onnx.helper.make_tensor_value_info("input.1", onnx.TensorProto.FLOAT, shape)],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1000])],
            self.constants,
        )
        opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(DOMAIN, 1)]
        return onnx.helper.make_model(graph, opset_imports=opsets[: 1 + self.last], ir_version=8)

    def block(self, x: str, channels: int, width: int, stride: int, expansion: int) -> str:
        hidden = channels * expansion
        y = self.conv(x, channels, hidden, 1, 1) if expansion > 1 else x
        y = self.conv(y, hidden, hidden, 3, stride, group=hidden)
        y = self.conv(y, hidden, width, 1, 1, relu=False)
        return self.node("Add", [x, y]) if stride == 1 and channels == width else y

    def conv(
        self, x: str, channels: int, width: int, kernel: int, stride: int, *, group: int = 1, relu: bool = True
    ) -> str:
        name = f"conv{len(self.nodes)}"
        operands = [
            x,
            self.weight(f"{name}.w", (width, channels // group, kernel, kernel)),
            self.weight(f"{name}.b", (width,)),
        ]
        y = self.node("Conv", operands, group=group, strides=[stride] * 2, pads=[kernel // 2] * 4)
        return self.node("Clip", [y, "lo", "hi"]) if relu else y

    def node(self, operator: str, operands: list[str], **attributes: Any) -> str:
        result, domain = f"{operator}_{len(self.nodes)}", ""
        if self.last and operator in OPERATORS:
            operator, domain = OPERATORS[operator].name, DOMAIN
        self.nodes.append(onnx.helper.make_node(operator, operands, [result], result, domain=domain, **attributes))
        return result

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        scale = np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        self.constants.append(self._constant(name, (scale * self.rng.standard_normal(shape)).astype(np.float32)))
        return name

    @staticmethod
    def _constant(name: str, array: npt.NDArray[np.float32] | np.float32) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.asarray(array), name)


NATIVE = {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10, "PAD": 5, "MEAN": 1, "FULLY_CONNECTED": 1}


def test_mobilenet_v2_has_no_transposes(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    session = onnxruntime.InferenceSession(MobileNet(last=False).model().SerializeToString())
    (expected,) = session.run(None, {"input.1": x})
    onnx.save(MobileNet(last=True).model(), tmp_path / "m.onnx")
    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "m.tflite")
    assert operators(tmp_path / "m.tflite") == NATIVE
    actual = run(tmp_path / "m.tflite", x.transpose(0, 2, 3, 1))
    scale = float(np.abs(expected).max())
    assert np.abs(actual - expected).max() < 1e-5 * scale
    assert np.mean((actual - expected) ** 2) < (1e-6 * scale) ** 2

    convert_model(tmp_path / "m.onnx", tflite=tmp_path / "q.tflite", quantize=Quantize.DYNAMIC)
    assert (tmp_path / "q.tflite").stat().st_size < 0.4 * (tmp_path / "m.tflite").stat().st_size
    assert operators(tmp_path / "q.tflite") == NATIVE
    assert np.abs(run(tmp_path / "q.tflite", x.transpose(0, 2, 3, 1)) - expected).max() < 0.2 * scale


def test_plain_onnx_tf_is_left_plain(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    onnx.save(MobileNet(last=False).model(), tmp_path / "m.onnx")
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
