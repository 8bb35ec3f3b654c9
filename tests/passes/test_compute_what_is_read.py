"""What nobody reads is not computed, where the rest can be computed without it and that is cheaper."""

from __future__ import annotations

import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.layout.analysis.demanded_slices import _NEEDED
from layoutopt.layout.costs.arithmetic import multiplications
from layoutopt.passes import ComputeWhatIsRead, RecognizeActivations
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

ALWAYS = ComputeWhatIsRead(always=True)

CASES = {
    "Relu": "t = Relu (x)",
    "Clip": "t = Clip (x, low, high)",
    "Add": "t = Add (x, z)",
    "Add of a constant": "t = Add (x, w456)",
    "Add of a row": "t = Sub (w6, x)",
    "Where": "more = Greater (x, z) t = Where (more, x, w6)",
    "PRelu": "t = PRelu (x, w16)",
    "Softmax": "t = Softmax <axis = -1> (x)",
    "LogSoftmax": "t = LogSoftmax <axis = 1> (x)",
    "LayerNormalization": "t = LayerNormalization <axis = -1> (x, w6, v6)",
    "ReduceMean": "t = ReduceMean <axes = [1]> (x)",
    "ReduceMax": "t = ReduceMax <axes = [1], keepdims = 0> (x)",
    "MatMul": "t = MatMul (x, m)",
    "MatMul of two": "p = Transpose <perm = [0,2,1]> (z) t = MatMul (x, p)",
    "MatMul of many": "p = Unsqueeze (x, zero) q = Transpose <perm = [0,2,1]> (z) t = MatMul (p, q)",
    "Transpose": "t = Transpose <perm = [2,0,1]> (x)",
    "Reshape": "t = Reshape (x, s)",
    "Flatten": "t = Flatten <axis = 1> (x)",
    "Squeeze": "u = Unsqueeze (x, zero) r = Relu (u) t = Squeeze (r, zero)",
    "Concat": "t = Concat <axis = 1> (x, z)",
    "Conv": "t = Conv (x, c, b)",
    "Conv of groups": "t = Conv <group = 5> (x, g)",
    "Conv of kernels": "t = Conv <pads = [1,1]> (x, k)",
    "Conv with strides": "t = Conv <strides = [2]> (x, c)",
}
WEIGHTS: dict[str, npt.ArrayLike] = {
    "w456": normal(4, 5, 6),
    "w6": normal(6),
    "v6": normal(6, seed=1),
    "w16": normal(1, 6),
    "m": normal(6, 3),
    "c": normal(7, 5, 1),
    "b": normal(7),
    "g": normal(5, 1, 1),
    "k": normal(2, 5, 3),
    "low": -1.0,
    "high": 1.0,
    "zero": [0],
    "one": [1],
    "two": [3],
    "at": 2,
    "s": [4, 5, 3, 2],
}
SHAPES = {
    "ReduceMean": (4, 1, 6),
    "ReduceMax": (4, 6),
    "MatMul": (4, 5, 3),
    "MatMul of two": (4, 5, 5),
    "MatMul of many": (1, 4, 5, 5),
    "Transpose": (6, 4, 5),
    "Reshape": (4, 5, 3, 2),
    "Flatten": (4, 30),
    "Concat": (4, 10, 6),
    "Conv": (4, 7, 6),
    "Conv of kernels": (4, 2, 6),
    "Conv with strides": (4, 7, 3),
}


def test_every_rule_has_a_case() -> None:
    assert {_NEEDED.get(case.split()[0]) for case in CASES} == set(_NEEDED.values())


@settings(max_examples=150)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 3), st.data())
def test_any_part(case: str, axis: int, data: st.DataObject) -> None:
    shape = SHAPES.get(case, (4, 5, 6))
    axis %= len(shape)
    positions = st.integers(0, shape[axis] - 1)
    chosen = data.draw(positions.map(int) | st.lists(positions, min_size=1, max_size=3))
    text = f"""g (float[4,5,6] x, float[4,5,6] z) => (y) {{
        {CASES[case]} e = Gather <axis = {axis}> (t, chosen) y = Neg (e)
    }}"""
    used = {name: array for name, array in WEIGHTS.items() if any(f"{name}{end}" in text for end in (")", ","))}
    check_rewrite(ALWAYS, network(text, chosen=chosen, **used))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("t = Relu (x) y = Slice (t, one, two, one)", ["Slice", "Relu"]),
        ("t = MatMul (x, m) y = Gather <axis = 1> (t, at)", ["Slice", "MatMul", "Reshape"]),
        ("t = MatMul (x, m) y = Gather <axis = 2> (t, at)", ["MatMul", "Reshape"]),
        ("t = MatMul (x, m) y, u, v = Split <axis = 2> (t)", ["MatMul"]),
        ("t = Conv (x, c, b) y = Slice (t, one, two, one)", ["Conv"]),
        ("t = Relu (x) u = Add (t, w6) v = Mul (u, t) y = Slice (v, one, two, one)", ["Slice", "Relu", "Add", "Mul"]),
        (
            "t = Relu (x) u = Slice (t, one, two, one) v = Slice (t, one, two, one) y = Add (u, v)",
            ["Slice", "Relu", "Add"],
        ),
    ],
)
def test_what_is_left(body: str, expected: list[str]) -> None:
    used = {name: array for name, array in WEIGHTS.items() if any(f" {name}{end}" in body for end in (")", ","))}
    assert operators(check_rewrite(ALWAYS, network(f"g (float[4,5,6] x) => (y) {{ {body} }}", **used))) == expected


def test_an_activation_of_the_dialect_takes_the_part() -> None:
    text = "g (float[4,5,6] x) => (y) { s = Softplus (x) h = Tanh (s) t = Mul (x, h) y = Slice (t, one, two, one) }"
    model = RecognizeActivations()(network(text, one=[1], two=[3])).model
    assert operators(model) == ["Mish", "Slice"]
    assert operators(check_rewrite(ALWAYS, model)) == ["Slice", "Mish"]


def test_fewer_channels_of_a_depthwise_convolution_are_priced() -> None:
    text = "g (float[1,64,32,32] x) => (y) { t = Conv <group = 64> (x, w) y = Gather <axis = 1> (t, first) }"
    model = network(text, w=normal(64, 1, 3, 3), first=[0])
    assert operators(check_rewrite(ComputeWhatIsRead(), model)) == ["Slice", "Conv"]


def test_the_class_token_of_a_block() -> None:
    norm = "LayerNormalization <axis = -1>"
    text = f"""g (float[1,9,8] x) => (y) {{
        n = {norm} (x, s, t) q = MatMul (n, wq) k = MatMul (n, wk) v = MatMul (n, wv)
        qs = Reshape (q, heads) qt = Transpose <perm = [0,2,1,3]> (qs)
        ks = Reshape (k, heads) kt = Transpose <perm = [0,2,3,1]> (ks)
        vs = Reshape (v, heads) vt = Transpose <perm = [0,2,1,3]> (vs)
        r = MatMul (qt, kt) h = Softmax <axis = -1> (r) o = MatMul (h, vt)
        ot = Transpose <perm = [0,2,1,3]> (o) os = Reshape (ot, whole)
        a = MatMul (os, wo) e = Add (a, x) m = {norm} (e, s, t)
        f = MatMul (m, w1) u = Relu (f) l = MatMul (u, w2) z = Add (e, l) w = {norm} (z, s, t)
        i = Gather <axis = 1> (w, first) y = MatMul (i, w3)
    }}"""
    model = network(
        text,
        wq=normal(8, 8, seed=1),
        wk=normal(8, 8, seed=2),
        wv=normal(8, 8, seed=3),
        wo=normal(8, 8, seed=4),
        s=normal(8),
        t=normal(8),
        w1=normal(8, 16),
        w2=normal(16, 8),
        w3=normal(8, 4),
        heads=[1, 9, 2, 4],
        whole=[1, 9, 8],
        first=0,
    )
    result = check_rewrite(ALWAYS, model)
    assert operators(result).count("Slice") == 2  # of the input of the block, and of its normalized form
    # Keys and values of 9 rows; one row of queries, scores, attention, projection, and of the layers behind.
    assert multiplications(result) == 2 * 9 * 64 + 64 + 2 * 9 * 8 + 64 + 2 * 8 * 16 + 32


@pytest.mark.parametrize(
    "body",
    [
        "t = Softmax <axis = 1> (x) y = Slice (t, one, two, one)",
        "t = LayerNormalization <axis = 1> (x, v56) y = Slice (t, one, two, one)",
        "t = Conv <pads = [1,1]> (x, k) y = Slice (t, one, two, last)",
        "t = Relu (x) u = Slice (t, one, two, one) w = ReduceMax <axes = [1]> (t) y = Add (u, w)",
        "t = Relu (x) u = Slice (t, one, two, one) v = Slice (t, zero, one, one) y = Add (u, v)",
        "t = CumSum (x, at) y = Slice (t, one, two, one)",
        "t = Concat <axis = 1> (x, x) y = Slice (t, one, two, one)",
        "y = Slice (x, one, two, one)",
    ],
    ids=["softmax", "normalized", "kernel", "read by others", "two parts", "unknown", "across", "input"],
)
def test_what_needs_all_stays(body: str) -> None:
    weights: dict[str, npt.ArrayLike] = {**WEIGHTS, "v56": normal(5, 6), "last": [2]}
    used = {name: array for name, array in weights.items() if any(f" {name}{end}" in body for end in (")", ","))}
    check_untouched(ALWAYS, network(f"g (float[4,5,6] x) => (y) {{ {body} }}", **used))


@pytest.mark.parametrize("count", [1, 196])
def test_it_is_done_where_it_is_cheaper(count: int) -> None:
    text = "g (float[1,197,192] x) => (y) { t = MatMul (x, m) y = Slice (t, zero, end, one) }"
    model = network(text, m=normal(192, 192), zero=[0], end=[count], one=[1])
    assert ComputeWhatIsRead()(model).modified == (count == 1)


def test_parts_of_constants_are_taken_offline() -> None:
    text = "g (float[1,5,6] x) => (y) { t = Add (x, p) y = Slice (t, one, two, one) }"
    result = check_rewrite(ALWAYS, network(text, p=normal(1, 5, 6), one=[1], two=[3]))
    constants = [value.const_value for value in result.graph.initializers.values() if value.const_value is not None]
    assert (1, 2, 6) in [tuple(tensor.shape) for tensor in constants]
    assert (1, 5, 6) not in [tuple(tensor.shape) for tensor in constants if tensor.name != "p"]
