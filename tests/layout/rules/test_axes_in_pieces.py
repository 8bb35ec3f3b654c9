"""Operators that split an axis run where it lies in several pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, invert, permute
from layoutopt.options import Io
from tests.harness import check_equal, check_valid, model_of, total_bytes, transposes
from tests.layout.rules.case_forms import floats
from tests.layout.rules.running import check_free, run

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
    "slice pieces": "a = Constant <value = int64[1] {5}> () b = Constant <value = int64[1] {-5}> () "
    "k = Constant <value = int64[1] {1}> () s = Slice (t, a, b, k) u = Concat <axis = 1> (s, s)",
    "split": "k, l, m = Split <axis = 1> (t, quarters) u = Concat <axis = 1> (l, m, k)",
    "split evenly": "k, l = Split <axis = 1> (t) u = Concat <axis = -2> (l, k)",
    "split and work": "k, l = Split <axis = 1> (t) e = Neg (k) u = Concat <axis = 1> (e, l)",
    "constant piece": "k, l, m = Split <axis = 1> (t, quarters) u = Concat <axis = 1> (l, piece, k)",
    "tile pieces": "r = Constant <value = int64[3] {1, 2, 1}> () d = Tile (t, r) u, v = Split <axis = 1> (d)",
    "pad pieces": "k = Constant <value = int64[6] {0, 5, 0, 0, 10, 0}> () v = Constant <value = float {0.7}> () "
    "s = Pad (t, k, v) n = Neg (s) u = Slice (n, from, to, second)",
    "gather pieces": "u = Gather <axis = 1> (t, back)",
    "gather more pieces": "s = Gather <axis = 1> (t, more) n = Neg (s) u = Slice (n, from, to, second)",
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
         int64[1] from = {{10}}, int64[1] to = {{30}}, int64[1] second = {{1}},
         int64[20] back = {{{", ".join(map(str, [*range(15, 20), *range(-15, -10), *range(5), *range(5)]))}}},
         int64[35] more = {{{", ".join(map(str, [*range(10, 20), *range(20), *range(5)]))}}},
         int64[5] cut = {{3, 2, 4, 5, 3}}, int64[3] merged = {{6, 20, 3}}> {{
            p = Transpose <perm = [1, 2, 0, 3, 4]> (x)
            t = Reshape (p, merged)
            {FACTORISED[form]}
            c = Reshape (u, cut)
            y = Transpose <perm = [2, 0, 1, 3, 4]> (c)
        }}
        """
    check_free(text, 17)


@pytest.mark.parametrize(
    ("opset", "piece"),
    [
        (9, "s = Slice <axes = [1], starts = [3], ends = [9]> (t)"),
        (17, "a = Constant <value = int64[1] {3}> () b = Constant <value = int64[1] {9}> () "
         "k = Constant <value = int64[1] {1}> () s = Slice (t, a, b, k)"),
        (17, "k = Constant <value = int64[2] {3, 9}> () r, s = Split <axis = 1> (t, k)"),
        (17, "s = Concat <axis = 1> (t, t)"),
        (9, "s = Pad <pads = [0, 3, 0, 6]> (t)"),
        (17, "k = Constant <value = int64[4] {0, 3, 0, 6}> () s = Pad (t, k)"),
        (17, "k = Constant <value = int64[6] {9, 10, 11, 0, 1, 2}> () s = Gather <axis = 1> (t, k)"),
        (17, "k = Constant <value = int64[2] {1, 2}> () s = Tile (t, k)"),
    ],
)  # fmt: skip
def test_pieces_that_lie_side_by_side_run_where_they_are(opset: int, piece: str) -> None:
    """The axis of 12 is stored as the 3 inner ones, and then the 4 outer ones, with nothing between them."""
    text = f"""
        g (float[5,3,4] x) => (float y) <int64[2] merged = {{5, 12}}, int64[3] cut = {{5, -1, 3}}> {{
            p = Transpose <perm = [0, 2, 1]> (x)
            t = Reshape (p, merged)
            {piece}
            c = Reshape (s, cut)
            y = Transpose <perm = [0, 2, 1]> (c)
        }}
        """
    check_free(text, opset)


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


@pytest.mark.parametrize(
    "piece",
    [
        "k = Constant <value = int64[4] {0, 3, 0, 4}> () s = Pad (t, k)",
        'k = Constant <value = int64[4] {0, 3, 0, 3}> () s = Pad <mode = "reflect"> (t, k)',
        'k = Constant <value = int64[4] {0, 3, 0, 3}> () s = Pad <mode = "edge"> (t, k)',
        "k = Constant <value = int64[6] {9, 10, 11, 1, 2, 3}> () s = Gather <axis = 1> (t, k)",
        "k = Constant <value = int64[6] {2, 1, 0, 5, 4, 3}> () s = Gather <axis = 1> (t, k)",
    ],
)
def test_what_is_no_whole_piece_is_right(piece: str) -> None:
    """The axis of 12 is stored as the 3 inner ones, and then the 4 outer ones."""
    text = f"""
        g (float[5,3,4] x) => (float s) <int64[2] merged = {{5, 12}}> {{
            p = Transpose <perm = [0, 2, 1]> (x)
            t = Reshape (p, merged)
            {piece}
        }}
        """
    original, result = model_of(text), run(model_of(text), io=Io.KEEP)
    check_equal(original, result.model)
    assert transposes(result.model) == 1
