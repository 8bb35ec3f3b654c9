"""An average behind a product of channels is taken in front of it where that is the same, and cheaper."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutopt.passes import PoolBeforeConvolution
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

ALWAYS = PoolBeforeConvolution(always=True)


def pooled(
    pool: str, conv: str = "group = 1", *, bias: bool = True, kernel: int = 1, groups: int = 1, more: str = ""
) -> ir.Model:
    text = f"""g (float[2,4,7,6] x) => (y{", z" if more else ""}) {{
        c = Conv <{conv}> (x, w{", b" if bias else ""}) y = {pool} (c) {more}
    }}"""
    return network(text, w=normal(6, 4 // groups, kernel, kernel), **({"b": normal(6)} if bias else {}))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 1)] * 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_window(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, ...],
    ceil: bool,
    counted: bool,
    bias: bool,
) -> None:
    pads = tuple(pad if kernel[at % 2] > 1 else 0 for at, pad in enumerate(pads))
    pool = (
        f"AveragePool <kernel_shape = {list(kernel)}, strides = {list(strides)}, pads = {list(pads)}, "
        f"count_include_pad = {int(counted)}, ceil_mode = {int(ceil and not counted)}>"
    )
    result = check_rewrite(ALWAYS, pooled(pool, bias=bias))
    stays = bias and counted and operators(result) == ["Conv", "AveragePool"]
    assert stays == (bias and counted and any(pads) and operators(result)[0] == "Conv")
    if not (bias and counted and any(pads)):
        assert operators(result) == ["AveragePool", "Conv"]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("GlobalAveragePool", ["GlobalAveragePool", "Conv"]),
        ("ReduceMean <axes = [2,3]>", ["ReduceMean", "Conv"]),
        ("ReduceMean <axes = [-1]>", ["ReduceMean", "Conv"]),
        ("ReduceMean <axes = [2,3], keepdims = 0>", ["ReduceMean", "Conv", "Reshape"]),
        ('AveragePool <kernel_shape = [2,2], auto_pad = "SAME_UPPER">', ["AveragePool", "Conv"]),
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_every_average(pool: str, expected: list[str], groups: int) -> None:
    assert operators(check_rewrite(ALWAYS, pooled(pool, f"group = {groups}", groups=groups))) == expected


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("bias", ["", "a = Add (m, b)", "a = Add (b, m)"])
def test_rows_behind_a_matrix(keepdims: int, bias: str) -> None:
    text = f"""g (float[2,5,4] x) => (y) {{
        m = MatMul (x, w) {bias} y = ReduceMean <axes = [1], keepdims = {keepdims}> ({"a" if bias else "m"})
    }}"""
    model = network(text, w=normal(4, 6), **({"b": normal(6)} if bias else {}))
    expected = ["ReduceMean", "MatMul", *(["Add"] if bias else []), *([] if keepdims else ["Reshape"])]
    assert operators(check_rewrite(ALWAYS, model)) == expected


COUNTED = "AveragePool <kernel_shape = [2,2], pads = [1,1,0,0], count_include_pad = 1>"


@pytest.mark.parametrize(
    "model",
    [
        pooled(COUNTED),
        pooled("AveragePool <kernel_shape = [2,2]>", "strides = [2,2]"),
        pooled("AveragePool <kernel_shape = [2,2]>", "pads = [1,1,1,1]"),
        pooled("AveragePool <kernel_shape = [2,2]>", "pads = [1,1,1,1]", kernel=3),
        pooled("ReduceMean <axes = [1]>"),
        pooled("MaxPool <kernel_shape = [2,2]>"),
        pooled("GlobalAveragePool", more="z = Relu (c)"),
    ],
    ids=["counted border", "stride", "border", "kernel", "channels", "maximum", "read by others"],
)
def test_what_does_not_commute_stays(model: ir.Model) -> None:
    check_untouched(ALWAYS, model)


def test_the_border_counts_without_a_bias() -> None:
    assert operators(check_rewrite(ALWAYS, pooled(COUNTED, bias=False))) == ["AveragePool", "Conv"]


def test_rows_that_are_not_averaged_alone_stay() -> None:
    text = "g (float[2,5,4] x) => (y) { m = MatMul (x, w) y = ReduceMean <axes = [1,2]> (m) }"
    check_untouched(ALWAYS, network(text, w=normal(4, 6)))
    text = "g (float[2,5,4] x) => (y) { m = MatMul (x, w) a = Add (m, b) y = ReduceMean <axes = [1]> (a) }"
    check_untouched(ALWAYS, network(text, w=normal(4, 6), b=normal(5, 6)))


@pytest.mark.parametrize(("before", "behind", "stride", "changes"), [(256, 128, 2, True), (256, 8, 1, False)])
def test_it_is_done_where_it_is_cheaper(before: int, behind: int, stride: int, changes: bool) -> None:
    text = f"""g (float[1,{before},16,16] x) => (y) {{
        c = Conv (x, w) y = AveragePool <kernel_shape = [2,2], strides = [{stride},{stride}]> (c)
    }}"""
    assert PoolBeforeConvolution()(network(text, w=normal(behind, before, 1, 1))).modified == changes
