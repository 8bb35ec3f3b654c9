import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from layoutopt.errors import UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.counts import count_onnx


def logits(model: ir.Model, picture: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"input": picture})[0])


def noise(resolution: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 3, resolution, resolution), dtype=np.float32)


def test_it_is_mobilenet_v2_as_pytorch_exports_it() -> None:
    model = mobilenet_v2()
    counts = count_onnx(model)
    assert counts.histogram == {
        "BatchNormalization": 52,
        "Conv": 52,
        "Clip": 35,
        "Add": 10,
        "Flatten": 1,
        "Gemm": 1,
        "GlobalAveragePool": 1,
    }
    assert model.opset_imports == {"": 17}
    (picture,), (result,) = model.graph.inputs, model.graph.outputs
    assert (picture.name, picture.shape) == ("input", ir.Shape([1, 3, 224, 224]))
    assert (result.name, result.shape) == ("logits", ir.Shape([1, 1000]))
    # The paper's 3.4 million parameters, without running statistics.
    learned = [v for v in model.graph.initializers.values() if "running" not in (v.name or "")]
    assert sum(v.const_value.size for v in learned if v.const_value is not None) == 3_504_872


def test_padding_is_on_the_convolutions() -> None:
    convolutions = [node for node in mobilenet_v2(width=0.25).graph if node.op_type == "Conv"]
    padding = [tuple(node.attributes.get_ints("pads") or ()) for node in convolutions]
    assert padding.count((1, 1, 1, 1)) == 18
    assert padding.count((0, 0, 0, 0)) == 34


@pytest.mark.parametrize(("resolution", "width"), [(224, 1.0), (96, 0.35), (64, 0.25), (1, 0.25)])
def test_it_is_valid_and_its_shapes_are_right(resolution: int, width: float) -> None:
    model = mobilenet_v2(resolution=resolution, width=width)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    del proto.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info}
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                assert value.shape is not None
                assert shapes[value.name or ""] == list(value.shape.numpy())


@pytest.mark.parametrize("seed", [0, 1])
def test_logits_have_about_unit_variance_and_depend_on_the_picture(seed: int) -> None:
    model = mobilenet_v2(seed=seed)
    first, second = (logits(model, noise(224, seed=index)) for index in range(2))
    assert first.shape == (1, 1000)
    assert 0.7 < first.std() < 1.4
    assert (first - second).std() > 0.1


def test_the_seed_decides() -> None:
    def model(seed: int) -> ir.Model:
        return mobilenet_v2(resolution=32, width=0.25, seed=seed)

    picture = noise(32)
    assert np.array_equal(logits(model(0), picture), logits(model(0), picture))
    assert not np.allclose(logits(model(0), picture), logits(model(1), picture))


def test_running_statistics_are_not_trivial() -> None:
    initializers = mobilenet_v2(resolution=32, width=0.25).graph.initializers
    for suffix, trivial in (("running_mean", 0.0), ("running_var", 1.0), ("1.weight", 1.0), ("1.bias", 0.0)):
        # Only the first convolution sees the picture itself, of mean 0.
        found = [v.const_value for name, v in initializers.items() if name.endswith(suffix)][1:]
        assert found
        assert all(not np.allclose(tensor.numpy(), trivial) for tensor in found if tensor is not None)


@pytest.mark.parametrize("make", [lambda: mobilenet_v2(resolution=0), lambda: mobilenet_v2(width=0.0)])
def test_nonsense_is_refused(make: Callable[[], ir.Model]) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        make()


@pytest.mark.torch
def test_nodes_are_those_of_the_exporter(tmp_path: Path) -> None:
    import torch

    from benchmarks.models import NETWORKS
    from benchmarks.models.networks import build

    path, small = tmp_path / "exported.onnx", NETWORKS["mobilenet_v2"].small
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter calls itself deprecated
        torch.onnx.export(
            build(small), (torch.zeros(small.shape),), path, dynamo=False, training=torch.onnx.TrainingMode.PRESERVE
        )
    exported = ir.load(path)
    ours = mobilenet_v2(resolution=64, width=0.25)

    def operators(model: ir.Model) -> list[tuple[str, list[str]]]:
        return [(node.op_type, sorted(node.attributes)) for node in model.graph]

    assert operators(ours) == operators(exported)
