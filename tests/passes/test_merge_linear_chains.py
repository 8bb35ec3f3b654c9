"""Two linear operators are one where that is the same and cheaper, and nothing is computed that changes no order."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.layout.costs.arithmetic import multiplications
from layoutopt.passes import MergeLinearChains
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

ALWAYS = MergeLinearChains(always=True)
FEW = st.integers(1, 3)


def chain(
    first: str,
    second: str,
    kernels: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    groups: tuple[int, int] = (1, 1),
    bias: bool = True,
) -> ir.Model:
    size = ",".join("10" for _ in kernels[0])
    text = f"""g (float[2,4,{size}] x) => (y) {{
        c = Conv <{first}, group = {groups[0]}> (x, w{", b" if bias else ""})
        y = Conv <{second}, group = {groups[1]}> (c, v, d)
    }}"""
    weights = {"w": normal(8, 4 // groups[0], *kernels[0]), "v": normal(12, 8 // groups[1], *kernels[1])}
    return network(text, **weights, d=normal(12), **({"b": normal(8)} if bias else {}))


@settings(max_examples=80)
@given(
    st.tuples(st.tuples(FEW, FEW), st.tuples(FEW, FEW)),
    st.tuples(st.tuples(FEW, FEW), st.tuples(FEW, FEW)),
    st.tuples(st.tuples(FEW, FEW), st.tuples(FEW, FEW)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
)
def test_any_convolutions_without_padding_between(
    kernels: tuple[tuple[int, int], tuple[int, int]],
    strides: tuple[tuple[int, int], tuple[int, int]],
    dilations: tuple[tuple[int, int], tuple[int, int]],
    pads: tuple[int, ...],
    groups: tuple[int, int],
) -> None:
    first, second = (
        f"strides = {list(step)}, dilations = {list(dilation)}"
        for step, dilation in zip(strides, dilations, strict=True)
    )
    sizes = [10 + pads[axis] + pads[axis + 2] for axis in (0, 1)]
    for kernel, step, dilation in zip(kernels, strides, dilations, strict=True):
        sizes = [(size - (k - 1) * d - 1) // s + 1 for size, k, s, d in zip(sizes, kernel, step, dilation, strict=True)]
        if min(sizes) < 1:
            return
    model = chain(f"{first}, pads = {list(pads)}", second, kernels, groups=groups)
    assert operators(check_rewrite(ALWAYS, model)) == ["Conv"]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_pixel_before_a_padded_kernel(rank: int) -> None:
    ones, kernel = (1,) * rank, (3,) * rank
    second = f"pads = {[1] * 2 * rank}"
    strided = f"strides = {[2] * rank}"
    without = chain(strided, second, (ones, kernel), bias=False)
    assert operators(check_rewrite(ALWAYS, without)) == ["Conv"]
    check_untouched(ALWAYS, chain(strided, second, (ones, kernel)))
    check_untouched(ALWAYS, chain(f"pads = {[1] * 2 * rank}", second, (ones, kernel), bias=False))
    check_untouched(ALWAYS, chain(strided, second, (kernel, kernel), bias=False))


def _wide(second: int) -> ir.Model:
    text = "g (float[1,16,28,28] x) => (y) { c = Conv (x, w, b) y = Conv (c, v) }"
    return network(text, w=normal(128, 16, 1, 1), b=normal(128), v=normal(second, 128, 1, 1))


def test_the_cheaper_one_is_chosen() -> None:
    result = check_rewrite(MergeLinearChains(), _wide(16))
    assert operators(result) == ["Conv"]
    assert multiplications(result) == 28 * 28 * 16 * 16
    narrow = "g (float[1,128,28,28] x) => (y) { c = Conv (x, w) y = Conv (c, v) }"
    check_untouched(MergeLinearChains(), network(narrow, w=normal(16, 128, 1, 1), v=normal(128, 16, 1, 1)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("t = MatMul (x, m) y = MatMul (t, n)", ["MatMul"]),
        ("t = MatMul (x, m) u = Add (t, r) y = MatMul (u, n)", ["MatMul", "Add"]),
        ("t = MatMul (x, m) u = Add (r, t) y = MatMul (u, n)", ["MatMul", "Add"]),
        ("t = MatMul (x, m) u = MatMul (t, n) v = MatMul (u, k) y = Relu (v)", ["MatMul", "Relu"]),
    ],
)
def test_products(body: str, expected: list[str]) -> None:
    weights = {"m": normal(6, 8), "n": normal(8, 5), "r": normal(8), "k": normal(5, 3)}
    used = {name: array for name, array in weights.items() if f" {name})" in body or f"({name}," in body}
    assert operators(check_rewrite(ALWAYS, network(f"g (float[3,4,6] x) => (y) {{ {body} }}", **used))) == expected


def test_a_factor_of_low_rank_stays() -> None:
    text = "g (float[64,256] x) => (y) { t = MatMul (x, m) y = MatMul (t, n) }"
    check_untouched(MergeLinearChains(), network(text, m=normal(256, 8), n=normal(8, 256)))


@pytest.mark.parametrize("between", ["", "u = Add (t, r)"])
def test_a_table_is_multiplied_once(between: str) -> None:
    last = "u" if between else "t"
    text = f"g (int64[2,3] x) => (y) {{ t = Gather (table, x) {between} y = MatMul ({last}, n) }}"
    weights = {"table": normal(7, 8), "n": normal(8, 6), **({"r": normal(8)} if between else {})}
    result = check_rewrite(ALWAYS, network(text, **weights))
    assert operators(result) == ["Gather", *(["Add"] if between else [])]


def test_a_table_that_would_grow_stays() -> None:
    text = "g (int64[2,3] x) => (y) { t = Gather (table, x) y = MatMul (t, n) }"
    check_untouched(ALWAYS, network(text, table=normal(7, 4), n=normal(4, 6)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("s = Softmax <axis = 1> (x) i = ArgMax <axis = 1> (s) y = Cast <to = 1> (i)", ["ArgMax", "Cast"]),
        ("s = LogSoftmax (x) i = ArgMin <axis = 2, keepdims = 0> (s) y = Cast <to = 1> (i)", ["ArgMin", "Cast"]),
        ("s = Sigmoid (x) i = ArgMax <axis = 1, select_last_index = 1> (s) y = Cast <to = 1> (i)", ["ArgMax", "Cast"]),
        ("s = Softmax (x) v, i = TopK (s, k) y = Cast <to = 1> (i)", ["TopK", "Cast"]),
        ("s = Sigmoid (x) y, i = TopK <largest = 0, axis = 1> (s, k)", ["TopK", "Sigmoid"]),
        ("s = Sigmoid (x) v, i = TopK (s, k) y = Neg (v)", ["TopK", "Sigmoid", "Neg"]),
        ("s = Sigmoid (x) y = ReduceMax <axes = [1]> (s)", ["ReduceMax", "Sigmoid"]),
    ],
)
def test_order_alone(body: str, expected: list[str]) -> None:
    model = network(f"g (float[2,5,6] x) => (y) {{ {body} }}", **({"k": [3]} if "TopK" in body else {}))
    assert operators(check_rewrite(ALWAYS, model)) == expected


@pytest.mark.parametrize(
    "body",
    [
        "s = Softmax <axis = 1> (x) i = ArgMax <axis = 2> (s) y = Cast <to = 1> (i)",
        "s = Softmax (x) y, i = TopK (s, k)",
        "s = Softmax (x) y = ReduceMax <axes = [2]> (s)",
        "s = Relu (x) y = ReduceMax <axes = [2]> (s)",
        "s = Sigmoid (x) v = ReduceMax <axes = [2]> (s) y = Add (v, s)",
        "s = Sigmoid (x) y = ReduceMean <axes = [2]> (s)",
    ],
)
def test_what_needs_the_numbers_stays(body: str) -> None:
    model = network(f"g (float[2,5,6] x) => (y) {{ {body} }}", **({"k": [3]} if "TopK" in body else {}))
    check_untouched(ALWAYS, model)


def test_weights_beyond_the_type_stay() -> None:
    text = "g (float[1,2,3,3] x) => (y) { c = Conv (x, w) y = Conv (c, v) }"
    huge = np.full((2, 2, 1, 1), 1e30)
    check_untouched(ALWAYS, network(text, w=huge, v=huge))
