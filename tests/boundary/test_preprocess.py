"""Pixels as inputs: the result is that of the explicit form on the whole picture, borders included."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

import layoutopt
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.boundary import Boundary, Operator, Postprocess, Preprocess
from layoutopt.errors import UsageError
from layoutopt.ir.verify import Array, run_onnx
from layoutopt.options import Color
from layoutopt.quantization.request import QuantizationOptions
from layoutopt.results.optimize import OptimizeReport
from tests.boundary.networks import FLOAT, classifier, floats, model, node, picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = np.random.default_rng(2).integers(0, 256, (1, 3, 16, 16)).astype(np.uint8)


Floats = npt.NDArray[np.float64]


def tflite(path: Path, pixels: Array) -> Floats:
    """What LiteRT makes of pixels."""
    (found,) = run_tflite(path, {"image": pixels}, verbose=False).values()
    return found.astype(np.float64)


def explicit(original: ir.Model, wanted: Preprocess) -> Floats:
    """What ONNX Runtime makes of the original and of pixels that NumPy has normalized."""
    pixels = PIXELS[:, ::-1] if wanted.color is Color.BGR else PIXELS
    mean, std = (np.reshape(numbers, (1, -1, 1, 1)) for numbers in (wanted.mean, wanted.std))
    (found,) = run_onnx(original, {"image": ((pixels * wanted.scale - mean) / std).astype(np.float32)}).values()
    return found.astype(np.float64)


def optimized(original: ir.Model, path: Path, boundary: Boundary | None, **options: object) -> OptimizeReport:
    return layoutopt.optimize(
        original,
        tflite=path,
        boundary=boundary,
        baseline=False,
        backend="direct",
        **options,  # type: ignore[arg-type]
    )


@cache
def operators_without(**network: int) -> int:
    """How many operators a classifier has that takes floats."""
    return layoutopt.optimize(classifier(**network), baseline=False, backend="direct").optimized.operators


@pytest.mark.parametrize(
    ("network", "mean", "extra"),
    [
        ({"stride": 2, "pads": 1}, MEAN, 0),  # the picture is written into a frame of means
        ({"stride": 2, "pads": 1}, (0.5,), 0),  # PADV2
        ({"stride": 4, "pads": 0, "kernel": 4}, MEAN, 0),  # no border
        ({"stride": 1, "pads": 1}, MEAN, 1),  # SAME, which adds zeros by itself
        ({"stride": 1, "pads": 1}, (0.0,), 0),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("color", Color)
def test_folded(
    network: dict[str, int], mean: tuple[float, ...], extra: int, dtype: str, color: Color, tmp_path: Path
) -> None:
    wanted = Preprocess(mean, STD, 1 / 255, color, dtype)
    path = tmp_path / "a.tflite"
    report = optimized(classifier(**network), path, Boundary(preprocess={"": wanted}))
    assert report.optimized.operators == operators_without(**network) + extra + (dtype == "uint8")
    assert (report.inputs[0].dtype, report.inputs[0].shape) == (dtype, (1, 16, 16, 3))
    found = tflite(path, PIXELS.transpose(0, 2, 3, 1).astype(dtype))
    expected = explicit(classifier(**network), wanted).transpose(0, 2, 3, 1)
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


def test_what_cannot_be_folded_stays_and_is_told(tmp_path: Path) -> None:
    x = picture(1, 3, 8, 8)
    relu = node("Relu", [x], "relu")
    relu.outputs[0].dtype, relu.outputs[0].shape = FLOAT, ir.Shape([1, 3, 8, 8])
    made = model([x], relu.outputs, [relu])
    report = optimized(made, tmp_path / "a.tflite", Boundary(preprocess={"image": Preprocess(MEAN, STD, 1 / 255)}))
    assert any("stay before Relu, whose weights cannot take them" in note for note in report.notes)
    pixels = PIXELS[:, :, :8, :8]
    (found,) = run_tflite(tmp_path / "a.tflite", {"image": pixels}, verbose=False).values()
    mean, std = (np.reshape(numbers, (1, 3, 1, 1)) for numbers in (MEAN, STD))
    assert np.allclose(found, np.maximum((pixels / 255 - mean) / std, 0), atol=1e-5)


def test_a_network_of_nothing() -> None:
    x = picture(1, 3, 2, 2)
    made, _ = Boundary(preprocess={"": Preprocess(scale=0.5)}).apply(model([x], [x], []))
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    assert [value.name for value in made.graph.inputs] == ["image"]
    (found,) = run_onnx(made, {"image": pixels}).values()
    assert np.array_equal(found, pixels * np.float32(0.5))


def test_an_input_of_two_readers(tmp_path: Path) -> None:
    x, weights = picture(), floats("weights", 8, 3, 3, 3)
    conv, total = node("Conv", [x, weights], "conv", pads=[1] * 4), node("ReduceMean", [x], "mean", keepdims=1)
    added = node("Add", [conv.outputs[0], total.outputs[0]], "add", result="scores")
    added.outputs[0].dtype, added.outputs[0].shape = FLOAT, ir.Shape([1, 8, 16, 16])
    made = model([x], added.outputs, [conv, total, added], weights)
    wanted = Preprocess(MEAN, STD, 1 / 255)
    optimized(made, tmp_path / "a.tflite", Boundary(preprocess={"image": wanted}), io="keep")
    (found,) = run_tflite(tmp_path / "a.tflite", {"image": PIXELS}, verbose=False).values()
    assert np.allclose(found, explicit(made, wanted), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image:mean=1,2", "mean has 2 numbers, and the input 3 channels"),
        ("image:std=1,2,3,4", "std has 4 numbers"),
        ("image:std=0", "must not be 0"),
        ("image:mean=a", "'a' is not a number"),
        ("image:scale=1/0", "'1/0' is not a number"),
        ("image:mean=1,mean=2", "mean is given twice"),
        ("image:sharpen=1", "cannot be read"),
        ("image", "cannot be read"),
        ("image:scale=1,2", "scale takes one value"),
        ("image:dtype=int4", "dtype=int4"),
        ("image:color=cmyk", "there is no such choice"),
        ("imge:mean=1", "--preprocess imge: there is no such tensor"),
        ("image:mean=nan", "must be finite"),
    ],
)
def test_wrong_preprocessing_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Boundary(preprocess=dict([Preprocess.parse(text)])).apply(classifier())
    assert message in error.value.message


def test_names_may_hold_colons_and_be_left_out() -> None:
    assert Preprocess.parse("image:0:mean=1,2,3,scale=1/4") == ("image:0", Preprocess((1.0, 2.0, 3.0), scale=0.25))
    assert Preprocess.parse("std=2,color=bgr")[0] == ""
    assert Postprocess.parse("scores:softmax,axis=-1") == ("scores", Postprocess(Operator.SOFTMAX, -1))
    assert Postprocess.parse("sigmoid") == ("", Postprocess(Operator.SIGMOID))


def test_integers_are_not_normalized() -> None:
    x = ir.val("image", ir.DataType.INT32, (1, 3, 4, 4))
    absolute = node("Abs", [x], "abs")
    absolute.outputs[0].dtype, absolute.outputs[0].shape = ir.DataType.INT32, ir.Shape([1, 3, 4, 4])
    with pytest.raises(UsageError, match="is of int32"):
        Boundary(preprocess={"": Preprocess()}).apply(model([x], absolute.outputs, [absolute]))


@pytest.mark.parametrize("operator", [Operator.SOFTMAX, Operator.ARGMAX, Operator.SIGMOID])
def test_outputs_are_computed_on(operator: Operator, tmp_path: Path) -> None:
    made = classifier()
    scores = run_onnx(made, {"image": PIXELS.astype(np.float32)})["scores"].astype(np.float64)
    powers = np.exp(scores - scores.max(1, keepdims=True))
    expected = {
        Operator.SOFTMAX: powers / powers.sum(1, keepdims=True),
        Operator.ARGMAX: scores.argmax(1),
        Operator.SIGMOID: 1 / (1 + np.exp(-scores)),
    }[operator]
    boundary = Boundary(postprocess={"scores": Postprocess(operator)})
    report = optimized(made, tmp_path / "a.tflite", boundary, io="keep")
    (found,) = run_tflite(tmp_path / "a.tflite", {"image": PIXELS.astype(np.float32)}, verbose=False).values()
    assert report.outputs[0].name == "scores"
    assert np.allclose(found, expected, atol=1e-5)


def test_a_quantized_output_is_dequantized() -> None:
    made = classifier()
    graph, last = made.graph, made.graph.outputs[0]
    scale = floats("step")
    scale.const_value = ir.tensor(np.array(0.05, np.float32), name="step")
    zero = ir.val("zero", const_value=ir.tensor(np.array(3, np.uint8), name="zero"))
    for value in (scale, zero):
        graph.register_initializer(value)
    rounded = node("QuantizeLinear", [last, scale, zero], "quantize", result="integers")
    rounded.outputs[0].dtype, rounded.outputs[0].shape = ir.DataType.UINT8, last.shape
    graph.append(rounded)
    graph.outputs[0] = rounded.outputs[0]
    integers = run_onnx(made, {"image": PIXELS.astype(np.float32)})["integers"].astype(np.float32)
    with pytest.raises(UsageError, match="the output is of"):
        Boundary(postprocess={"": Postprocess(Operator.SOFTMAX)}).apply(made.clone())
    given, _ = Boundary(postprocess={"": Postprocess(Operator.DEQUANTIZE)}).apply(made)
    found = run_onnx(given, {"image": PIXELS.astype(np.float32)})["integers"]
    assert np.allclose(found, (integers - 3) * 0.05)
    with pytest.raises(UsageError, match="the scale of its numbers is not known"):
        Boundary(postprocess={"": Postprocess(Operator.DEQUANTIZE)}).apply(classifier())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scores:median", "there is no such choice"),
        ("scores:sigmoid,axis=1", "cannot be read"),
        ("scores:softmax,axis=7", "the output has 4 axes"),
        ("boxes:softmax", "there is no such tensor"),
    ],
)
def test_wrong_postprocessing_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Boundary(postprocess=dict([Postprocess.parse(text)])).apply(classifier())
    assert message in error.value.message


def test_the_boundary_is_recorded_and_compare_applies_it(tmp_path: Path) -> None:
    boundary = Boundary(
        (), ("act",), {"image": Preprocess(MEAN, STD, 1 / 255)}, {"act_out": Postprocess(Operator.SIGMOID)}
    )
    assert Boundary.from_json(boundary.to_json()) == boundary
    for text in ("{", "[]", "{}", boundary.to_json().replace("0.229", "0")):
        with pytest.raises(ValueError, match=r"."):
            Boundary.from_json(text)
    made, onnx = classifier(), tmp_path / "a.onnx"
    optimized(made, tmp_path / "a.tflite", boundary, output=onnx)
    for each in (made, onnx):
        report = layoutopt.compare(each, tmp_path / "a.tflite")
        assert report.outputs[0].relative_error < 1e-5
    told = layoutopt.count(tmp_path / "a.tflite").metadata
    assert told[0] == "--outputs act"
    assert told[1].startswith("--preprocess image:mean=0.485,0.456,0.406,std=")
    assert told[2] == "--postprocess act_out:sigmoid"


def test_samples_of_int8_are_pixels_too(tmp_path: Path) -> None:
    samples = np.random.default_rng(4).integers(0, 256, (20, 1, 3, 16, 16)).astype(np.uint8)
    boundary = Boundary(preprocess={"": Preprocess(MEAN, STD, 1 / 255)})
    report = optimized(classifier(), tmp_path / "a.tflite", boundary, quantize="int8", calibration=samples)
    assert report.quantization is not None
    assert report.inputs[0].dtype == "uint8"
    assert "CAST" not in report.optimized.histogram
    found = tflite(tmp_path / "a.tflite", PIXELS.transpose(0, 2, 3, 1))
    expected = explicit(classifier(), boundary.preprocess[""]).transpose(0, 2, 3, 1)
    assert np.mean((found - expected) ** 2) < 1e-3 * expected.var()
    assert report.optimized.operators == 5  # as many as without --preprocess, with a frame for the PAD
    with pytest.raises(UsageError, match="--mean and --preprocess contradict"):
        optimized(
            *(classifier(), tmp_path / "b.tflite", boundary),
            quantize="int8",
            calibration=samples,
            quantization=QuantizationOptions(mean=MEAN),
        )


@pytest.mark.parametrize(
    ("network", "mean", "between"),
    [
        ({}, MEAN, {"DYNAMIC_UPDATE_SLICE": 1}),
        ({}, (0.5,), {"PADV2": 1}),
        ({"stride": 1, "pads": 0}, MEAN, {}),
        ({"stride": 1, "pads": 1}, MEAN, {"SUB": 1}),
        ({"stride": 1, "pads": 1}, (127 / 255,), {}),  # the zero point
    ],
)
@pytest.mark.parametrize("brightest", [200, 255])
def test_pixels_are_integers_all_the_way(
    network: dict[str, int], mean: tuple[float, ...], between: dict[str, int], brightest: int, tmp_path: Path
) -> None:
    """From a camera to scores without floats, whatever the samples show; a border is off by half a step at most."""
    samples = np.random.default_rng(4).integers(0, brightest + 1, (20, 1, 3, 16, 16)).astype(np.uint8)
    wanted = Preprocess(mean, STD, 1 / 255)
    report = optimized(
        *(classifier(**network), tmp_path / "a.tflite", Boundary(preprocess={"": wanted})),
        quantize="int8",
        calibration=samples,
        quantization=QuantizationOptions(int8="full", io="uint8"),
    )
    assert report.optimized.histogram == {"QUANTIZE": 2, "CONV_2D": 2, **between}
    signature = signature_of(tmp_path / "a.tflite")
    assert [each.dtype for each in (*signature.inputs, *signature.outputs)] == ["uint8", "uint8"]
    is_shifted = not between and network["pads"] == 1
    assert (signature.inputs[0].scale, signature.inputs[0].zero_point) == (1.0, 127 if is_shifted else 0)
    pixels = np.minimum(PIXELS, brightest).astype(np.uint8)
    (output,) = signature.outputs
    steps = tflite(tmp_path / "a.tflite", pixels.transpose(0, 2, 3, 1)).astype(np.float64)
    made, _ = Boundary(preprocess={"": wanted}).apply(classifier(**network))
    expected = run_onnx(made, {"image": pixels})["scores"].transpose(0, 2, 3, 1).astype(np.float64)
    off = np.abs((steps - output.zero_point) * output.scale - expected)
    assert np.mean(off**2) < 1e-3 * expected.var()
    assert np.mean(off[:, 0] ** 2) < 3e-3 * expected.var()
