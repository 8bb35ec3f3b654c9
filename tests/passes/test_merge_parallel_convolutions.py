"""Convolutions of one value that are added up or joined become one, where that is the same and cheaper."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.passes import FoldBatchNorm, MergeParallelConvolutions
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

ALWAYS = MergeParallelConvolutions(always=True)

BRANCHES = {
    "3x3": "Conv <pads = [1,1,1,1]> (x, w33, b)",
    "1x1": "Conv (x, w11, b)",
    "1x3": "Conv <pads = [0,1,0,1]> (x, w13)",
    "3x1": "Conv <pads = [1,0,1,0]> (x, w31, b)",
    "5x5": "Conv <pads = [2,2,2,2]> (x, w55)",
    "dilated": "Conv <pads = [2,2,2,2], dilations = [2,2]> (x, w33, b)",
    "aside": "Conv <pads = [2,0,0,2]> (x, w33)",
    "same": 'Conv <auto_pad = "SAME_LOWER"> (x, w22)',
    "grouped": "Conv <pads = [1,1,1,1], group = 2> (x, g33, b)",
    "depthwise": "Conv <pads = [1,1,1,1], group = 4> (x, d33, b)",
    "itself": "Identity (x)",
    "affine": "Mul (x, m)",
    "mean": "AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (x)",
}
WEIGHTS = {
    **{f"w{height}{width}": normal(4, 4, height, width) for height, width in [(3, 3), (1, 1), (1, 3), (3, 1)]},
    "w55": normal(4, 4, 5, 5),
    "w22": normal(4, 4, 2, 2),
    "g33": normal(4, 2, 3, 3),
    "d33": normal(4, 1, 3, 3),
    "b": normal(4),
    "m": normal(4, 1, 1),
    "a": normal(4, 1, 1, seed=1),
}
FORMS = ("Add (t{0}, t{1})", "Sub (t{0}, t{1})", "Sub (t{1}, t{0})")


def summed(branches: list[str], form: str = FORMS[0], behind: str = "") -> ir.Model:
    """The branches, added up one after another."""
    parts = [f"t{at} = {BRANCHES[name].replace('Identity (x)', 'Mul (x, one)')}" for at, name in enumerate(branches)]
    sums = []
    left = "0"
    for at in range(1, len(branches)):
        sums.append(f"ts{at} = {form.format(left, at)}")
        left = f"s{at}"
    text = f"g (float[2,4,5,6] x) => (y) {{ {' '.join((*parts, *sums))} y = Relu (t{left}) {behind} }}"
    used = {name: array for name, array in WEIGHTS.items() if f"{name})" in text or f"{name}," in text}
    return network(text, **used, one=1.0) if "one)" in text else network(text, **used)


@settings(max_examples=80)
@given(st.lists(st.sampled_from(sorted(BRANCHES)), min_size=2, max_size=4), st.sampled_from(FORMS))
def test_any_sum(branches: list[str], form: str) -> None:
    result = check_rewrite(ALWAYS, summed(branches, form))
    if any(BRANCHES[name].startswith("Conv") for name in branches):
        assert operators(result) == ["Conv", "Relu"]


@pytest.mark.parametrize(
    ("branches", "kernel", "groups"),
    [
        (["3x3", "1x1", "itself"], (4, 4, 3, 3), 1),
        (["1x3", "3x1"], (4, 4, 3, 3), 1),
        (["depthwise", "itself"], (4, 1, 3, 3), 4),
        (["depthwise", "grouped"], (4, 2, 3, 3), 2),
        (["grouped", "1x1"], (4, 4, 3, 3), 1),
        (["aside", "1x1"], (4, 4, 3, 3), 1),
        (["dilated", "itself"], (4, 4, 3, 3), 1),
        (["dilated", "3x3"], (4, 4, 5, 5), 1),
    ],
    ids=str,
)
def test_the_kernel_of_a_sum(branches: list[str], kernel: tuple[int, ...], groups: int) -> None:
    conv = check_rewrite(ALWAYS, summed(branches)).graph[0]
    assert conv.inputs[1] is not None
    assert conv.inputs[1].const_value is not None
    assert conv.inputs[1].const_value.shape.numpy() == kernel
    assert conv.attributes.get_int("group", 1) == groups


def test_a_block_as_it_was_trained() -> None:
    """RepVGG: two convolutions and the value itself, each with batch normalization."""
    norms = " ".join(f"n{at} = BatchNormalization (t{at}, g{at}, b{at}, m{at}, v{at})" for at in range(2))
    text = f"""g (float[1,4,5,6] x) => (y) {{
        t0 = Conv <pads = [1,1,1,1]> (x, w33) t1 = Conv (x, w11) {norms}
        n2 = BatchNormalization (x, g2, b2, m2, v2) s = Add (n0, n1) z = Add (s, n2) y = Relu (z)
    }}"""
    arrays = {
        f"{name}{at}": np.abs(normal(4, seed=at + 3 * place)) if name == "v" else normal(4, seed=at + 3 * place)
        for at in range(3)
        for place, name in enumerate("gbmv")
    }
    model = network(text, w33=WEIGHTS["w33"], w11=WEIGHTS["w11"], **arrays)
    folded = FoldBatchNorm()(model).model
    assert operators(check_rewrite(ALWAYS, folded)) == ["Conv", "Relu"]


def test_strides_that_all_share() -> None:
    text = """g (float[1,4,7,6] x) => (y) {
        a = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w33) b = Conv <strides = [2,2]> (x, w11) y = Add (a, b)
    }"""
    model = network(text, w33=WEIGHTS["w33"], w11=WEIGHTS["w11"])
    assert operators(check_rewrite(ALWAYS, model)) == ["Conv"]


def test_what_comes_from_elsewhere_stays_in_the_sum() -> None:
    text = """g (float[1,4,5,6] x, float[1,4,5,6] r) => (y) {
        a = Conv <pads = [1,1,1,1]> (x, w33) b = Conv (x, w11) s = Sub (r, a) k = Mul (r, m) t = Sub (s, k)
        y = Add (t, b)
    }"""
    model = network(text, w33=WEIGHTS["w33"], w11=WEIGHTS["w11"], m=WEIGHTS["m"])
    assert sorted(operators(check_rewrite(ALWAYS, model))) == ["Add", "Add", "Conv", "Mul"]


@pytest.mark.parametrize(
    "body",
    [
        "t = Conv (x, w11) u = Conv (r, w11) y = Add (t, u)",
        "t = Conv (x, w11) v = Relu (t) y = Add (v, x)",
        "t = Conv <strides = [2,2]> (x, w11) u = AveragePool <kernel_shape = [1,1], strides = [2,2], pads = [0,0,0,0]> "
        "(r) y = Add (t, u)",
        "t = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (x) u = Conv (x, w11) y = Add (t, u)",
        "t = Conv (x, r2) y = Add (t, x)",
    ],
    ids=["two inputs", "activation", "pool of another", "padding that does not count", "weights that are computed"],
)
def test_what_is_no_one_convolution_stays(body: str) -> None:
    text = f"g (float[1,4,6,6] x, float[1,4,6,6] r, float[4,4,1,1] r2) => (y) {{ {body} }}"
    model = network(text, **({"w11": WEIGHTS["w11"]} if "w11" in body else {}))
    check_untouched(ALWAYS, model)


def test_a_branch_that_others_read_stays() -> None:
    text = "g (float[1,4,6,6] x) => (y, t) { t = Conv (x, w11) y = Add (t, x) }"
    check_untouched(ALWAYS, network(text, w11=WEIGHTS["w11"]))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = Conv (x, w) b = Conv (x, v, c) y = Concat <axis = 1> (a, b)", ["Conv"]),
        ("a = Conv (x, w) b = Conv (x, v, c) y = Concat <axis = 1> (a, b, x)", ["Conv", "Concat"]),
        (
            "p = Conv (x, w) q = Conv (x, v, c) a = Relu (p) b = Relu (q) y = Concat <axis = -3> (x, b, a)",
            ["Conv", "Relu", "Concat"],
        ),
        (
            "p = Conv (x, w) q = Conv (x, v, c) a = LeakyRelu <alpha = 0.1> (p) b = LeakyRelu <alpha = 0.1> (q) "
            "y = Concat <axis = 1> (a, b)",
            ["Conv", "LeakyRelu"],
        ),
    ],
)
def test_joined(body: str, expected: list[str]) -> None:
    model = network(
        f"g (float[2,4,5,6] x) => (y) {{ {body} }}", w=normal(3, 4, 1, 1), v=normal(2, 4, 1, 1), c=normal(2)
    )
    assert operators(check_rewrite(ALWAYS, model)) == expected


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv (x, w) b = Conv <pads = [1,1,1,1]> (x, v) y = Concat <axis = 1> (a, b)",
        "a = Conv (x, w) s = Relu (x) b = Conv (s, w) t = Conv <pads = [1,1,1,1]> (x, v) "
        "y = Concat <axis = 1> (a, b, t)",
        "a = Conv (x, w) p = Conv (x, w) b = Relu (p) t = Conv <pads = [1,1,1,1]> (x, v) "
        "y = Concat <axis = 1> (a, b, t)",
        "a = Conv (x, w) b = Conv (x, w) t = Conv <pads = [1,1,1,1]> (x, v) y = Concat <axis = 2> (a, b, t)",
    ],
    ids=["kernels", "inputs", "activations", "rows"],
)
def test_what_cannot_be_joined_stays(body: str) -> None:
    check_untouched(
        ALWAYS, network(f"g (float[2,4,5,6] x) => (y) {{ {body} }}", w=normal(3, 4, 1, 1), v=normal(3, 4, 3, 3))
    )


@pytest.mark.parametrize(
    ("branches", "changes"),
    [
        ("a = Conv <pads = [1,1,1,1]> (x, w) b = Conv (x, v) y = Add (a, b)", True),
        ("a = Conv <pads = [1,1,1,1], group = 64> (x, d) b = Conv (x, v) y = Add (a, b)", False),
        ("a = Conv <pads = [1,1,1,1], group = 64> (x, d) y = Add (a, x)", True),
        (
            "a = Conv <pads = [2,2,2,2], dilations = [2,2]> (x, w) b = Conv <pads = [1,1,1,1]> (x, w) y = Add (a, b)",
            False,
        ),
    ],
)
def test_it_is_done_where_it_is_cheaper(branches: str, changes: bool) -> None:
    arrays = {"w": normal(64, 64, 3, 3), "v": normal(64, 64, 1, 1), "d": normal(64, 1, 3, 3)}
    used = {name: array for name, array in arrays.items() if f", {name})" in branches}
    model = network(f"g (float[1,64,32,32] x) => (y) {{ {branches} }}", **used)
    assert MergeParallelConvolutions()(model).modified == changes
