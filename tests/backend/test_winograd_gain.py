"""What is told of the gain of Winograd's algorithms is what they do, and is told only where they can be asked for."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import layoutopt
from layoutopt.backend.conversion import Quantize, WinogradGain
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.direct.winograd_gain import predict_winograd_gain
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.errors import UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import load, save
from layoutopt.report.terminal.tables import format_size
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Value
from layoutopt.tfl.rewrites.winograd import Sizes, best_plan, use_winograd
from tests.cli.commands import invoke

_RNG = np.random.default_rng(11)
_IMAGES = (1, 28, 28, 128)

NETWORK = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,128,28,28] x) => (float[N,128,14,14] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1) b = Relu (a)
    c = Conv <pads = [1,1,1,1]> (b, w2) d = Relu (c)
    e = Conv (d, w3) f = Relu (e)
    y = Conv <pads = [1,1,1,1], strides = [2,2]> (f, w4)
}"""
"""Two convolutions that Winograd's algorithms compute, and two that they leave."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = onnx.parser.parse_model(NETWORK)
    for name, size in {"w1": 3, "w2": 3, "w3": 1, "w4": 3}.items():
        weights = (_RNG.standard_normal((128, 128, size, size)) / 34).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    path = tmp_path_factory.mktemp("winograd") / "model.onnx"
    onnx.save(proto, path)
    return path


def _optimized(model: Path, **options: Any) -> layoutopt.OptimizeReport:
    settings: dict[str, Any] = {
        "backend": "direct",
        "baseline": False,
        "verify": "none",
        "shapes": {"x": (1, 128, 28, 28)},
    }
    return layoutopt.optimize(model, **(settings | options))


def _weights(*shape: int) -> Array:
    return (_RNG.standard_normal(shape) / 34).astype(np.float32)


Layer = Callable[[Value], Value]


def _layer(weights: Array, strides: tuple[int, int] = (1, 1)) -> Layer:
    return lambda x: tfl.conv_2d(x, weights, padding="SAME", strides=strides)


def _graph(*layers: Layer, shape: tuple[int | None, ...] = _IMAGES) -> Graph:
    """Return a graph of convolutions of the same images, whose results are outputs."""
    graph = Graph([Value(DType.FLOAT32, shape)])
    with tfl.recording(graph):
        graph.outputs = [layer(graph.inputs[0]) for layer in layers]
    return graph


def test_the_prediction_is_what_happens(model: Path, tmp_path: Path) -> None:
    direct, by_winograd = tmp_path / "direct.tflite", tmp_path / "winograd.tflite"
    gain = _optimized(model, tflite=direct).winograd_gain
    assert gain is not None
    assert _optimized(model, tflite=by_winograd, winograd=True).winograd_gain is None
    assert gain.file_growth == pytest.approx(by_winograd.stat().st_size - direct.stat().st_size, rel=0.05)
    assert gain.convolutions == 2
    assert gain.nanoseconds_after * 1.15 < gain.nanoseconds_before
    before, after = (Counter(each.name for each in operators_of(path)) for path in (direct, by_winograd))
    left = before["CONV_2D"] - gain.convolutions
    assert left == 2
    assert (after["CONV_2D"] - left) % gain.convolutions == 0  # both become as many
    assert after["CONV_2D"] > 3 * gain.convolutions


@pytest.mark.parametrize("shares", [False, True])
def test_as_many_convolutions_go_as_are_told(shares: bool) -> None:
    first = _weights(128, 3, 3, 128)
    second = first if shares else _weights(128, 3, 3, 128)
    others = _layer(_weights(128, 3, 3, 128), (2, 2)), _layer(_weights(64, 1, 1, 128))
    graph = _graph(_layer(first), _layer(second), *others)
    before = set(graph.operations)
    gain = predict_winograd_gain(graph)
    assert gain is not None
    assert set(graph.operations) == before
    use_winograd(graph)
    assert gain.convolutions == len(before - set(graph.operations)) == 2


def test_weights_that_stay_are_not_saved() -> None:
    """The file loses weights once, however many read them, and keeps those that another convolution reads."""
    weights = _weights(128, 3, 3, 128)
    own = _gain(_layer(weights.copy()), _layer(weights.copy()))
    shared = _gain(_layer(weights), _layer(weights))
    read_elsewhere = _gain(_layer(weights), _layer(weights, (2, 2)))
    assert shared.file_growth == own.file_growth + weights.nbytes
    assert read_elsewhere.file_growth == own.file_growth // 2 + weights.nbytes
    assert own.file_growth == 2 * (4 * 6 - 9) * 128 * 128 * 4  # F(4,3) and F(2,3): 24 products in place of 9 taps


def _gain(*layers: Layer) -> WinogradGain:
    gain = predict_winograd_gain(_graph(*layers))
    assert gain is not None
    return gain


def test_times_are_those_of_all_convolutions() -> None:
    layers = [_layer(_weights(128, 3, 3, 128)), _layer(_weights(128, 3, 3, 128), (2, 2))]
    graph = _graph(*layers)
    plain, strided = (Sizes.of(each) for each in graph.operations)
    gain = predict_winograd_gain(graph)
    assert gain is not None
    assert gain.nanoseconds_before == plain.nanoseconds(()) + strided.nanoseconds(())
    assert gain.nanoseconds_after == plain.nanoseconds(best_plan(graph.operations[0])) + strided.nanoseconds(())


def test_groups_take_as_long_as_convolutions_of_their_sizes() -> None:
    grouped = _graph(_layer(_weights(128, 3, 3, 128)), _layer(_weights(128, 3, 3, 32)))
    narrow = _graph(_layer(_weights(32, 3, 3, 32)), shape=(1, 28, 28, 32))
    gain, alone = predict_winograd_gain(grouped), Sizes.of(narrow.operations[0]).nanoseconds(())
    assert gain is not None
    assert gain.convolutions == 1
    assert gain.nanoseconds_before == Sizes.of(grouped.operations[0]).nanoseconds(()) + 4 * alone


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([], _IMAGES),
        ([_layer(_weights(128, 1, 1, 128))], _IMAGES),
        (
            [_layer(_weights(128, 3, 3, 128)), *(_layer(_weights(512, 3, 3, 128), (1, 2)),) * 4],
            _IMAGES,
        ),
        ([_layer(_weights(128, 3, 3, 128))], (None, 28, 28, 128)),
    ],
    ids=["no convolution", "none to replace", "most of the time elsewhere", "unknown sizes"],
)
def test_nothing_is_told(layers: list[Layer], shape: tuple[int | None, ...]) -> None:
    assert predict_winograd_gain(_graph(*layers, shape=shape)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"winograd": True},
        {"exact": True},
        {"convert": False},
        {"dynamic": ["N"], "shapes": None},
        {"target": "gpu"},
        *({"quantize": each} for each in ("dynamic", "weights", "int4", "float16")),
        {"quantize": "int8", "calibration": _RNG.standard_normal((4, 128, 28, 28)).astype(np.float32)},
        pytest.param({"backend": "onnx-tf"}, marks=pytest.mark.onnx_tf),
    ],
    ids=lambda options: " ".join(f"{name} {options[name]}" for name in list(options)[:1]),
)
def test_it_is_not_told_where_it_is_used_or_refused(model: Path, options: dict[str, Any], tmp_path: Path) -> None:
    tflite = {} if "convert" in options else {"tflite": tmp_path / "model.tflite"}
    assert _optimized(model, **tflite, **options).winograd_gain is None
    if "winograd" not in options:
        with pytest.raises(UsageError, match="--winograd and --"):
            _optimized(model, winograd=True, **options)


def test_a_conversion_knows_it_of_plain_floats_at_fixed_sizes_only(model: Path, tmp_path: Path) -> None:
    _optimized(model, output=tmp_path / "nhwc.onnx", convert=False)
    optimized = load(tmp_path / "nhwc.onnx")

    def gain(**settings: Any) -> WinogradGain | None:
        return convert_directly(optimized, tmp_path / "model.tflite", **settings).winograd_gain

    assert gain() is not None
    for settings in ({"quantize": Quantize.FLOAT16}, {"quantize": Quantize.WEIGHTS}, {"resizable": True}):
        assert gain(**settings) is None
    assert gain(rewrite=lambda lowered: lowered) is None  # what a quantizer makes


def test_it_is_not_told_of_a_network_that_gains_nothing(tmp_path: Path) -> None:
    save(mobilenet_v2(resolution=64, width=0.5), tmp_path / "mobilenet.onnx")
    assert _optimized(tmp_path / "mobilenet.onnx", shapes=None).winograd_gain is None


def test_the_command_line_tells_it_in_one_line_and_as_json(model: Path, tmp_path: Path) -> None:
    options = ("--backend", "direct", "--no-baseline", "--shape", "x=1,128,28,28")
    files = ("--output", tmp_path / "m.onnx", "--tflite", tmp_path / "m.tflite", "--json", tmp_path / "m.json")
    result = invoke("optimize", model, *options, *files)
    assert result.exit_code == 0, result.output
    gain = WinogradGain(**json.loads((tmp_path / "m.json").read_text())["winograd_gain"])
    assert dataclasses.asdict(gain) == json.loads((tmp_path / "m.json").read_text())["winograd_gain"]
    (line,) = (each for each in result.stdout.splitlines() if "Winograd" in each)
    saved = round(100 * (1 - gain.nanoseconds_after / gain.nanoseconds_before))
    assert f"about {saved} % less time for the convolutions" in line
    assert f"about {format_size(gain.file_growth)} more in the file" in line
    assert line.endswith("optimize --winograd")
    again = invoke("optimize", model, *options, *files, "--force", "--winograd")
    assert again.exit_code == 0, again.output
    assert "Winograd" not in again.stdout
