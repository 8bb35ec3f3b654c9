"""From float graphs and samples to int8 graphs, run in LiteRT, with XNNPACK and without, against the float graphs."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.invocation import prepare_interpreter
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.options import Int8, QuantizedIo, RangeMethod, WeightScales
from layoutopt.quantization.building import QuantizedGraph, Settings, build
from layoutopt.quantization.calibrator import Calibrator
from layoutopt.quantization.mixing import _Program
from layoutopt.quantization.recipe import Recipe
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Model, Value
from tests.quantization.networks import (
    FULL,
    Network,
    Pictures,
    anchored,
    calibrated,
    classifier,
    detector,
    exponential,
    faint,
    model,
    normalizing,
    parted,
    sinking,
    swishing,
    wavy,
    weights,
)

Array = npt.NDArray[Any]
CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def operators(found: Model, dtype: DType) -> Counter[str]:
    return Counter(
        each.code for each in found.graph.operations if each.code not in CONVERSIONS and each.results[0].dtype is dtype
    )


def outputs(found: Model, path: Path, sample: Array, *, xnnpack: bool = True) -> Array:
    write_tflite(found, path)
    interpreter = prepare_interpreter(path, {0: sample}, threads=1, xnnpack=xnnpack)
    interpreter.invoke()
    result: Array = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def sqnr(expected: Array, found: Array) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def test_a_classifier_computes_on_integers_alone(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path)
    assert made.floats == ()
    assert operators(made.model, DType.FLOAT32) == Counter()
    assert operators(made.model, DType.INT8) == Counter(
        ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"]
    )
    codes = [each.code for each in made.model.graph.operations]
    assert (codes[0], codes[-1]) == ("QUANTIZE", "DEQUANTIZE")
    assert sum(code in CONVERSIONS for code in codes) == 2
    assert made.quality[0].sqnr > 25
    for (sample,) in Pictures(200, 3)():
        expected = outputs(real, tmp_path / "float.tflite", sample)
        assert sqnr(expected, outputs(made.model, tmp_path / "int8.tflite", sample)) > 20


@pytest.mark.parametrize("int8", list(Int8))
@pytest.mark.parametrize("network", [classifier, detector, swishing, sinking])
def test_xnnpack_and_the_reference_kernels_agree(network: Network, int8: Int8, tmp_path: Path) -> None:
    real, made = calibrated(network, tmp_path, int8=int8)
    step = made.recipe.ranges[real.graph.outputs[0]].steps.scale
    for (sample,) in Pictures(300, 3)():
        found, plain = (outputs(made.model, tmp_path / "int8.tflite", sample, xnnpack=each) for each in (True, False))
        assert np.abs(found - plain).max() <= 2.001 * step


def test_what_is_told_of_the_outputs_is_so(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path)
    samples = [sample for (sample,) in Pictures(200, 6)()]
    expected = np.stack([outputs(real, tmp_path / "float.tflite", each) for each in samples]).astype(np.float64)
    found = np.stack([outputs(made.model, tmp_path / "int8.tflite", each) for each in samples]).astype(np.float64)
    (quality,) = made.quality
    assert quality.name == "y"
    assert quality.sqnr == pytest.approx(sqnr(expected, found))
    assert quality.max_error == pytest.approx(np.abs(expected - found).max())
    assert quality.largest == pytest.approx(np.abs(expected).max())
    assert quality.top1 == pytest.approx((expected.argmax(-1) == found.argmax(-1)).mean())
    lengths = np.linalg.norm(expected) * np.linalg.norm(found)
    assert quality.cosine == pytest.approx((expected * found).sum() / lengths)


def test_the_best_of_all_ways_is_chosen_on_held_out_samples(tmp_path: Path) -> None:
    """No single method is better than the choice, and a correction of biases is kept where it helps only."""
    chosen_by = Pictures(100, 6)
    _, best = calibrated(classifier, tmp_path, judging=chosen_by, ranges=RangeMethod.AUTO)
    single = {
        method: calibrated(classifier, tmp_path, judging=chosen_by, ranges=method)[1]
        for method in RangeMethod
        if method is not RangeMethod.AUTO
    }
    assert best.recipe.method in single
    assert best.quality[0].sqnr == max(each.quality[0].sqnr for each in single.values())


def test_biases_are_corrected_for_the_rounding_of_weights(tmp_path: Path) -> None:
    """Of few and coarse weights on what has a mean, most of the error is a constant that a bias can hold."""
    real = model(classifier)
    settings = Settings(ranges=RangeMethod.MINMAX)
    chosen = Calibrator(real, settings, *parted(Pictures(0, 12), Pictures(100, 6), Pictures(200, 6)), tmp_path).run()
    assert chosen.recipe.means is not None
    without = build(real, replace(chosen.recipe, means=None), settings)
    samples = [sample for (sample,) in Pictures(100, 6)()]
    found: dict[str, list[Array]] = {"float": [], "with": [], "without": []}
    for sample in samples:
        for name, each in (("float", real), ("with", chosen.model), ("without", without.model)):
            found[name].append(outputs(each, tmp_path / f"{name}.tflite", sample))
    expected = np.stack(found["float"])
    assert sqnr(expected, np.stack(found["with"])) > sqnr(expected, np.stack(found["without"]))


def test_joined_outputs_of_different_size_stay_float(tmp_path: Path) -> None:
    _, made = calibrated(detector, tmp_path)
    assert {(each.code, each.reason.split()[0]) for each in made.floats} == {
        ("CONCATENATION", "joins"),
        ("LOGISTIC", "gives"),
    }
    boxes, scores = made.quality
    assert (boxes.name, scores.name) == ("y[:, :, :, 0:4]", "y[:, :, :, 4:10]")
    assert boxes.sqnr > 25
    assert scores.sqnr > 25


@pytest.mark.parametrize("network", [faint, anchored])
def test_scores_that_are_outputs_stay_float(network: Network, tmp_path: Path) -> None:
    """Of 256 steps from 0 to 1, numbers of a thousandth have none; where integers are asked for, they have these."""
    _, made = calibrated(network, tmp_path)
    assert ("LOGISTIC", "gives") in {(each.code, each.reason.split()[0]) for each in made.floats}
    assert min(each.sqnr for each in made.quality) > 25
    for settings in ({"io": QuantizedIo.INT8}, FULL):
        _, whole = calibrated(network, tmp_path, **settings)
        assert "LOGISTIC" in operators(whole.model, DType.INT8)
        assert whole.quality[-1].sqnr < 10


def test_what_is_told_of_a_sigmoid_that_is_an_output_holds_for_a_mask(tmp_path: Path) -> None:
    """Of its numbers, hardly any is less than a step, so nothing may be told of small scores."""

    def mask(x: Value) -> Value:
        return tfl.logistic(tfl.conv_2d(tfl.relu(tfl.conv_2d(x, weights(1, 64, 3, 3, 3))), weights(2, 64, 3, 3, 64)))

    real, made = calibrated(mask, tmp_path)
    ((sample,),) = Pictures(0, 1)()
    assert (outputs(real, tmp_path / "mask.tflite", sample) < 1 / 256).mean() < 0.01
    reasons = {each.code: each.reason for each in made.floats}
    assert reasons["LOGISTIC"] == "gives an output, and its int8 kernel has only 256 steps from 0 to 1"


def test_a_gate_that_is_no_output_computes_on_integers(tmp_path: Path) -> None:
    def gated(x: Value) -> Value:
        a = tfl.conv_2d(x, weights(1, 64, 3, 3, 3), weights(2, 64))
        return tfl.conv_2d(tfl.logistic(a) * a, weights(3, 64, 3, 3, 64))

    assert "LOGISTIC" in operators(calibrated(gated, tmp_path)[1].model, DType.INT8)


def test_parts_of_an_output_are_joined_after_their_dequantize_where_all_is_on_integers(tmp_path: Path) -> None:
    """Nothing computes with floats then; one int8 tensor cannot hold both parts, and that is what is told of it."""
    _, full = calibrated(detector, tmp_path, **FULL)
    assert [(each.code, each.reason.split()[0]) for each in full.floats] == [("CONCATENATION", "joins")]
    assert operators(full.model, DType.FLOAT32) == Counter(["CONCATENATION"])
    assert full.quality[1].sqnr > 25
    _, one = calibrated(detector, tmp_path, **FULL, io=QuantizedIo.INT8)
    assert one.floats == ()
    assert operators(one.model, DType.FLOAT32) == Counter()
    assert one.quality[0].sqnr > 25
    assert one.quality[1].sqnr < 10


def test_parts_that_are_computed_with_afterwards_are_joined_as_integers(tmp_path: Path) -> None:
    """An average of boxes and scores is no movement, so that nothing may be joined as floats before it."""

    def averaged(x: Value) -> Value:
        return tfl.average_pool_2d(detector(x), (2, 2), strides=(2, 2), padding="VALID")

    _, full = calibrated(averaged, tmp_path, **FULL)
    assert full.floats == ()


def test_what_is_told_of_integer_outputs_is_of_these(tmp_path: Path) -> None:
    """Joined as floats they would be exact, but they are rounded to one scale then."""
    real, made = calibrated(detector, tmp_path, io=QuantizedIo.UINT8)
    given, got = made.model.graph.inputs[0].quantization, made.model.graph.outputs[0].quantization
    assert given is not None
    assert got is not None
    noise = signal = 0.0
    for (sample,) in Pictures(200, 6)():
        integers = np.clip(np.rint(sample / given.scales[0]) + given.zero_points[0], 0, 255).astype(np.uint8)
        found = outputs(made.model, tmp_path / "whole.tflite", integers).astype(np.float64)
        scores = (found[..., 4:] - got.zero_points[0]) * got.scales[0]
        expected = outputs(real, tmp_path / "float.tflite", sample)[..., 4:].astype(np.float64)
        signal, noise = signal + (expected**2).sum(), noise + ((expected - scores) ** 2).sum()
    assert made.quality[1].sqnr == pytest.approx(10 * np.log10(signal / noise), abs=1e-3)
    assert made.quality[1].sqnr < 10


def test_normalizations_compute_on_integers_where_all_is_asked_for(tmp_path: Path) -> None:
    real, made = calibrated(normalizing, tmp_path, **FULL)
    assert made.floats == ()
    codes = {"SQUARED_DIFFERENCE", "RSQRT", "SQRT", "ABS", "EXP", "LOG"}
    assert codes <= operators(made.model, DType.INT8).keys()
    assert made.quality[0].sqnr > 25
    for (sample,) in Pictures(300, 3)():  # the kernels differ by a step here and there, which the roots multiply
        found, plain = (outputs(made.model, tmp_path / "int8.tflite", sample, xnnpack=each) for each in (True, False))
        expected = outputs(real, tmp_path / "float.tflite", sample)
        assert min(sqnr(expected, found), sqnr(expected, plain)) > 20
    _, fast = calibrated(normalizing, tmp_path)
    assert not codes & operators(fast.model, DType.INT8).keys()


def test_slow_kernels_are_left_out_unless_all_is_asked_for(tmp_path: Path) -> None:
    _, fast = calibrated(swishing, tmp_path)
    assert operators(fast.model, DType.FLOAT32) == Counter(["HARD_SWISH"])
    _, full = calibrated(swishing, tmp_path, **FULL)
    assert operators(full.model, DType.FLOAT32) == Counter()
    for made in (fast, full):
        assert "MINIMUM" not in operators(made.model, DType.INT8)  # the range of its operand ends there
        assert made.quality[0].sqnr > 25


def test_all_operators_or_an_error_that_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"sin_\d: SIN, no int8 kernel"):
        calibrated(wavy, tmp_path, **FULL)
    _, fast = calibrated(wavy, tmp_path)
    assert operators(fast.model, DType.FLOAT32) == Counter(["SIN"])


def test_weights_have_a_scale_for_each_channel_or_one_for_all(tmp_path: Path) -> None:
    by_channel, by_tensor = (
        calibrated(classifier, tmp_path, weights=kind)[1] for kind in (WeightScales.CHANNEL, WeightScales.TENSOR)
    )
    weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    for made, is_one in ((by_channel, False), (by_tensor, True)):
        found = [each[1] for each in made.model.graph.operations if each.code in weighted]
        assert len(found) == 4
        for value in found:
            assert value.quantization is not None
            assert (len(value.quantization.scales) == 1) == is_one
            assert np.abs(value.array.astype(int)).max() == 127
    assert 20 < by_tensor.quality[0].sqnr < by_channel.quality[0].sqnr


@pytest.mark.parametrize(("io", "dtype"), [(QuantizedIo.INT8, np.int8), (QuantizedIo.UINT8, np.uint8)])
@pytest.mark.parametrize("network", [classifier, exponential])
def test_integer_interfaces(network: Any, io: QuantizedIo, dtype: type, tmp_path: Path) -> None:
    """Integers in and out stand for the same real numbers as the floats."""
    real, made = calibrated(network, tmp_path, io=io)
    floats = build(real, made.recipe, Settings()).model
    graph = made.model.graph
    given, got = graph.inputs[0], graph.outputs[0]
    assert given.dtype.numpy == dtype
    assert got.dtype.numpy == dtype
    assert given.quantization is not None
    assert got.quantization is not None
    ((sample,),) = Pictures(300, 1)()
    limits = np.iinfo(dtype)
    integers = np.clip(
        np.rint(sample / given.quantization.scales[0]) + given.quantization.zero_points[0], limits.min, limits.max
    ).astype(dtype)
    found = outputs(made.model, tmp_path / "whole.tflite", integers).astype(np.float64)
    expected = outputs(floats, tmp_path / "real.tflite", sample)
    step = got.quantization.scales[0]
    assert np.abs((found - got.quantization.zero_points[0]) * step - expected).max() <= step


def test_operators_stay_float_that_are_asked_for(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path, keep_float=("fully_connected", "^relu_3$"))
    assert {(each.code, each.reason) for each in made.floats} == {
        ("FULLY_CONNECTED", "asked for"),
        ("DEPTHWISE_CONV_2D", "asked for"),
    }
    for pattern, message in (("nothing", "matches no operator"), ("(", "not a regular expression")):
        with pytest.raises(UsageError, match=message):
            build(real, made.recipe, Settings(keep_float=(pattern,)))


def test_a_recipe_makes_the_same_file_without_samples(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path, ranges=RangeMethod.AUTO)
    (tmp_path / "ranges.json").write_text(made.recipe.to_json(real.graph))
    write_tflite(made.model, tmp_path / "first.tflite")
    again = model(classifier)
    loaded = Recipe.load(again.graph, tmp_path / "ranges.json")
    write_tflite(build(again, loaded, Settings()).model, tmp_path / "second.tflite")
    assert (tmp_path / "first.tflite").read_bytes() == (tmp_path / "second.tflite").read_bytes()


def test_recipes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path)
    path = tmp_path / "ranges.json"
    path.write_text(made.recipe.to_json(real.graph))
    with pytest.raises(UsageError, match="of another model"):
        Recipe.load(model(detector).graph, path)
    for content in ("", "[]", '{"format": 1}'):
        path.write_text(content)
        with pytest.raises(UsageError, match="not what --save-ranges writes"):
            Recipe.load(real.graph, path)
    with pytest.raises(UsageError, match="no such file"):
        Recipe.load(real.graph, tmp_path / "nothing.json")


def test_nan_on_the_way_is_an_error(tmp_path: Path) -> None:
    real = model(lambda x: exponential(x * 1000.0))
    with pytest.raises(UsageError, match="NaN or infinity in exp"):
        Calibrator(real, Settings(), *parted(Pictures(0, 4), Pictures(100, 2), Pictures(200, 2)), tmp_path).run()


def test_one_seed_gives_one_result(tmp_path: Path) -> None:
    found: list[QuantizedGraph] = [calibrated(classifier, tmp_path, ranges=RangeMethod.AUTO)[1] for _ in range(2)]
    for at, each in enumerate(found):
        write_tflite(each.model, tmp_path / f"{at}.tflite")
    assert (tmp_path / "0.tflite").read_bytes() == (tmp_path / "1.tflite").read_bytes()
    assert found[0].quality == found[1].quality


def deep(x: Value) -> Value:
    """Layers of which one has values far larger than the others."""
    a = tfl.relu(tfl.conv_2d(x, weights(1, 64, 3, 3, 3), weights(2, 64)))
    factors = np.geomspace(1, 500, 64, dtype=np.float32)
    b = tfl.relu(tfl.conv_2d(a, weights(3, 64, 1, 1, 64) * factors.reshape(64, 1, 1, 1)))
    c = tfl.relu(tfl.conv_2d(b, weights(4, 64, 1, 1, 64) / factors))
    for seed in range(5, 9):
        c = tfl.relu(tfl.conv_2d(c, weights(seed, 64, 1, 1, 64), weights(seed + 10, 64)))
    return c


@pytest.mark.parametrize("target", [32.0, 45.0])
def test_sensitive_operators_stay_float_for_a_ratio_that_is_asked_for(target: float, tmp_path: Path) -> None:
    """All outputs reach the ratio, and not everything is float for it."""
    _, plain = calibrated(deep, tmp_path)
    assert plain.quality[0].sqnr < target
    _, mixed = calibrated(deep, tmp_path, min_sqnr=target)
    assert mixed.quality[0].sqnr >= target
    sensitive = [each for each in mixed.floats if each.reason.startswith("sensitive")]
    assert 0 < len(sensitive) < 7
    _, easy = calibrated(deep, tmp_path, min_sqnr=plain.quality[0].sqnr - 2)
    assert not [each for each in easy.floats if each.reason.startswith("sensitive")]


def test_the_cheapest_choice_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        noises, costs = rng.uniform(0, 1, (6, 2)) ** 4, rng.uniform(1, 10, 6)
        borders = {(at, at + 1): float(rng.uniform(0, 5)) for at in range(5)}
        bound = float(noises.sum(0).min() * 0.4)

        def cost(kept: Array, costs: Array = costs, borders: dict[tuple[int, int], float] = borders) -> float:
            return float(costs @ kept + sum(each for (a, b), each in borders.items() if kept[a] != kept[b]))

        every = [np.array(kept) for kept in itertools.product((False, True), repeat=6)]
        allowed = [kept for kept in every if (noises[~kept].sum(0) <= bound).all()]
        found = _Program(noises, costs, borders).cheapest(bound)
        assert (noises[~found].sum(0) <= bound + 1e-9).all()
        assert cost(found) == pytest.approx(min(map(cost, allowed)))
