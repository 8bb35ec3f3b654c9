"""Every rule of the table, in every form that the opsets give its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, invert, permute
from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.costs.objectives import InnerCost
from layoutopt.layout.rules.applicability import is_view, rule_for
from layoutopt.layout.rules.table import RULES, VIEWS
from layoutopt.layout.rules.variants import result as result_port
from layoutopt.options import Io, Objective
from layoutopt.passes import CancelTransposes, EliminateDeadCode, FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassManager, PipelineResult
from tests.harness import check_equal, check_valid, model_of, total_bytes, transposes
from tests.layout.rules.rule_cases import CASES, NEAREST, ONE_HOT, Case, floats


def run(model: ir.Model, *, io: Io = Io.FREE) -> PipelineResult:
    """The default pipeline by bytes, and without onnxsim, which would fold some operators away."""
    propagate = PropagateLayout(io=io, objective=Objective.BYTES)
    passes = (FoldConstants(simplify=False), propagate, CancelTransposes(), EliminateDeadCode())
    return PassManager(passes).run(model)


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


PERMUTED: Mapping[str, str] = {
    "unary": "u = Relu (t)",
    "constant": "u = Mul (t, full)",
    "constant on the left": "u = Sub (full, t)",
    "scalar": "one = Constant <value = float {1.5}> () u = Add (t, one)",
    "twice": "u = Mul (t, t)",
    "concat": "u = Concat <axis = AXIS> (t, full, t)",
    "slice": "a = Constant <value = int64[1] {1}> () b = Constant <value = int64[1] {9}> () "
    "k = Constant <value = int64[1] {AXIS}> () u = Slice (t, a, b, k)",
    "slice of the first axes": (
        "a = Constant <value = int64[2] {0, 1}> () b = Constant <value = int64[2] {1, 9}> () u = Slice (t, a, b)"
    ),
    "pad": "p = Constant <value = int64[8] {0, 1, 2, 3, 4, 3, 2, 1}> () u = Pad (t, p)",
    "reduce": "u = ReduceSum <axes = [AXIS]> (t)",
    "reduce to all": "r = ReduceMax (t) u = Add (t, r)",
    "arg max": "i = ArgMax <axis = AXIS> (t) u = Cast <to = 1> (i)",
    "split": "p, q = Split <axis = AXIS, split = [PARTS]> (t) u = Concat <axis = AXIS> (q, p)",
    "where": "m = Less (t, full) u = Where (m, t, full)",
    "gather": "k = Constant <value = int64 {0}> () g = Gather <axis = AXIS> (t, k) "
    "a = Constant <value = int64[1] {AXIS}> () h = Unsqueeze (g, a) u = Add (t, h)",
    "gather several": "k = Constant <value = int64[5] {0, 1, -1, 0, 1}> () u = Gather <axis = AXIS> (t, k)",
    "gather elements": "i = ArgMax <axis = AXIS> (t) u = GatherElements <axis = AXIS> (t, i)",
    "scatter elements": "i = ArgMax <axis = AXIS> (t) m = ReduceMin <axes = [AXIS]> (t) "
    "u = ScatterElements <axis = AXIS> (full, i, m)",
    "tile": "r = Constant <value = int64[4] {2, 1, 3, 2}> () u = Tile (t, r)",
    "expand": "m = ReduceMax <axes = [AXIS]> (t) s = Constant <value = int64[4] {SHAPE}> () "
    "e = Expand (m, s) u = Add (t, e)",
    "cumulative sum": "k = Constant <value = int64 {AXIS}> () u = CumSum <reverse = 1> (t, k)",
    "one hot": f"i = ArgMax <axis = AXIS, keepdims = 0> (t) {ONE_HOT} u = OneHot <axis = AXIS> (i, depth, values)",
    "norm": "u = LpNormalization <axis = AXIS> (t)",
    "moments": "u = MeanVarianceNormalization <axes = [AXIS]> (t)",
    "crop": "s = Constant <value = int64[1] {2}> () u = CenterCropPad <axes = [AXIS]> (t, s)",
    "quantize": "s = Constant <value = float {0.5}> () q = QuantizeLinear (t, s) u = DequantizeLinear (q, s)",
    "size": "n = Size (t) f = Cast <to = 1> (n) u = Div (t, f)",
    "clip": "low = Constant <value = float {0.1}> () u = Clip (t, low)",
}


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


@settings(max_examples=10)
@given(perm=st.permutations(range(4)), axis=st.integers(-4, 3))
@pytest.mark.parametrize("form", PERMUTED)
def test_any_permutation_runs_through(form: str, perm: Sequence[int], axis: int) -> None:
    """Between a Transpose and its inverse, an operator takes the layout that comes in: nothing is left to move."""
    shape = (2, 3, 4, 5)
    order: Perm = tuple(perm)
    permuted = permute(shape, order)
    body = PERMUTED[form].replace("AXIS", str(axis)).replace("PARTS", f"1, {permuted[axis] - 1}")
    body = body.replace("SHAPE", ", ".join(map(str, permuted)))
    text = f"""
        g (float[2,3,4,5] x) => (float y) <{floats("full", *permuted)}> {{
            t = Transpose <perm = {list(order)}> (x)
            {body}
            y = Transpose <perm = {list(invert(order))}> (u)
        }}
        """
    opset = next((opset for name, opset in NEWER.items() if name in body), 12)
    check_free(text, opset)


def check_free(text: str, opset: int) -> None:
    """Nothing is left to move, and the result is the same."""
    original = model_of(text, opset=opset)
    result = run(model_of(text, opset=opset), io=Io.KEEP)
    check_valid(ir.to_proto(result.model))
    check_equal(original, result.model)
    assert transposes(result.model) == 0
    assert result.assignment is not None
    assert result.assignment.cost == 0


NEWER: Mapping[str, int] = {"CenterCropPad": 18, "Unsqueeze": 13}
"""Opsets of the operators that opset 12 has not, or not in the form above."""

OUTERMOST: Mapping[str, str] = {
    "softmax of older opsets": "u = Softmax <axis = 2> (t)",
    "hardmax of older opsets": "u = Hardmax <axis = -2> (t)",
    "layer normalization": "u = LayerNormalization <axis = 2> (t, inner, inner)",
    "layer normalization, computed scale": "m = ReduceMax <axes = [0, 1], keepdims = 0> (t) "
    "u = LayerNormalization <axis = -2> (t, m)",
    "lower triangle": "u = Trilu <upper = 0> (t)",
    "reverse sequence": "n = Constant <value = int64[2] {2, 3}> () "
    "u = ReverseSequence <batch_axis = BATCH, time_axis = TIME> (t, n)",
}
"""Operators that want the last two axes innermost, or the first two outermost."""


@pytest.mark.parametrize("first", [(0, 1), (1, 0)])
@pytest.mark.parametrize("form", OUTERMOST)
def test_an_operator_that_leaves_rows_alone(form: str, first: tuple[int, int]) -> None:
    """The axes that it does not work on come in any order."""
    body = OUTERMOST[form].replace("BATCH", str(first.index(0))).replace("TIME", str(first.index(1)))
    perm = [*first, 2, 3]
    opset = 17 if "Layer" in body or "Trilu" in body else 12
    check_free(
        f"""
        g (float[2,3,4,5] x) => (float y) <{floats("inner", 4, 5)}> {{
            t = Transpose <perm = {perm}> (x)
            {body}
            y = Transpose <perm = {perm}> (u)
        }}
        """,
        opset,
    )


@pytest.mark.parametrize(("scale", "opset"), [("inner", 17), ("inner, inner", 17), ("inner", 23)])
def test_a_normalization_of_permuted_axes(scale: str, opset: int) -> None:
    """Scale and bias are permuted offline."""
    operator = "RMSNormalization" if opset == 23 else "LayerNormalization"
    check_free(
        f"""
        g (float[2,3,4,5] x) => (float y) <{floats("inner", 5, 4)}> {{
            t = Transpose <perm = [1, 0, 3, 2]> (x)
            u = {operator} <axis = 2> (t, {scale})
            y = Transpose <perm = [1, 0, 3, 2]> (u)
        }}
        """,
        opset,
    )


FACTORISED: Mapping[str, str] = {
    "unary": "u = Sigmoid (t)",
    "constant": "u = Mul (t, full)",
    "lower rank": "u = Add (t, row)",
    "reduce": "r = ReduceMean <axes = [1]> (t) u = Sub (t, r)",
    "reduce and drop": "r = ReduceMean <axes = [1], keepdims = 0> (t) k = Constant <value = int64[1] {1}> () "
    "e = Unsqueeze (r, k) u = Sub (t, e)",
    "moments": "u = MeanVarianceNormalization <axes = [0, 2]> (t)",
    "where": "m = Less (t, full) u = Where (m, t, full)",
    "gather elements": "u = GatherElements <axis = 0> (t, places)",
    "expand": "r = ReduceMax <axes = [1]> (t) s = Constant <value = int64[3] {6, 20, 3}> () "
    "e = Expand (r, s) u = Add (t, e)",
    "tile": "r = ReduceMax <axes = [1]> (t) s = Constant <value = int64[3] {1, 20, 1}> () "
    "e = Tile (r, s) u = Add (t, e)",
    "cumulative sum": "k = Constant <value = int64 {0}> () u = CumSum (t, k)",
    "slice": "a = Constant <value = int64[1] {1}> () b = Constant <value = int64[1] {5}> () "
    "k = Constant <value = int64[1] {0}> () s = Slice (t, a, b, k) m = ReduceMax <axes = [0]> (s) u = Add (t, m)",
    "pad": "k = Constant <value = int64[6] {1, 0, 0, 0, 0, 0}> () s = Pad (t, k) m = ReduceMax <axes = [0]> (s) "
    "u = Add (t, m)",
    "split": "k, l, m = Split <axis = 1> (t, quarters) u = Concat <axis = 1> (l, m, k)",
    "split evenly": "k, l = Split <axis = 1> (t) u = Concat <axis = -2> (l, k)",
    "split and work": "k, l = Split <axis = 1> (t) e = Neg (k) u = Concat <axis = 1> (e, l)",
    "constant piece": "k, l, m = Split <axis = 1> (t, quarters) u = Concat <axis = 1> (l, piece, k)",
    "tile pieces": "r = Constant <value = int64[3] {1, 2, 1}> () d = Tile (t, r) u, v = Split <axis = 1> (d)",
    "quantize": "s = Constant <value = float {0.5}> () q = QuantizeLinear (t, s) u = DequantizeLinear (q, s)",
    "dynamic": "q, s, z = DynamicQuantizeLinear (t) u = DequantizeLinear (q, s, z)",
}


@pytest.mark.parametrize("form", FACTORISED)
def test_an_axis_in_several_pieces_runs_through(form: str) -> None:
    """The second axis, of 20, lies as 4 outermost and 5 innermost; the first, of 6, in one piece between them."""
    places = ",".join(str(place % 6) for place in range(360))
    text = f"""
        g (float[4,3,2,5,3] x) => (float y)
        <{floats("full", 6, 20, 3)}, {floats("row", 20, 1)}, int64[6,20,3] places = {{{places}}},
         {floats("piece", 6, 10, 3)}, int64[3] quarters = {{5, 5, 10}},
         int64[5] cut = {{3, 2, 4, 5, 3}}, int64[3] merged = {{6, 20, 3}}> {{
            p = Transpose <perm = [1, 2, 0, 3, 4]> (x)
            t = Reshape (p, merged)
            {FACTORISED[form]}
            c = Reshape (u, cut)
            y = Transpose <perm = [2, 0, 1, 3, 4]> (c)
        }}
        """
    check_free(text, 17)


ANY: Mapping[str, str] = {
    "split": "k, l = Split <axis = AXIS> (t) u = Concat <axis = AXIS> (l, k)",
    "split unevenly": "k, l = Split <axis = 1> (t, uneven) m = Relu (l) u = Concat <axis = 1> (m, k)",
    "concat": "l = Concat <axis = AXIS> (t, full) u, v = Split <axis = AXIS> (l)",
    "slice": "a = Constant <value = int64[1] {1}> () b = Constant <value = int64[1] {3}> () "
    "k = Constant <value = int64[1] {AXIS}> () l = Slice (t, a, b, k) r = ReduceSum (l, k) u = Add (t, r)",
    "gather": "k = Constant <value = int64 {1}> () g = Gather <axis = AXIS> (t, k) "
    "a = Constant <value = int64[1] {AXIS}> () h = Unsqueeze (g, a) u = Add (t, h)",
    "gather elements": "i = ArgMin <axis = AXIS> (t) u = GatherElements <axis = AXIS> (t, i)",
    "scatter elements": "i = ArgMax <axis = AXIS> (t) a = Constant <value = int64[1] {AXIS}> () m = ReduceSum (t, a) "
    "u = ScatterElements <axis = AXIS> (full, i, m)",
    "tile": "r = Constant <value = int64[3] {2, 1, 2}> () u = Tile (t, r)",
    "expand": "a = Constant <value = int64[1] {AXIS}> () r = ReduceSum (t, a) "
    "s = Constant <value = int64[3] {4, 6, 4}> () e = Expand (r, s) u = Mul (e, t)",
    "cumulative sum": "k = Constant <value = int64 {AXIS}> () u = CumSum <exclusive = 1> (t, k)",
    "top": "k = Constant <value = int64[1] {2}> () u, i = TopK <axis = AXIS> (t, k)",
    "softmax": "u = Softmax <axis = AXIS> (t)",
    "layer norm": "m = ReduceMax <axes = [0], keepdims = 0> (t) u = LayerNormalization <axis = 1> (t, inner, m)",
    "moments": "u = MeanVarianceNormalization <axes = [AXIS]> (t)",
    "quantize": "s = Constant <value = float[4] {0.5, 0.7, 0.3, 0.1}> () q = QuantizeLinear <axis = 2> (t, s) "
    "u = DequantizeLinear <axis = 2> (q, s)",
    "triangle": "u = Trilu (t)",
}


@settings(max_examples=8)
@given(perm=st.permutations(range(6)), axis=st.integers(0, 2))
@pytest.mark.parametrize("form", ANY)
def test_any_pieces_in_any_order(form: str, perm: Sequence[int], axis: int) -> None:
    """Axes of 4, 6 and 4 that lie in two pieces each, in any order: right, and never dearer than what came in."""
    pieces = (2, 2, 2, 3, 2, 2)
    order: Perm = tuple(perm)
    stored = permute(pieces, invert(order))
    text = f"""
        g (float[{",".join(map(str, stored))}] x) => (float u)
        <{floats("full", 4, 6, 4)}, {floats("inner", 6, 4)},
         int64[3] merged = {{4, 6, 4}}, int64[2] uneven = {{2, 4}}> {{
            p = Transpose <perm = {list(order)}> (x)
            t = Reshape (p, merged)
            {ANY[form].replace("AXIS", str(axis))}
        }}
        """
    original, result = model_of(text), run(model_of(text), io=Io.KEEP)
    check_valid(ir.to_proto(result.model))
    check_equal(original, result.model)
    assert result.assignment is not None
    assert total_bytes(result.model) <= total_bytes(original)


def test_a_cut_inside_a_piece_moves_something() -> None:
    """The second axis lies as 4 outermost and 5 innermost: 8 of 20 are no whole pieces."""
    text = """
        g (float[4,3,2,5,3] x) => (float y) <int64[3] merged = {6, 20, 3}, int64[2] parts = {8, 12}> {
            p = Transpose <perm = [1, 2, 0, 3, 4]> (x)
            t = Reshape (p, merged)
            y, z = Split <axis = 1> (t, parts)
        }
        """
    original, result = model_of(text), run(model_of(text), io=Io.KEEP)
    check_equal(original, result.model)
    assert transposes(result.model) == 1


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
