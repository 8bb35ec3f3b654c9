"""A product that is read in parts is one product per part, in whatever way the parts are cut out."""

from __future__ import annotations

import pytest

from layoutopt.passes import SplitProducts
from tests.graphs.text import numbers
from tests.harness import check_golden, check_pass, model_of

CONSTANTS = f"""{numbers("m", 4, 12)}, {numbers("c", 12)}, {numbers("rows", 5, 1)}, int64[3] three = {{4, 4, 4}},
    int64[2] uneven = {{3, 9}}, int64[5] heads = {{1, 5, 3, 2, 2}}, int64[5] inner = {{1, 5, 2, 3, 2}},
    int64 i0 = {{0}}, int64 i1 = {{1}}, int64 i2 = {{2}}, int64[1] from = {{0}}, int64[1] to = {{4}},
    int64[1] to8 = {{8}}, int64[1] end = {{12}}, int64[1] last = {{2}}, int64[3] rowed = {{1, 10, 6}},
    int64[5] batches = {{2, 5, 3, 2, 2}}, int64[4] merged = {{3, 5, 4, 2}}"""
LINEAR = "k = MatMul (x, m) a = Add (c, k)"
SUM = "s = Add (q, l) y = Mul (s, v)"
CHUNK = f"q, l, v = Split <axis = 2> (a, three) {SUM}"


@pytest.mark.parametrize("case", ["heads"])
def test_golden(case: str) -> None:
    check_golden(SplitProducts(), f"split_products.{case}")


@pytest.mark.parametrize(
    ("body", "products"),
    [
        (f"{LINEAR} {CHUNK}", 3),
        (f"a = MatMul (x, m) {CHUNK}", 3),
        (f"{LINEAR} q, l = Split <axis = 2> (a, uneven) y = ReduceSum (q) z = Neg (l)", 2),
        (
            f"{LINEAR} r = Reshape (a, heads) t = Transpose <perm = [2, 0, 3, 1, 4]> (r) "
            f"q = Gather <axis = 0> (t, i0) l = Gather <axis = 0> (t, i1) v = Gather <axis = 0> (t, i2) {SUM}",
            3,
        ),
        (
            f"{LINEAR} r = Reshape (a, inner) q = Gather <axis = 3> (r, i0) l = Gather <axis = 3> (r, i1) "
            f"v = Gather <axis = 3> (r, i2) {SUM}",
            3,
        ),
        (
            f"{LINEAR} q = Slice (a, from, to, last) l = Slice (a, to, to8, last) v = Slice (a, to8, end, last) {SUM}",
            3,
        ),
        (f"{LINEAR} q = Slice (a, from, to, last) l = Slice (a, to, to8, last) y = Add (q, l)", 2),
        # not all of the parts are whole columns of their own, or somebody reads the whole
        (f"{LINEAR} q = Slice (a, from, to8, last) l = Slice (a, to, end, last) y = Add (q, l)", 1),
        (f"{LINEAR} {CHUNK} z = Neg (a)", 1),
        (f"k = MatMul (x, m) a = Add (rows, k) {CHUNK}", 1),
        (f"{LINEAR} y, z, v = Split <axis = 1> (a, rowsplit)", 1),
        (f"{LINEAR} r = Reshape (a, rowed) q = Slice (r, from, to, last) y = Neg (q)", 1),
    ],
)
def test_into_what_it_is_split(body: str, products: int) -> None:
    outputs = "float y, float z" if " z = " in body or ", z," in body else "float y"
    constants = f"{CONSTANTS}, int64[3] rowsplit = {{2, 2, 1}}"
    text = f"g (float[1,5,4] x) => ({outputs}) <{constants}> {{ {body} }}"
    result = check_pass(SplitProducts(), model_of(text))
    found = [node.op_type for node in result.model.graph]
    assert found.count("MatMul") == products
    assert result.modified == (products > 1)
    assert products == 1 or not {"Split", "Gather", "Slice"} & set(found)


def test_two_digits_in_one_axis_stay() -> None:
    """Batch and head on one axis are no axis of the product, unless the batch is 1."""
    cut = "r = Reshape (a, batches) t = Transpose <perm = [2, 1, 0, 3, 4]> (r) f = Reshape (t, merged)"
    parts = f"q = Gather <axis = 0> (f, i0) l = Gather <axis = 0> (f, i1) v = Gather <axis = 0> (f, i2) {SUM}"
    text = f"g (float[2,5,4] x) => (float y) <{CONSTANTS}> {{ {LINEAR} {cut} {parts} }}"
    assert not check_pass(SplitProducts(), model_of(text)).modified
