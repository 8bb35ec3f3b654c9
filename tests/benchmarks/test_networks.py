"""The networks of the benchmarks, end to end: what they must reach."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx_ir as ir
import pytest

import layoutopt
from layoutopt.backend.conversion import Backend
from layoutopt.ir.verify import Reference
from layoutopt.options import Exporter, Io, Objective
from layoutopt.results.optimize import ModelKind, ModelStats, OptimizeReport

pytestmark = pytest.mark.torch

SIX = ("mobilenet_v2", "resnet50", "mobilenet_v3_large", "efficientnet_like", "unet_bilinear", "yolo_head")
"""Networks that are looked at in every export."""
NAMES = (
    *SIX,
    *("resnext50", "vgg11", "shufflenet_v2", "unet_plus_plus", "unet_transposed", "rrdb_nearest", "rrdb_pixel_shuffle"),
    *("convnext_tiny", "vit_4", "vit_12", "swin_4", "swin_t", "yolov8"),
)
FREE = {**dict.fromkeys(NAMES, 0), "yolo_head": 3, "swin_4": 8, "swin_t": 20}
"""TRANSPOSE with free inputs and outputs, by bytes: each scale of the head interleaves its anchors, and a block of a
transformer with windows takes the picture apart and brings it together."""
FASTEST = FREE | {"swin_4": 16, "swin_t": 48}
"""By time: windows also bring their heads together, since products of many small windows are slow."""
PICTURES = dict.fromkeys(
    ("unet_bilinear", "unet_plus_plus", "unet_transposed", "rrdb_nearest", "rrdb_pixel_shuffle"), 2
)
KEPT = {name: FREE[name] + PICTURES.get(name, 1) for name in NAMES} | {"yolov8": 2}
"""With kept ones: one more for each picture; the second detector transposes boxes and scores after it joins them."""
MSE = {
    **dict.fromkeys(NAMES, 1e-10),
    "shufflenet_v2": 5e-10,
    "unet_transposed": 1e-9,
    "yolo_head": 1e-6,
    "yolov8": 1e-6,
}
"""Outputs have about unit variance, but those of the detectors are pixels, of a variance of about 1000."""
TRACED = ("unet_transposed", "convnext_tiny", "vit_4")
"""Networks that the newer exporter takes only a few seconds for."""
EXPORTS = (
    *((name, Exporter.LEGACY) for name in NAMES),
    *(pytest.param(name, Exporter.DYNAMO, marks=() if name in TRACED else pytest.mark.long) for name in NAMES),
)

BACKENDS = pytest.mark.parametrize(
    "backend", [Backend.DIRECT, pytest.param(Backend.ONNX_TF, marks=pytest.mark.onnx_tf)], ids=lambda each: each.value
)

OPERATORS = {
    "shufflenet_v2": {"SPLIT": 3, "SPLIT_V": 13, "CONCATENATION": 16, "DEPTHWISE_CONV_2D": 19},
    "unet_transposed": {"CONCATENATION": 31, "PRELU": 14, "DEPTH_TO_SPACE": 3, "SQUARED_DIFFERENCE": 28},
    "convnext_tiny": {"DEPTHWISE_CONV_2D": 15, "GELU": 5, "FULLY_CONNECTED": 11, "RSQRT": 10},
    "vit_4": {"BATCH_MATMUL": 24, "SOFTMAX": 4, "GELU": 4, "FULLY_CONNECTED": 9, "RSQRT": 9},
    "swin_4": {"BATCH_MATMUL": 8, "SOFTMAX": 4, "GELU": 4, "FULLY_CONNECTED": 25, "RSQRT": 10},
    "yolov8": {"SPLIT": 9, "SPLIT_V": 1, "SOFTMAX": 1, "CONV_2D": 66},
}
"""Operators of TFLite that must stand for whole patterns, and how often; yolov8 has 64 convolutions, of which those
behind its two upsamplings are divided; convnext_tiny has 5 depthwise ones, of 7x7, each of which is a sum of three."""


@cache
def network(name: str, exporter: Exporter = Exporter.LEGACY, *, small: bool = True, opset: int = 17) -> ir.Model:
    from benchmarks.models import NETWORKS, export

    return export(NETWORKS[name], exporter=exporter, opset=opset, small=small)


def transposes(model: ir.Model) -> int:
    return sum(node.op_type == "Transpose" for node in model.graph)


def test_every_network_has_its_mark() -> None:
    from benchmarks.models import NETWORKS

    assert set(NETWORKS) == set(NAMES)


@pytest.mark.parametrize(("name", "exporter"), EXPORTS)
@pytest.mark.parametrize("io", list(Io))
def test_the_onnx_graph_has_the_fewest_transposes(name: str, exporter: Exporter, io: Io, tmp_path: Path) -> None:
    model = network(name, exporter)
    report = layoutopt.optimize(model, io=io, objective="bytes", output=tmp_path / "out.onnx", convert=False)
    assert report.layout is not None
    assert report.layout.proved_optimal
    assert report.layout.cost == report.layout.lower_bound
    assert report.optimized.transposes == (FREE if io is Io.FREE else KEPT)[name]
    assert report.optimized.bytes_moved <= report.layout.cost  # which counts short pieces that are joined, too
    written = ir.load(tmp_path / "out.onnx")
    check = Reference(model, seed=7).check(written)
    assert check.max_abs_error <= 1e-4 * (100 if name == "yolo_head" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("io", list(Io))
def test_by_time_only_windows_have_more_transposes_and_none_takes_longer(name: str, io: Io) -> None:
    report = layoutopt.explain(network(name), io=io)
    fewest, fastest = sorted(report.choices, key=lambda choice: choice.objective is Objective.TIME)
    assert (report.layout.unit, report.layout.cost) == ("ns", fastest.predicted_ns)
    assert report.layout.proved_optimal
    assert fastest.predicted_ns <= fewest.predicted_ns
    assert fastest.bytes_moved >= fewest.bytes_moved
    if io is Io.FREE:
        assert fastest.transposes == FASTEST[name]
    if name not in ("swin_4", "swin_t"):
        assert (fastest.transposes, fastest.bytes_moved) == (fewest.transposes, fewest.bytes_moved)


@cache
def converted(name: str) -> OptimizeReport:
    """The whole way; one conversion serves all tests that look at it."""
    return layoutopt.optimize(network(name), baseline=False, backend=Backend.DIRECT)


def check_tflite(form: ModelStats, name: str, transposes: int) -> None:
    assert form.kind is ModelKind.LAYOUTOPT
    assert form.transposes == transposes
    assert form.mse is not None
    assert form.mse <= MSE[name]
    assert not any(operator.startswith(("Flex", "GATHER", "BROADCAST")) for operator in form.histogram)


@pytest.mark.parametrize("name", SIX)
def test_the_tflite_reaches_its_mark(name: str) -> None:
    form = converted(name).optimized
    check_tflite(form, name, FREE[name])
    if name == "mobilenet_v2":
        assert form.histogram["DEPTHWISE_CONV_2D"] == 17
        assert form.pads == 5  # one per convolution of stride 2, whose padding SAME would put on the other side
        assert not {"RELU6", "MINIMUM", "RELU_0_TO_6"} & set(form.histogram)  # fused into the convolutions
    if name == "mobilenet_v3_large":
        assert form.histogram["HARD_SWISH"] == 21
        assert not {"MINIMUM", "MAXIMUM"} & set(form.histogram)


def test_the_kept_interface_costs_one_transpose() -> None:
    report = layoutopt.optimize(network("mobilenet_v2"), io=Io.KEEP, baseline=False)
    assert report.optimized.transposes == KEPT["mobilenet_v2"]
    assert report.inputs[0].shape == report.inputs[0].original_shape == (1, 3, 64, 64)


@pytest.mark.onnx_tf
def test_the_baseline_is_plain_onnx_tf_where_that_works() -> None:
    report = layoutopt.optimize(network("mobilenet_v2"))
    check_tflite(report.optimized, "mobilenet_v2", 0)
    assert report.baseline is not None
    assert report.baseline.kind is ModelKind.PLAIN
    assert report.baseline.transposes >= 36
    assert report.baseline.pads == 18
    assert report.baseline.bytes_moved > 0
    assert report.baseline.operators > report.optimized.operators
    assert not report.baseline.error


@pytest.mark.onnx_tf
def test_the_baseline_is_the_per_operator_layout_where_plain_onnx_tf_fails() -> None:
    report = layoutopt.optimize(network("yolo_head"))
    check_tflite(report.optimized, "yolo_head", FREE["yolo_head"])
    assert report.baseline is not None
    assert report.baseline.kind is ModelKind.PER_OPERATOR
    assert "plain onnx-tf cannot convert the model" in report.baseline.error
    assert report.baseline.transposes > report.optimized.transposes
    assert report.baseline.mse is not None
    assert report.baseline.mse <= MSE["yolo_head"]


@pytest.mark.parametrize("name", OPERATORS)
def test_whole_patterns_become_single_operators(name: str) -> None:
    form = converted(name).optimized
    check_tflite(form, name, FASTEST[name])
    assert {operator: form.histogram.get(operator) for operator in OPERATORS[name]} == OPERATORS[name]


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIX])
@pytest.mark.parametrize("exporter", list(Exporter))
@pytest.mark.parametrize("small", [True, False])
@BACKENDS
def test_the_matrix_of_further_networks(name: str, exporter: Exporter, small: bool, backend: Backend) -> None:
    model = network(name, exporter, small=small)
    report = layoutopt.optimize(model, objective="bytes", baseline=False, backend=backend)
    check_tflite(report.optimized, name, FREE[name])


@pytest.mark.long
@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("io", list(Io))
@pytest.mark.parametrize(
    ("exporter", "opset"), [(Exporter.LEGACY, 13), (Exporter.LEGACY, 17), (Exporter.LEGACY, 20), (Exporter.DYNAMO, 18)]
)
@pytest.mark.parametrize("small", [True, False])
@BACKENDS
def test_the_matrix(name: str, io: Io, exporter: Exporter, opset: int, small: bool, backend: Backend) -> None:
    model = network(name, exporter, small=small, opset=opset)
    report = layoutopt.optimize(model, io=io, baseline=False, backend=backend)
    check_tflite(report.optimized, name, (FREE if io is Io.FREE else KEPT)[name])


def test_shufflenet_has_no_transpose_and_no_gather() -> None:
    import torch

    from benchmarks.models.networks import Variant, build
    from benchmarks.models.shufflenet import ShuffleNetV2

    variant = Variant(lambda: ShuffleNetV2(repeats=(2, 4), widths=(24, 48, 116, 64), classes=10), (1, 3, 64, 64))
    model = layoutopt.from_torch(build(variant), torch.zeros(variant.shape))
    form = layoutopt.optimize(model, baseline=False).optimized
    assert not {"TRANSPOSE", "GATHER", "RESHAPE", "SLICE", "STRIDED_SLICE"} & set(form.histogram)
    assert form.histogram["SPLIT"] + form.histogram["SPLIT_V"] == form.histogram["CONCATENATION"] == 6
    assert form.mse is not None
    assert form.mse <= 1e-10
