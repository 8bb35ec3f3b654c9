"""What ONNX Runtime's quantize_dynamic writes becomes float operators; ONNX Runtime computes both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import layoutopt
from layoutopt.ir.io import save
from layoutopt.ir.verify import Reference
from layoutopt.passes import ExpandQuantizedOperators
from tests.conversion_cases import Array, floats
from tests.graphs import numbers
from tests.harness import model_of

RNG = np.random.default_rng(5)


def bytes_(*shape: int) -> Array:
    return RNG.integers(-90, 90, shape).astype(np.int8)


SCALE, ZERO = np.array([0.01], np.float32), np.array([0], np.int8)
CASES = {
    "a product": (
        "y = com.microsoft.DynamicQuantizeMatMul (x, w, s, z, b)",
        {"w": bytes_(6, 5), "s": SCALE, "z": ZERO, "b": floats(5)},
        (4, 6),
    ),
    "a product of each column's scale": (
        "y = com.microsoft.DynamicQuantizeMatMul (x, w, s, z)",
        {"w": bytes_(6, 5), "s": np.abs(floats(5)) / 50, "z": np.zeros(5, np.int8)},
        (4, 6),
    ),
    "a product of bytes": (
        "q, xs, xz = DynamicQuantizeLinear (x) y = com.microsoft.MatMulIntegerToFloat (q, w, xs, s, xz, z, b)",
        {"w": bytes_(6, 5), "s": SCALE, "z": ZERO, "b": floats(5)},
        (4, 6),
    ),
    "an LSTM of both directions": (
        "y, h, c = com.microsoft.DynamicQuantizeLSTM "
        '<hidden_size = 3, direction = "bidirectional"> (x, w, r, b, , , , , s, z, s, z)',
        {
            "w": bytes_(2, 4, 12), "r": bytes_(2, 3, 12), "b": floats(2, 24) / 9,
            "s": np.array([0.01, 0.02], np.float32), "z": np.zeros(2, np.int8),
        },
        (7, 2, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_becomes_float_operators(name: str) -> None:
    nodes, constants, shape = CASES[name]
    graph = onnx.parser.parse_graph(f"g (float[{','.join(map(str, shape))}] x) => (float y) {{ {nodes} }}")
    graph.output[0].type.tensor_type.ClearField("shape")
    graph.initializer.extend(onnx.numpy_helper.from_array(value, each) for each, value in constants.items())
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = ir.from_proto(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8))
    reference = Reference(model)
    result = ExpandQuantizedOperators()(model.clone())
    assert result.modified
    assert not {node.domain for node in result.model.graph} - {""}
    assert reference.check(result.model).relative_error < 0.05


NETWORK = (
    f"g (float[1,3,8,8] x) => (float[1,5] y) <{numbers('k', 6, 3, 3, 3)}, {numbers('b', 6)}, {numbers('m', 6, 5)}, "
    "int64[2] rows = {1, 6}> "
    "{ c = Conv <pads = [1, 1, 1, 1]> (x, k, b) r = Relu (c) p = GlobalAveragePool (r) f = Reshape (p, rows) "
    "y = MatMul (f, m) }"
)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QInt8", "QUInt8"])
def test_what_quantize_dynamic_writes_of_convolutions_and_products(
    kind: str, per_channel: bool, tmp_path: Path
) -> None:
    """With integer operators as it writes them, and fused as ONNX Runtime runs them."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    plain, quantized, fused = (tmp_path / f"{name}.onnx" for name in ("plain", "quantized", "fused"))
    save(model_of(NETWORK, opset=17), plain)
    weights = quantization.QuantType[kind]
    quantization.quantize_dynamic(plain, quantized, weight_type=weights, per_channel=per_channel)
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(fused), 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(quantized, options)
    kinds = [{node.op_type for node in onnx.load(path).graph.node} for path in (quantized, fused)]
    assert {"ConvInteger", "MatMulInteger"} <= kinds[0]
    assert "DynamicQuantizeMatMul" in kinds[1]
    for path, largest in ((quantized, 1e-5), (fused, 0.05)):
        report = layoutopt.optimize(path, tflite=tmp_path / "out.tflite", backend="direct", baseline=False, force=True)
        assert report.verification is not None
        assert report.verification.relative_error < largest
        assert report.optimized.transposes == 0
