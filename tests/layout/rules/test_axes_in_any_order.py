"""Operators that name axes run in any order of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, invert, permute
from tests.layout.rules.case_forms import floats
from tests.layout.rules.rule_cases import ONE_HOT
from tests.layout.rules.running import check_free

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
