"""Each operator of the dialect is the ONNX operator on channels-last data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
import onnx.inliner
import onnx_ir as ir
import pytest

from layoutopt.errors import PassFailedError
from layoutopt.ir import dialect
from layoutopt.ir.io import check_full
from layoutopt.ir.perm import channels_last, invert
from layoutopt.ir.verify import run_onnx

Attributes = Mapping[str, int | str | float | Sequence[int] | Sequence[float]]


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        attributes: those that are given; all others are left out.
        operands: shapes of random constants, constants as they are, or None for an optional operand that is left out.
        opset: of the model.
        channels: of the data operand, which is (1, channels, 6, 4).
        sizes: spatial sizes of the data operand.
    """

    attributes: Attributes = field(default_factory=dict)
    operands: tuple[tuple[int, ...] | npt.NDArray[np.generic] | None, ...] = ()
    opset: int = 17
    channels: int = 4
    sizes: tuple[int, ...] = (6, 4)


def scales(*spatial: float) -> npt.NDArray[np.float32]:
    return np.array([1, 1, *spatial], np.float32)


W, B = (2, 4, 3, 3), (2,)
NO_ROI = np.array([], np.float32)
NEAREST: Attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

POSITIVE = np.array([0.5, 2, 1, 0.1], np.float32)

CALLS: Mapping[str, tuple[Call, ...]] = {
    "BatchNormalization": (
        Call({}, ((4,), (4,), (4,), POSITIVE)),
        Call({"epsilon": 0.1}, ((4,), (4,), (4,), POSITIVE), opset=9),
    ),
    "Conv": (
        Call({}, (W,)),
        Call({"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 1]}, (W, B)),
        Call({"group": 2, "auto_pad": "SAME_UPPER"}, ((2, 2, 3, 3), B)),
        Call({"dilations": [2, 1]}, (W, None), opset=7),
        Call({"pads": [1, 1, 1, 1]}, (W,), opset=22),
        Call({"pads": [1, 0], "strides": [2]}, ((2, 4, 3), B), sizes=(7,)),
        Call({"pads": [1, 0, 2, 1, 1, 0], "group": 2}, ((2, 2, 3, 2, 1), B), sizes=(5, 6, 4)),
    ),
    "ConvTranspose": (
        Call({}, ((4, 2, 3, 3),)),
        Call({"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0], "group": 2}, ((4, 1, 3, 3), B)),
        Call({"strides": [2, 2], "output_shape": [12, 8]}, ((4, 2, 3, 3),), opset=11),
        Call({"strides": [2]}, ((4, 2, 3), B), sizes=(7,)),
        Call({"strides": [1, 2, 2], "pads": [0, 1, 0, 1, 1, 0]}, ((4, 2, 3, 2, 2),), sizes=(5, 6, 4)),
    ),
    "MaxPool": (
        Call({"kernel_shape": [2, 3]}),
        Call({"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "ceil_mode": 1, "dilations": [1, 1]}),
        Call({"kernel_shape": [2, 2]}, opset=8),
        Call({"kernel_shape": [2]}, sizes=(7,)),
        Call({"kernel_shape": [2, 3, 1], "strides": [2, 1, 1]}, sizes=(5, 6, 4)),
    ),
    "AveragePool": (
        Call({"kernel_shape": [2, 3]}),
        Call({"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 0, 1], "count_include_pad": 1}),
        Call({"kernel_shape": [2, 2]}, opset=7),
        Call({"kernel_shape": [2], "pads": [1, 0]}, sizes=(7,)),
        Call({"kernel_shape": [2, 3, 1], "strides": [2, 1, 1]}, sizes=(5, 6, 4)),
        Call({"kernel_shape": [2, 2], "dilations": [2, 1]}, opset=19),
    ),
    "GlobalAveragePool": (Call(), Call(opset=7), Call(sizes=(7,)), Call(sizes=(5, 6, 4))),
    "GlobalMaxPool": (Call(), Call(opset=7), Call(sizes=(7,)), Call(sizes=(5, 6, 4))),
    "LRN": (Call({"size": 3, "alpha": 0.5, "bias": 2.0}), Call({"size": 5, "beta": 0.5}, opset=7)),
    "LpPool": (
        Call({"kernel_shape": [2, 3]}),
        Call({"kernel_shape": [3], "p": 3}, opset=11, sizes=(7,)),
        Call({"kernel_shape": [2, 3, 1], "strides": [2, 1, 1]}, sizes=(5, 6, 4)),
    ),
    "GlobalLpPool": (Call(), Call({"p": 1}, sizes=(7,)), Call(sizes=(5, 6, 4))),
    "Resize": (
        Call(NEAREST, (NO_ROI, scales(2, 3)), opset=11),
        Call(NEAREST, (None, scales(2, 3)), opset=13),
        Call({"mode": "linear"}, (None, None, np.array([1, 4, 9, 8], np.int64))),
        Call({"mode": "linear", "axes": [2, 3]}, (None, None, np.array([9, 8], np.int64)), opset=18),
        Call({"mode": "cubic", "cubic_coeff_a": -0.5}, (None, scales(1.5, 2)), opset=19),
        Call({"mode": "nearest"}, (scales(2, 3),), opset=10),
        Call(NEAREST, (None, scales(2)), sizes=(7,)),
        Call({"mode": "linear"}, (None, scales(2, 1.5, 3)), sizes=(5, 6, 4)),
    ),
    "Upsample": (
        Call({"mode": "nearest", "scales": [1.0, 1.0, 2.0, 3.0]}, opset=7),
        Call({"mode": "nearest"}, (scales(2, 3),), opset=9),
        Call({"mode": "nearest"}, (scales(2),), opset=9, sizes=(7,)),
        Call({"mode": "nearest"}, (scales(2, 1, 3),), opset=9, sizes=(5, 6, 4)),
    ),
    "DepthToSpace": (
        Call({"blocksize": 2}, channels=8),
        Call({"blocksize": 2, "mode": "CRD"}, channels=8),
        Call({"blocksize": 2}, channels=8, opset=7),
    ),
    "SpaceToDepth": (Call({"blocksize": 2}), Call({"blocksize": 2}, opset=7)),
}


def model_for(call: Call, node_of: ir.Node, data: ir.Value, constants: Sequence[ir.Value], rank: int = 4) -> ir.Model:
    result = node_of.outputs[0]
    result.name, result.dtype, result.shape = "y", ir.DataType.FLOAT, ir.Shape([f"d{axis}" for axis in range(rank)])
    graph = ir.Graph(
        [data], [result], nodes=[node_of], initializers=constants, opset_imports={"": call.opset}, name="call"
    )
    model = ir.Model(graph, ir_version=8)
    dialect.define(model)
    return model


def build(operator: str, call: Call, domain: str, shape: Sequence[int]) -> ir.Model:
    generator = np.random.default_rng(1)
    data = ir.val("x", ir.DataType.FLOAT, shape)
    operands: list[ir.Value | None] = [data]
    constants = []
    for index, given in enumerate(call.operands):
        if given is None:
            operands.append(None)
            continue
        array = generator.standard_normal(given).astype(np.float32) if isinstance(given, tuple) else given
        constants.append(ir.val(f"k{index}", const_value=ir.tensor(array, name=f"k{index}")))
        operands.append(constants[-1])
    return model_for(call, ir.node(operator, operands, call.attributes, domain=domain), data, constants, len(shape))


def test_every_operator_is_called() -> None:
    called = {operator: {2 + len(call.sizes) for call in calls} for operator, calls in CALLS.items()}
    assert called == {operator: set(forms) for operator, forms in dialect.OPERATORS.items()}


@pytest.mark.parametrize(
    ("operator", "call"),
    [(operator, call) for operator, calls in CALLS.items() for call in calls],
    ids=lambda each: str(each)[:70],
)
def test_the_body_is_the_operator(operator: str, call: Call) -> None:
    array = np.random.default_rng(0).standard_normal((1, call.channels, *call.sizes)).astype(np.float32)
    order = channels_last(array.ndim)
    last = array.transpose(order)
    plain = build(operator, call, "", array.shape)
    ours = build(dialect.OPERATORS[operator][array.ndim].name, call, dialect.DOMAIN, last.shape)
    onnx.checker.check_model(ir.to_proto(plain), full_check=True)
    check_full(ours)
    expected = run_onnx(plain, {"x": array})["y"]
    actual = run_onnx(ours, {"x": np.ascontiguousarray(last)})["y"]
    assert actual.dtype == expected.dtype == np.float32
    natural = actual.transpose(invert(order)).astype(np.float64)
    np.testing.assert_allclose(natural, expected.astype(np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("operator", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_no_empty_operand_is_last_when_inlined(operator: str, call: Call) -> None:
    """ONNX Runtime has its fastest forms of Conv and Resize only for nodes without one."""
    shape = (1, *call.sizes, call.channels)
    model = build(dialect.OPERATORS[operator][len(shape)].name, call, dialect.DOMAIN, shape)
    nodes = onnx.inliner.inline_local_functions(ir.to_proto(model)).graph.node
    assert [node.op_type for node in nodes] == ["Transpose", operator, "Transpose"]
    assert all(node.input[-1] for node in nodes)


def test_nodes_with_and_without_the_last_operand_in_one_model() -> None:
    generator = np.random.default_rng(3)
    data = ir.val("x", ir.DataType.FLOAT, (1, 6, 4, 4))
    arrays = {"w": (4, 4, 1, 1), "b": (4,)}
    numbers = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in arrays.items()}
    constants = [ir.val(name, const_value=ir.tensor(array, name=name)) for name, array in numbers.items()]
    with_bias = ir.node("Conv2D", [data, *constants], domain=dialect.DOMAIN)
    without = ir.node("Conv2D", [with_bias.outputs[0], constants[0], None], domain=dialect.DOMAIN)
    result = without.outputs[0]
    result.name, result.dtype, result.shape = "y", ir.DataType.FLOAT, ir.Shape((1, 6, 4, 4))
    graph = ir.Graph(
        [data], [result], nodes=[with_bias, without], initializers=constants, opset_imports={"": 17}, name="two"
    )
    model = ir.Model(graph, ir_version=8)
    dialect.define(model)
    assert set(model.functions) == {(dialect.DOMAIN, "Conv2D", ""), (dialect.DOMAIN, "Conv2D", "2")}
    assert model.ir_version == 10
    check_full(model)
    x = generator.standard_normal((1, 6, 4, 4)).astype(np.float32)
    matrix = numbers["w"][:, :, 0, 0].T.astype(np.float64)
    expected = (x @ matrix + numbers["b"]) @ matrix
    np.testing.assert_allclose(run_onnx(model, {"x": x})["y"].astype(np.float64), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [7, 14, 22])
@pytest.mark.parametrize("operator", dialect.RECURRENT)
def test_a_recurrent_operator_in_another_order_of_axes(operator: str, opset: int) -> None:
    gates, generator = {"GRU": 3, "LSTM": 4, "RNN": 1}[operator], np.random.default_rng(1)
    shapes = {"x": (5, 2, 3), "w": (2, gates * 4, 3), "r": (2, gates * 4, 4)}
    arrays = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    orders = {"input_order": (1, 0, 2), "output_order": (2, 0, 1, 3)}
    found = []
    for domain, attributes in (("", {}), (dialect.DOMAIN, orders)):
        given = arrays if not domain else {**arrays, "x": np.ascontiguousarray(arrays["x"].transpose(1, 0, 2))}
        operands = [ir.val(name, ir.DataType.FLOAT, array.shape) for name, array in given.items()]
        results = [ir.val(name, ir.DataType.FLOAT) for name in dialect.RECURRENT[operator]]
        node = ir.node(operator, operands, attributes, outputs=results, domain=domain)
        node.attributes.add(ir.AttrInt64("hidden_size", 4))
        node.attributes.add(ir.AttrString("direction", "bidirectional"))
        graph = ir.Graph(operands, results, nodes=[node], opset_imports={"": opset}, name="recurrence")
        model = ir.Model(graph, ir_version=8)
        dialect.define(model)
        found.append(run_onnx(model, given))
    expected, actual = found
    np.testing.assert_array_equal(actual.pop("Y"), expected.pop("Y").transpose(orders["output_order"]))
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)


@pytest.mark.parametrize("position", [0, 2])
def test_a_wrong_permutation_in_a_body_is_caught(position: int) -> None:
    """Or else ``check_full`` would prove nothing."""
    model = build("Conv2D", Call({}, (W, B)), dialect.DOMAIN, (1, 6, 4, 4))
    check_full(model)
    (function,) = model.functions.values()
    model.graph.outputs[0].shape = ir.Shape([1, 4, 2, 2])
    check_full(model)
    node = function[position]
    assert node.op_type == "Transpose"
    node.attributes["perm"] = ir.AttrInt64s("perm", [0, 1, 2, 3])
    with pytest.raises(PassFailedError, match="not valid"):
        check_full(model)


def test_only_what_is_used_is_defined() -> None:
    model = build("MaxPool2D", CALLS["MaxPool"][0], dialect.DOMAIN, (1, 6, 4, 4))
    assert [identifier[:2] for identifier in model.functions] == [(dialect.DOMAIN, "MaxPool2D")]
    assert model.opset_imports[dialect.DOMAIN] == 1
    definition = next(iter(model.functions.values()))
    dialect.define(model)
    assert list(model.functions.values()) == [definition]


def test_no_definition_without_a_use() -> None:
    model = build("MaxPool", CALLS["MaxPool"][0], "", (1, 4, 6, 4))
    assert not model.functions
    assert dialect.DOMAIN not in model.opset_imports


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 4), (3, 4)),
        ((5, 2, 4), (1, 3, 4)),
        ((1, 6, 2, 4), (5, 6, 3, 4)),
        ((2, 1, 6, 2, 4), (2, 5, 1, 3, 4)),
    ],
)
def test_a_product_with_a_transposed_operand(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    generator = np.random.default_rng(2)
    arrays = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in (("a", a), ("b", b))}
    operands = [ir.val(name, ir.DataType.FLOAT, array.shape) for name, array in arrays.items()]
    node = ir.node(dialect.MATMUL_TRANSPOSED[dialect.Transposed.RIGHT, len(a)], operands, domain=dialect.DOMAIN)
    expected = arrays["a"] @ np.swapaxes(arrays["b"], -1, -2)
    node.outputs[0].name, node.outputs[0].dtype = "y", ir.DataType.FLOAT
    node.outputs[0].shape = ir.Shape(expected.shape)
    graph = ir.Graph(operands, node.outputs, nodes=[node], opset_imports={"": 17}, name="product")
    model = ir.Model(graph, ir_version=8)
    dialect.define(model)
    check_full(model)
    actual = run_onnx(model, arrays)["y"].astype(np.float64)
    np.testing.assert_allclose(actual, expected.astype(np.float64), rtol=1e-5, atol=1e-6)
