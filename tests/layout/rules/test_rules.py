"""Every rule of the table, in every form that the opsets give its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.costs.objectives import InnerCost
from layoutopt.layout.rules.applicability import is_view, rule_for
from layoutopt.layout.rules.table import RULES, VIEWS
from layoutopt.layout.rules.variants import result as result_port
from layoutopt.passes import PropagateLayout
from tests.harness import check_equal, check_valid, model_of, transposes
from tests.layout.rules.case_forms import Case, floats
from tests.layout.rules.rule_cases import CASES, NEAREST
from tests.layout.rules.running import run


@pytest.mark.parametrize(
    ("operator", "case"),
    [(operator, case) for operator, cases in CASES.items() for case in cases],
    ids=lambda each: str(each)[:60],
)
def test_an_operator_between_channels_last_neighbours(operator: str, case: Case) -> None:
    """It runs channels-last: nothing is transposed, and the result is the same."""
    original = case.model()
    result = run(case.model())
    check_valid(ir.to_proto(result.model))
    check_equal(original, result.model)
    assert transposes(result.model) == 0
    assert result.assignment is not None
    assert (result.assignment.cost, result.assignment.proved_optimal) == (case.inside, True)
    names = {node.op_type for node in result.model.graph}
    if operator not in VIEWS:
        assert any(name.startswith(operator) for name in names)
    assert "Conv" not in names


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == {*RULES, *VIEWS}


@pytest.mark.parametrize("operator", sorted(CASES))
def test_a_case_is_about_its_rule(operator: str) -> None:
    """The operator is there in every case, and its rule describes it."""
    for case in CASES[operator]:
        model = case.model()
        nodes = [node for node in model.graph if node.op_type == operator]
        assert nodes
        assert all(is_view(node) or rule_for(node, case.opset) is not None for node in nodes)


SPATIAL: Mapping[str, Sequence[str]] = {
    "AveragePool": ("u = AveragePool <kernel_shape = [KERNEL]> (t)",),
    "Conv": ("u = Conv (t, grouped)", "u = Conv <group = 2, kernel_shape = [KERNEL]> (t, halves, bias)"),
    "ConvTranspose": ("u = ConvTranspose <strides = [STRIDES]> (t, grouped)",),
    "GlobalAveragePool": ("p = GlobalAveragePool (t) u = Mul (t, p)",),
    "GlobalMaxPool": ("p = GlobalMaxPool (t) u = Mul (t, p)",),
    "GlobalLpPool": ("p = GlobalLpPool (t) u = Mul (t, p)",),
    "LpPool": ("u = LpPool <kernel_shape = [KERNEL]> (t)",),
    "MaxPool": ("u = MaxPool <kernel_shape = [KERNEL], strides = [STRIDES]> (t)",),
    "Resize": (f'u = Resize {NEAREST} (t, "", twice)',),
    "Upsample": ('u = Upsample <mode = "nearest"> (t, twice)',),
}
"""Anchors over any number of spatial axes."""


@pytest.mark.parametrize("spatial", [(7,), (5, 6, 4)])
@pytest.mark.parametrize(("operator", "body"), [(name, body) for name, bodies in SPATIAL.items() for body in bodies])
def test_one_and_three_spatial_axes(operator: str, body: str, spatial: tuple[int, ...]) -> None:
    """Everything runs channels-last: nothing is transposed, and the result is the same."""
    rank = len(spatial)
    kernel = (3, 2, 1)[:rank]
    body = body.replace("KERNEL", str(kernel)[1:-1].rstrip(",")).replace("STRIDES", ", ".join("2" * rank))
    sizes, ones = ",".join(map(str, (1, 3, *spatial))), (1,) * rank
    text = f"""
        g (float[{sizes}] x) => (float u)
        <{floats("w", 4, 3, *ones)}, {floats("grouped", 4, 4, *kernel)}, {floats("halves", 4, 2, *kernel)},
         {floats("bias", 4)}, float[{rank + 2}] twice = {{1, 1, {", ".join("2" * rank)}}}> {{
            t = Conv (x, w)
            {body}
        }}
        """
    opset = 9 if operator == "Upsample" else 13
    original, result = model_of(text, opset=opset), run(model_of(text, opset=opset))
    check_valid(ir.to_proto(result.model))
    check_equal(original, result.model)
    names = {node.op_type for node in result.model.graph}
    assert transposes(result.model) == 0
    assert f"{operator}{rank}D" in names
    assert not names & set(SPATIAL)


MISTAKES: Mapping[str, tuple[str, Mapping[str, int | float | str | Sequence[int] | Sequence[str]], tuple[int, ...]]] = {
    "axis out of range": ("Softmax", {"axis": 4}, ()),
    "axis far out of range": ("ArgMax", {"axis": -9}, ()),
    "axis to drop out of range": ("ArgMax", {"axis": 5, "keepdims": 0}, ()),
    "axis that is a number": ("LpNormalization", {"axis": 1.0}, ()),
    "axis that is a text": ("Concat", {"axis": "C"}, ()),
    "axis that is a list": ("Split", {"axis": [1]}, ()),
    "no axis": ("Concat", {}, ()),
    "axes out of range": ("ReduceMean", {"axes": [1, 7]}, ()),
    "axes to drop out of range": ("ReduceMax", {"axes": [-5], "keepdims": 0}, ()),
    "axes that are texts": ("ReduceMax", {"axes": ["C"]}, ()),
    "axes of moments out of range": ("MeanVarianceNormalization", {"axes": [4]}, ()),
    "an attribute of another operator": ("Relu", {"axis": 1}, ()),
    "too many pads": ("Pad", {"pads": [0] * 10}, ()),
    "pads that are no numbers": ("Pad", {"pads": "1"}, ()),
    "operand out of range": ("CumSum", {}, (4,)),
    "several axes for one": ("CumSum", {}, (0, 1)),
    "slice out of range": ("Slice", {"axes": [9], "starts": [0], "ends": [1]}, ()),
    "slice with an end too few": ("Slice", {"axes": [1, 2], "starts": [0, 0], "ends": [1]}, ()),
    "negative time": ("ReverseSequence", {"time_axis": -7}, (1,)),
    "permutation of wrong rank": ("Transpose", {"perm": [0, 2, 1]}, ()),
    "no permutation": ("Transpose", {"perm": [0, 1, 1, 2]}, ()),
    "permutation that is a number": ("Transpose", {"perm": 1}, ()),
}
"""Operator, attributes and a constant operand."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_pins_the_node(mistake: str) -> None:
    """It stays as it was, behind a copy: neither an exception nor half an edit."""
    operator, attributes, constants = MISTAKES[mistake]
    model = model_of(
        f"""
        g (float[1,3,6,6] x) => (float[1,4,6,6] u) <{floats("w", 4, 3, 1, 1)}> {{
            t = Conv (x, w)
            u = Identity (t)
        }}
        """,
        opset=9 if operator == "Slice" else 11 if operator in ("ReduceMax", "ReduceMean", "Pad") else 17,
    )
    (_, last) = model.graph
    last.op_type = operator
    for name, value in attributes.items():
        last.attributes[name] = ir.convenience.convert_attribute(name, value)
    if constants:
        last.resize_inputs(2)
        tensor = ir.tensor(np.array(constants, np.int64), name="k")
        constant = ir.val("k", const_value=tensor)
        last.replace_input_with(1, constant)
        model.graph.register_initializer(constant)
    before = dict(last.attributes)
    PropagateLayout()(model)
    assert [node.op_type for node in model.graph] == ["Conv2D", "Transpose", operator]
    assert dict(last.attributes) == before
    assert not constants or last.inputs[1] is constant


@pytest.mark.parametrize("channels", [1, 7])
def test_joining_short_pieces_is_told(channels: int) -> None:
    """In channels-last, each of two operands gives a piece for every pixel."""
    model = model_of(f"g (float[1,{channels},6,6] a, float[1,1,6,6] b) => (float u) {{ u = Concat <axis = 1> (a, b) }}")
    (node,) = model.graph
    rule = rule_for(node, 17)
    assert rule is not None
    joined = PhysicalLayout.ordered((1, channels + 1, 6, 6), (0, 2, 3, 1))
    found = [variant.inner for variant in rule.variants(node, result_port(), joined, lambda _: ())]
    assert found == [InnerCost(pieces=2 * 36, piece=2 * (channels + 1))]


@pytest.mark.parametrize(
    ("body", "shape", "opset"),
    [
        ("u = ReduceSum <keepdims = 0> (t, k)", "1,6,6", 13),  # axes that only the caller knows
        ("a = Identity (k) u = ReduceMean <keepdims = 1> (t, a)", "1,1,6,6", 18),
        ("u = Pad (t, p)", "1,4,8,6", 13),
        ("u = Softmax <axis = 2> (t)", "1,4,6,6", 12),  # over height and width, which do not lie innermost
    ],
)
def test_what_the_table_does_not_describe_stays_natural(body: str, shape: str, opset: int) -> None:
    """One copy behind the convolution, and the operator as it was."""
    text = f"""
        g (float[1,3,6,6] x, int64[1] k, int64[8] p) => (float[{shape}] u) <{floats("w", 4, 3, 1, 1)}> {{
            t = Conv (x, w)
            {body}
        }}
        """
    result = run(model_of(text, opset=opset))
    check_valid(ir.to_proto(result.model))
    operators = [node.op_type for node in result.model.graph]
    assert operators[:2] == ["Conv2D", "Transpose"]
    assert operators[-1] in body
