"""Activations that are spelled out are one node before anything else works constants into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from layoutopt.ir.dialect import ACTIVATIONS, DOMAIN, activation, define
from layoutopt.ir.verify import run_onnx
from layoutopt.passes import DEFAULT_PIPELINE, RecognizeActivations
from layoutopt.pipeline.manager import PassManager
from tests.graphs import numbers
from tests.harness import check_pass, in_type, model_of

GELU = "d = Div (t, root) e = Erf (d) s = Add (e, one) m = Mul (t, s) g = Mul (m, half)"
MISH = "e = Softplus (t) s = Tanh (e) g = Mul (t, s)"
HARD_SWISH = "e = HardSigmoid <alpha = 0.1666666666, beta = 0.5> (t) g = Mul (t, e)"
SPELLED = {"Gelu": GELU, "Mish": MISH, "HardSwish": HARD_SWISH}


def network(spelled: str) -> str:
    """A convolution, the activation, a batch normalization, and another convolution, as ConvMixer has them."""
    return (
        "g (float[1,3,6,6] x) => (float[1,4,6,6] y) "
        f"<{numbers('w', 4, 3, 1, 1)}, {numbers('v', 4, 4, 1, 1)}, float root = {{1.4142135}}, float one = {{1}}, "
        f"float half = {{0.5}}, {numbers('scale', 4)}, {numbers('shift', 4)}, {numbers('mean', 4)}, "
        "float[4] var = {0.5, 1.0, 2.0, 0.1}> "
        f"{{ t = Conv (x, w) {spelled} b = BatchNormalization (g, scale, shift, mean, var) y = Conv (b, v) }}"
    )


def kinds(model: ir.Model) -> list[str]:
    """The operators, without what the dialect and shapes add to their names."""
    return [node.op_type.removesuffix("2D") for node in model.graph]


@pytest.mark.parametrize("name", SPELLED)
@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_older_opsets_have_it_as_a_function(name: str, opset: int) -> None:
    result = check_pass(RecognizeActivations(), model_of(network(SPELLED[name]), opset=opset))
    (node,) = [node for node in result.model.graph if node.op_type == name]
    assert node.domain == ("" if opset >= ACTIVATIONS[name].since else DOMAIN)


@pytest.mark.parametrize("name", SPELLED)
def test_nothing_takes_it_apart(name: str) -> None:
    texts = [model_of(network(SPELLED[name]), opset=opset) for opset in (17, 20)]
    models = [PassManager(DEFAULT_PIPELINE).run(model).model for model in texts]
    assert kinds(models[0]) == kinds(models[1]) == ["Conv", name, "Conv"]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT, ir.DataType.FLOAT16])
def test_the_functions_compute_what_the_operators_do(name: str, dtype: ir.DataType) -> None:
    x = np.linspace(-6, 6, 25).astype(dtype.numpy())
    found = []
    for opset in (13, 20):
        model = in_type(model_of("g (float[25] x) => (float[25] y) { y = Relu (x) }", opset=opset), dtype)
        old = model.graph[0]
        new = activation(name, model.graph.inputs[0], opset)
        new.outputs[0].name, new.outputs[0].type = "y", old.outputs[0].type
        new.outputs[0].shape = old.outputs[0].shape
        model.graph.insert_before(old, new)
        model.graph.outputs[0] = new.outputs[0]
        old.outputs[0].name = "old"
        model.graph.remove(old)
        define(model)
        found.append(run_onnx(model, {"x": x})["y"])
    assert found[0].dtype == found[1].dtype == x.dtype
    older, newer = (each.astype(float) for each in found)
    np.testing.assert_allclose(older, newer, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("name", "fused"), [("Gelu", "Gelu"), ("GeluTanh", "FastGelu")])
def test_onnx_runtime_fuses_the_functions(name: str, fused: str, tmp_path: Path) -> None:
    """Their nodes are in the form that it looks for."""
    model = model_of("g (float[4,25] x) => (float[4,25] y) { t = Exp (x) y = Relu (t) }", opset=13)
    node = activation(name, model.graph[0].outputs[0], 13)
    model.graph.insert_before(model.graph[1], node)
    model.graph[-1].replace_input_with(0, node.outputs[0])
    define(model)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # that the file is for this machine alone
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert [each.op_type for each in optimized.graph.node] == ["Exp", fused, "Relu"]
