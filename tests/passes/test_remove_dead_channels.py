"""Channels that hold a constant or that nobody reads are removed, all that belong together at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.layout.costs.arithmetic import multiplications
from layoutopt.passes import RecognizeActivations, RemoveDeadChannels
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

PASS = RemoveDeadChannels()


def masked(array: npt.NDArray[np.float64], rows: list[int], axis: int = 0) -> npt.NDArray[np.float64]:
    """``array`` with zeros in ``rows``."""
    found = array.copy()
    np.moveaxis(found, axis, 0)[rows] = 0
    return found


def between(
    body: str, rows: list[int], weights: dict[str, npt.ArrayLike], *, pads: int = 1, bias: bool = False
) -> None:
    """Two convolutions around ``body``, the first with channels that are zero, or equal to a bias."""
    text = f"""g (float[2,3,6,5] x) => (y) {{
        a = Conv <pads = [1,1,1,1]> (x, first, bias) {body} y = Conv <pads = [{pads},{pads},{pads},{pads}]> (t, last)
    }}"""
    size = 2 * pads + 1
    first = masked(normal(6, 3, 3, 3), rows)
    model = network(
        text,
        first=first,
        bias=normal(6) if bias else masked(normal(6), rows),
        last=normal(4, 6, size, size),
        **weights,
    )
    result = check_rewrite(PASS, model)
    before, after = multiplications(model), multiplications(result)
    assert after < before
    kept = next(value for value in result.graph if value.op_type == "Conv").outputs[0].shape
    assert kept is not None
    assert kept[1] == 6 - len(rows)


@pytest.mark.parametrize(
    "body",
    [
        "t = Relu (a)",
        "t = HardSwish (a)",
        "t = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (a)",
        "t = AveragePool <kernel_shape = [2,2], strides = [2,2]> (a)",
        "t = Mul (a, factor)",
        't = Resize <mode = "linear"> (a, , scales)',
        "d = Conv <group = 6, pads = [1,1,1,1]> (a, depthwise) t = Relu (d)",
        "p = GlobalAveragePool (a) t = Mul (a, p)",
        "p = ReduceMean <axes = [2,3]> (a) t = Add (p, a)",
        "b = Relu (a) t = Add (a, b)",
    ],
)
def test_zeros_go_through(body: str) -> None:
    weights: dict[str, npt.ArrayLike] = {
        "factor": normal(6, 1, 1),
        "scales": [1.0, 1.0, 2.0, 2.0],
        "depthwise": normal(6, 1, 3, 3),
    }
    between(body, [0, 3, 4], {name: array for name, array in weights.items() if name in body})


@pytest.mark.parametrize("body", ["t = Relu (a)", "t = Clip (a)", "t = Sigmoid (a)", "s = Sigmoid (a) t = Mul (a, s)"])
def test_constants_go_into_the_bias_without_a_border(body: str) -> None:
    between(body, [1, 2], {}, pads=0, bias=True)


def test_constants_stay_at_a_border() -> None:
    text = """g (float[1,3,6,5] x) => (y) {
        a = Conv (x, first, bias) y = Conv <pads = [1,1,1,1]> (a, last)
    }"""
    first = masked(normal(6, 3, 1, 1), [1, 2])
    check_untouched(PASS, network(text, first=first, bias=normal(6), last=normal(4, 6, 3, 3)))


def test_what_nobody_reads() -> None:
    text = "g (float[1,3,6,5] x) => (y) { a = Conv (x, first, bias) t = Relu (a) y = Conv (t, last) }"
    last = masked(normal(4, 6, 3, 3), [0, 5], axis=1)
    result = check_rewrite(PASS, network(text, first=normal(6, 3, 1, 1), bias=normal(6), last=last))
    assert result.graph[0].outputs[0].shape == (1, 4, 6, 5)


def residual(rows: list[int], others: list[int]) -> int:
    """How many channels are left of two branches that are added up."""
    text = """g (float[1,3,6,5] x) => (y) {
        a = Conv (x, first) s = Relu (a) b = Conv <pads = [1,1,1,1]> (s, inner) c = Add (a, b) t = Relu (c)
        y = Conv (t, last)
    }"""
    first, inner = masked(normal(6, 3, 1, 1), rows), masked(normal(6, 6, 3, 3), others)
    model = network(text, first=first, inner=inner, last=normal(4, 6, 1, 1))
    result = check_rewrite(PASS, model)
    shape = result.graph[3].outputs[0].shape
    assert shape is not None
    size = shape[1]
    assert isinstance(size, int)
    return size


def test_branches_of_an_addition_agree() -> None:
    assert residual([0, 1, 4], [0, 1, 4]) == 3
    assert residual([0, 1, 4], [1, 2]) == 5
    assert residual([0, 1], [2, 3]) == 6


def test_parts_of_a_concat_and_a_classifier() -> None:
    text = """g (float[2,3,6,5] x) => (y) {
        a = Conv (x, v) b = Conv (x, w) j = Concat <axis = 1> (a, x, b) c = Conv (j, u) p = GlobalAveragePool (c)
        f = Flatten (p) m = MatMul (f, k) y = Add (m, q)
    }"""
    model = network(
        text,
        v=masked(normal(4, 3, 1, 1), [0]),
        w=masked(normal(5, 3, 1, 1), [1, 2]),
        u=masked(normal(6, 12, 1, 1), [3, 4, 5]),
        k=normal(6, 2),
        q=normal(2),
    )
    result = check_rewrite(PASS, model)
    assert [tuple(node.outputs[0].shape or ()) for node in result.graph][:6] == [
        (2, 3, 6, 5),
        (2, 3, 6, 5),
        (2, 9, 6, 5),
        (2, 3, 6, 5),
        (2, 3, 1, 1),
        (2, 3),
    ]


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([0, 1]),
)
def test_any_mask(rows: list[list[int]], biases: list[bool], pad: int) -> None:
    size, pads = 2 * pad + 1, ",".join([str(pad)] * 4)
    text = f"""g (float[1,6,5,5] x) => (y) {{
        a = Conv <pads = [{pads}]> (x, w0, b0) r = Relu (a) d = Conv <group = 6, pads = [1,1,1,1]> (r, w1, b1)
        e = Conv <pads = [{pads}]> (d, w2, b2) s = Add (e, r) t = Sigmoid (s) j = Concat <axis = 1> (t, d)
        y = Conv <pads = [{pads}]> (j, w3, b3)
    }}"""
    shapes = ((6, 6, size, size), (6, 1, 3, 3), (6, 6, size, size), (3, 12, size, size))
    weights: dict[str, npt.ArrayLike] = {
        **{f"w{at}": masked(normal(*shape, seed=at), rows[at], axis=at == 3) for at, shape in enumerate(shapes)},
        **{
            f"b{at}": normal(shape[0], seed=at) if biases[at] or at == 3 else masked(normal(shape[0]), rows[at])
            for at, shape in enumerate(shapes)
        },
    }
    check_rewrite(PASS, network(text, **weights))


def test_one_channel_is_left() -> None:
    text = "g (float[1,3,6,5] x) => (y) { a = Conv (x, first) y = Conv (a, last) }"
    result = check_rewrite(PASS, network(text, first=np.zeros((6, 3, 1, 1)), last=normal(4, 6, 1, 1)))
    assert result.graph[0].outputs[0].shape == (1, 1, 6, 5)


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv (x, first) y = Conv <group = 2> (a, half)",
        "a = Conv (x, first) y = Softmax <axis = 1> (a)",
        "y = Conv (x, first)",
        "a = Conv (x, first) t = Transpose <perm = [0,2,3,1]> (a) y = Relu (t)",
        "a = Conv (x, first) t = Conv (a, last) y, z = Split <axis = 1> (a) w = Add (y, t)",
    ],
    ids=["groups", "softmax", "output", "transpose", "split"],
)
def test_what_needs_all_channels_stays(body: str) -> None:
    results = "y, w" if " w = " in body else "y"
    weights = {"first": masked(normal(6, 3, 1, 1), [1, 2]), "half": normal(4, 3, 1, 1), "last": normal(3, 6, 1, 1)}
    used = {name: array for name, array in weights.items() if f" {name})" in body}
    check_untouched(PASS, network(f"g (float[1,3,6,5] x) => ({results}) {{ {body} }}", **used))


def test_a_network_without_zeros_is_not_touched() -> None:
    text = "g (float[1,3,6,5] x) => (y) { a = Conv (x, first) y = Conv (a, last) }"
    model = network(text, first=normal(6, 3, 1, 1), last=normal(4, 6, 1, 1))
    check_untouched(PASS, model)
    assert operators(model) == ["Conv", "Conv"]


def test_an_activation_of_the_dialect_keeps_channels_apart() -> None:
    text = """g (float[2,3,6,5] x) => (y) {
        a = Conv (x, first) s = Softplus (a) h = Tanh (s) t = Mul (a, h) y = Conv (t, last)
    }"""
    model = network(text, first=masked(normal(6, 3, 1, 1), [0, 2]), last=normal(4, 6, 1, 1))
    model = RecognizeActivations()(model).model
    assert operators(model) == ["Conv", "Mish", "Conv"]
    assert multiplications(check_rewrite(PASS, model)) == 2 * 30 * (3 * 4 + 4 * 4)
