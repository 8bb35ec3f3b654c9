"""The direct backend as its caller sees it: names, files, errors, and what a whole network becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from layoutopt import errors
from layoutopt.backend.conversion import Quantize
from layoutopt.backend.direct import convert
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.inspect import count_tflite, signature_of
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.verify import run_onnx
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants
from layoutopt.pipeline.manager import PassManager


def model_of(text: str, **constants: npt.NDArray[np.generic]) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13, "odd" : 2]> {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    for node in proto.graph.node:
        if node.op_type.startswith("Strange"):
            node.domain = "odd"
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


# --- names and files ----------------------------------------------------------------------------------------------


def test_names_order_and_stages(tmp_path: Path) -> None:
    """An input that nobody reads, one that is an output, and names that are no identifiers."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("z.1", "1:b", "unused")
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("out/2", "9.out", "z.1")
    ]
    nodes = [
        onnx.helper.make_node("Sub", ["z.1", "1:b"], ["out/2"], name="a node [with] odd:name"),
        onnx.helper.make_node("Relu", ["z.1"], ["9.out"]),
    ]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    model = ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]))
    path, stages = tmp_path / "m.tflite", list[str]()
    done = convert_directly(model, path, progress=stages.append)
    assert (done.tflite, done.saved_model) == (path, None)
    assert done.input_names == {name: name for name in ("z.1", "1:b", "unused")}
    assert done.output_names == {name: name for name in ("out/2", "9.out", "z.1")}
    assert stages == list(done.seconds) == ["lowering", "rewrites", "write .tflite"]
    assert done.peak_memory > 10e6
    signature = signature_of(path)
    assert [each.signature_name for each in signature.inputs] == list(done.input_names)
    assert [each.signature_name for each in signature.outputs] == list(done.output_names)
    z, b = np.array([1, -2, 3, -4], np.float32), np.ones(4, np.float32)
    found = runtime.run_tflite(path, {"z.1": z, "1:b": b, "unused": b})
    np.testing.assert_array_equal(found["out/2"], z - b)
    np.testing.assert_array_equal(found["9.out"], np.maximum(z, 0))
    np.testing.assert_array_equal(found["z.1"], z)


def test_the_model_stays_as_it_is(tmp_path: Path) -> None:
    model = mobilenet_v2(resolution=32, width=0.25)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    convert_directly(model, tmp_path / "m.tflite")
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


# --- errors -------------------------------------------------------------------------------------------------------


STRANGE = "g (float[2,3,4,5] x) => (float[] z) { [one] a = Strange(x) [two] b = Relu(a) [three] z = Stranger(b) }"
REFUSED = """g (float[1,2,4,4] x) => (float[1,2,4,4] z) {
    [one] y = LRN <size = 2> (x) [two] r = Relu (y) [three] z = LRN <size = 4> (r) }"""
REGIONS = "g (float[1,2,8,8] x, float[1,5] r) => (float[1,2,2,2] y) { y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }"
SYMBOLIC = "g (float[batch,3] x) => (float[batch,3] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            STRANGE,
            errors.UnsupportedOperatorError,
            r"one: Strange \(odd, opset 2\)\n  three: Stranger \(odd, opset 2\)\n",
        ),
        (REFUSED, errors.UnsupportedOperatorError, r"2 nodes .*\n  node one .*\n  node three "),
        (REGIONS, errors.UnsupportedOperatorError, r"y: MaxRoiPool .*; instead, use a RoiAlign"),
        (SYMBOLIC, errors.DynamicShapeError, "batch"),
    ],
    ids=["no lowering", "refused by the lowering", "another operator instead", "symbolic"],
)
def test_all_that_cannot_be_converted_is_told_at_once_and_nothing_written(
    text: str, kind: type[errors.LayoutoptError], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    with pytest.raises(kind, match=message):
        convert_directly(model_of(text), path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    with pytest.raises(kind, match=message):
        convert_directly(model_of(text), path)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("operator", "node"), [("SUM", "ReduceSum(x, a)"), ("MEAN", "ReduceMean<axes=[0,2,4,6,8]>(x)")]
)
def test_what_no_kernel_takes_is_refused_before_it_is_written(
    operator: str, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = "<int64[5] a = {0, 2, 4, 6, 8}>"
    graph = f"g (float[2,3,2,3,2,3,2,3,2] x) => (float[1,3,1,3,1,3,1,3,1] y) {axes} {{ [folded] y = {node} }}"
    path = tmp_path / "model.tflite"
    with pytest.raises(errors.UnsupportedOperatorError, match=f"folded: {operator} has no kernel for 9 axes, but for"):
        convert_directly(model_of(graph), path)
    assert not path.exists()
    monkeypatch.setattr(convert, "violations", lambda _: [])
    convert_directly(model_of(graph), path)
    with pytest.raises(errors.ConversionError):
        run_in_child(path)


@pytest.mark.parametrize(
    ("part", "stage"), [("lower", "lowering"), ("simplify", "rewrites"), ("write_tflite", "write .tflite")]
)
def test_a_fault_of_our_own_names_its_stage(
    part: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexError("nothing there")

    monkeypatch.setattr(convert, part, fail)
    with pytest.raises(errors.ConversionError, match="IndexError: nothing there") as caught:
        convert_directly(model_of("g (float[2] x) => (float[2] y) { y = Relu(x) }"), tmp_path / "m.tflite")
    assert caught.value.stage == stage


def test_int8_needs_ranges_that_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="int8") as caught:
        convert_directly(mobilenet_v2(resolution=32), tmp_path / "m.tflite", quantize=Quantize.INT8)
    assert "--calibration" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# --- a whole network ----------------------------------------------------------------------------------------------


def test_mobilenet_v2_has_no_transposes(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    expected = np.asarray(run_onnx(mobilenet_v2(), {"input": x})["logits"], np.float32)
    model = PassManager(DEFAULT_PIPELINE).run(mobilenet_v2()).model
    convert_directly(model, tmp_path / "m.tflite")
    assert count_tflite(tmp_path / "m.tflite").histogram == {
        "CONV_2D": 35,
        "DEPTHWISE_CONV_2D": 17,
        "ADD": 10,
        "PAD": 5,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
    }
    found = runtime.run_tflite(tmp_path / "m.tflite", {"input": np.ascontiguousarray(x.transpose(0, 2, 3, 1))})
    actual = found["logits"].astype(np.float64)
    assert np.abs(actual - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.mean((actual - expected) ** 2) < 1e-10  # the logits have about unit variance


def test_without_layouts_each_convolution_has_its_transposes(tmp_path: Path) -> None:
    model = PassManager((FoldConstants(),)).run(mobilenet_v2(resolution=32, width=0.25)).model
    convert_directly(model, tmp_path / "m.tflite")
    assert count_tflite(tmp_path / "m.tflite").transposes > 20
    x = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    expected = run_onnx(model, {"input": x})["logits"]
    actual = runtime.run_tflite(tmp_path / "m.tflite", {"input": x})["logits"].astype(np.float32)
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=0, atol=1e-5)
