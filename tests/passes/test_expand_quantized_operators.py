"""Quantized operators become float operators between DequantizeLinear and QuantizeLinear.

All scales are powers of two, so float32 computes everything exactly, and ONNX Runtime must give the same integers.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from layoutopt.passes import ExpandQuantizedOperators
from tests.harness import check_pass

BYTES = "uint8[1,2,4,4] x"
WEIGHTS = "int8[2,2,1,1] w = {1, -2, 3, 120}, float[2] ws = {0.5, 2.0}, int8[2] wo = {0, 0}, int32[2] b = {7, -9}"
STEPS = "float s = {0.25}, uint8 o = {1}, float t = {2.0}, uint8 p = {100}"


def model(body: str, *, inputs: str = BYTES, output: str = "uint8 y", constants: str = "", opset: int = 17) -> ir.Model:
    listed = ", ".join(filter(None, [STEPS, constants]))
    text = (
        f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]> '
        f"g ({inputs}) => ({output}) <{listed}> {{ {body} }}"
    )
    proto = onnx.parser.parse_model(text)
    if "[" not in output:
        proto.graph.output[0].type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def operators(body: str, **parts: str) -> list[str]:
    result = check_pass(ExpandQuantizedOperators(), model(body, **parts))  # type: ignore[arg-type]
    return [node.op_type for node in result.model.graph]


def between(*operators: str, operands: int = 1) -> list[str]:
    return ["DequantizeLinear"] * operands + [*operators, "QuantizeLinear"]


@pytest.mark.parametrize(
    ("node", "sizes", "expected"),
    [
        ("QLinearAdd (x, s, o, x, t, p, t, o)", "1,2,4,4", between("Add", operands=2)),
        ("QLinearMul (x, s, o, x, t, p, t, o)", "1,2,4,4", between("Mul", operands=2)),
        ("QLinearGlobalAveragePool <channels_last=0> (x, s, o, s, p)", "1,2,1,1", between("GlobalAveragePool")),
        ("QLinearAveragePool <kernel_shape=[2,2],strides=[2,2]> (x, s, o, s, p)", "1,2,2,2", between("AveragePool")),
        ("QLinearConcat <axis=1> (s, o, x, s, o, x, t, p)", "1,4,4,4", between("Concat", operands=2)),
        ("QLinearLeakyRelu <alpha=0.5> (x, s, o, s, p)", "1,2,4,4", between("LeakyRelu")),
    ],
)
def test_operators_of_onnx_runtime(node: str, sizes: str, expected: list[str]) -> None:
    assert operators(f"y = com.microsoft.{node}", output=f"uint8[{sizes}] y") == expected


def test_convolution() -> None:
    body = "y = QLinearConv (x, s, o, w, ws, wo, t, p, b)"
    assert operators(body, constants=WEIGHTS) == between("Conv")


def test_older_opset() -> None:
    body = "y = QLinearConv (x, s, o, w, ws, wo, t, p, b)"
    result = check_pass(ExpandQuantizedOperators(), model(body, constants=WEIGHTS, opset=11))
    assert [node.op_type for node in result.model.graph] == between("Conv")


@pytest.mark.parametrize("transposed", [0, 1])
def test_product(transposed: int) -> None:
    parts = {
        "inputs": "uint8[3,2] x",
        "constants": "int8[2,2] w = {1, -2, 3, 120}, int8 wo = {0}, int32[2] b = {7, -9}",
    }
    gemm = f"y = com.microsoft.QGemm <transB={transposed}> (x, s, o, w, t, wo, b, t, p)"
    assert operators(gemm, **parts, output="uint8[3,2] y") == between("Gemm")
    assert operators("y = QLinearMatMul (x, s, o, w, t, wo, t, p)", **parts) == between("MatMul")
    real = f"y = com.microsoft.QGemm <transB={transposed}> (x, s, o, w, t, wo, b)"
    assert operators(real, **parts, output="float[3,2] y") == ["DequantizeLinear", "Gemm"]


def test_constants_become_floats() -> None:
    body = "v = DequantizeLinear <axis=0> (w, ws) d = DequantizeLinear (x, s, o) y = Conv (d, v)"
    assert operators(body, constants=WEIGHTS, output="float y") == ["DequantizeLinear", "Conv"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("m = MaxPool <kernel_shape=[2,2]> (q)", ["MaxPool"]),
        ("m = Concat <axis=1> (q, q)", ["Concat"]),
        ("v = Transpose <perm=[0,2,3,1]> (q) m = Slice (v, one, two)", ["Transpose", "Slice"]),
        ("m = Pad (q, pads, p)", ["Pad"]),
        ('m = Pad <mode="reflect"> (q, pads)', ["Pad"]),
    ],
)
def test_what_moves_quantized_values_moves_floats(node: str, expected: list[str]) -> None:
    constants = "int64[1] one = {1}, int64[1] two = {2}, int64[8] pads = {0,0,1,1,0,0,1,1}"
    body = f"q = QuantizeLinear (f, s, o) {node} y = DequantizeLinear (m, s, o)"
    found = operators(body, inputs="float[1,2,4,4] f", output="float y", constants=constants)
    assert [each for each in found if "Linear" not in each] == expected
    assert found[-2:] == ["QuantizeLinear", "DequantizeLinear"]


@pytest.mark.parametrize(
    ("constants", "expected"),
    [
        ("uint8[2,2,1,1] w = {0, 1, 2, 255}, uint8 wo = {5}", ["Cast", "Cast", "Sub", "Conv", "Cast"]),
        ("uint8[2,2,1,1] w = {0, 1, 2, 255}", ["Cast", "Cast", "Sub", "Conv", "Cast"]),
    ],
)
def test_whole_sums(constants: str, expected: list[str]) -> None:
    body = f"y = ConvInteger (x, w, o{', wo' if 'wo' in constants else ''})"
    assert operators(body, constants=constants, output="int32 y") == expected


def test_sums_that_are_not_exact_stay() -> None:
    body = "y = MatMulInteger (x, z)"
    inputs = "uint8[2,2000] x, uint8[2000,2] z"
    assert operators(body, inputs=inputs, output="int32 y") == ["MatMulInteger"]


def test_nothing_to_do() -> None:
    body = "q = QuantizeLinear (f, s, o) y = DequantizeLinear (q, s, o)"
    assert not check_pass(ExpandQuantizedOperators(), model(body, inputs="float[1,2,4,4] f", output="float y")).modified
