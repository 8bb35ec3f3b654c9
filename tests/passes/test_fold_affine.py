"""Constant factors and terms go into weights where that is right; ONNX Runtime says so in every case."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from layoutopt.passes import FoldAffine
from tests.harness import check_golden, check_pass, in_type, model_of

WEIGHTS = """float[4,3,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5, 0.25, 2}, float[4] b = {1, 2, -1, 0.5},
    float[4,1,1] f = {2, -3, 0.5, 0.1}, float[4,1,1] t = {0.5, 2, -7, 3}, float[4,1,1] p = {2, 3, 0.5, 0.1},
    float[1,4,1,1] v = {1, -2, 3, 4}, float[1,2,3,3] g = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0.3},
    float two = {2}, float zero = {0}, float tiny = {1e-39}, float[1,1,1,6] row = {1, 2, 3, 4, 5, 6},
    float[4,2,2,2] d = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7,
    1}"""


def operators(text: str) -> list[str]:
    """What the pass leaves of a graph, in the order of the nodes; its contract is checked."""
    return [node.op_type for node in check_pass(FoldAffine(), model_of(text)).model.graph]


@pytest.mark.parametrize("case", ["above", "below", "attention"])
def test_golden(case: str) -> None:
    check_golden(FoldAffine(), f"fold_affine.{case}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # above
        ("c = Conv (x, w) y = Mul (c, f)", ["Conv"]),
        ("c = Conv (x, w, b) m = Div (c, f) y = Add (t, m)", ["Conv"]),
        ("c = Conv (x, w, b) s = Sub (c, t) y = Mul (two, s)", ["Conv"]),
        ("c = Conv (x, w) r = Relu (c) y = Mul (r, p)", ["Conv", "Relu"]),
        ("c = Conv (x, w) r = Relu (c) y = Mul (r, f)", ["Conv", "Relu", "Mul"]),
        ("c = Conv (x, w) r = Relu (c) y = Add (r, t)", ["Conv", "Relu", "Add"]),
        ("c = Conv (x, w) y = Sub (two, c)", ["Conv", "Sub"]),
        ("c = Conv (x, w) y = Mul (c, row)", ["Conv", "Mul"]),
        ("c = Conv (x, w) m = Mul (c, f) y = Add (m, c)", ["Conv", "Mul", "Add"]),
        ("c = Conv (x, w) y = Div (c, tiny)", ["Conv", "Div"]),
        ("r = Relu (x) m = Mul (r, two) y = Mul (m, row)", ["Relu", "Mul"]),
        (
            "c = Conv (x, w) r = Relu (c) k = ConvTranspose <group = 2> (r, d) y = Mul (k, v)",
            ["Conv", "Relu", "ConvTranspose"],
        ),
        # below
        ("r = Relu (x) m = Mul (r, two) y = Conv (m, w)", ["Relu", "Conv"]),
        ("r = Relu (x) a = Add (r, two) y = Conv (a, w, b)", ["Relu", "Conv"]),
        ("r = Relu (x) a = Add (r, two) y = Conv <pads = [1, 1, 1, 1]> (a, w)", ["Relu", "Add", "Conv"]),
        ('r = Relu (x) a = Add (r, two) y = Conv <auto_pad = "SAME_UPPER"> (a, w)', ["Relu", "Add", "Conv"]),
        ("r = Relu (x) m = Mul (r, two) y = Conv <pads = [1, 1, 1, 1]> (m, w)", ["Relu", "Conv"]),
        ("r = Relu (x) m = Mul (r, two) y = Conv (m, w) z = Conv (m, w)", ["Relu", "Conv", "Conv"]),
        ("r = Relu (x) m = Mul (r, two) y = Conv (m, w) z = Neg (m)", ["Relu", "Mul", "Conv", "Neg"]),
        ("c = Sigmoid (x) m = Mul (x, c) s = Mul (m, two) y = Conv (s, w)", ["Sigmoid", "Mul", "Mul", "Conv"]),
        ("r = Abs (x) m = Mul (r, two) a = Add (m, row) y = Conv (a, w)", ["Abs", "Add", "Conv"]),
        ("r = Relu (x) m = Mul (r, zero) y = Conv (m, w)", ["Relu", "Mul", "Conv"]),
    ],
)
def test_what_is_left(body: str, expected: list[str]) -> None:
    outputs = "float y, float z" if " z = " in body else "float y"
    assert operators(f"g (float[1,3,4,6] x) => ({outputs}) <{WEIGHTS}> {{ {body} }}") == expected


MATRICES = """float[4,6] m = {1, 2, 3, 4, 5, 6, 2, 2, 3, 4, 5, 1, 3, 2, 3, 4, 5, 2, 4, 2, 3, 4, 5, 3},
    float[6] c = {1, -2, 3, 0.5, 5, 6}, float[4] g = {1, 2, -3, 0.5}, float[4] h = {3, 2, 1, 5}, float s = {0.25},
    int64[3] three = {2, 2, 2},
    int64[3] shape = {5, 3, 2}, int64 i0 = {0}, int64 i1 = {1}, float[1,5,1] rows = {1, 2, 3, 4, 5}"""
PRODUCT = "k = MatMul (x, m) a = Add (k, c)"
CUT = "r = Reshape (a, shape) q = Gather <axis = 1> (r, i0) l = Gather <axis = 1> (r, i1)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{PRODUCT} y = Mul (a, s)", ["MatMul", "Add"]),
        (f"{PRODUCT} n = Transpose <perm = [0, 2, 1]> (a) y = Mul (n, s)", ["MatMul", "Add", "Transpose"]),
        (f"{PRODUCT} y = Mul (a, rows)", ["MatMul", "Add", "Mul"]),
        (f"{PRODUCT} {CUT} j = Mul (q, s) y = Neg (j)", ["MatMul", "Add", "Reshape", "Gather", "Gather", "Neg"]),
        (
            f"{PRODUCT} r = Reshape (a, shape) q = Gather <axis = 1> (r, i0) o = Add (q, q) j = Mul (q, s) "
            "y = Add (j, o)",
            ["MatMul", "Add", "Reshape", "Gather", "Add", "Mul", "Add"],
        ),
        (
            f"{PRODUCT} r = Reshape (a, shape) q = Gather <axis = 1> (r, i0) j = Mul (q, s) z = Neg (r) y = Neg (j)",
            ["MatMul", "Add", "Reshape", "Gather", "Mul", "Neg", "Neg"],
        ),
        (
            f"{PRODUCT} l, o, q = Split <axis = 2> (a, three) j = Mul (o, s) y = Concat <axis = 2> (l, j, q)",
            ["MatMul", "Add", "Split", "Concat"],
        ),
        (
            f"{PRODUCT} n = Transpose <perm = [0, 2, 1]> (a) j = MatMul (a, n) y = Mul (j, s)",
            ["MatMul", "Add", "Transpose", "MatMul", "Mul"],
        ),
        (
            f"{PRODUCT} o = Relu (x) n = Transpose <perm = [0, 2, 1]> (o) j = MatMul (n, a) y = Mul (j, s)",
            ["MatMul", "Add", "Relu", "Transpose", "MatMul"],
        ),
        ("n = LayerNormalization (x, g, h) k = MatMul (n, m) y = Add (k, c)", ["LayerNormalization", "MatMul", "Add"]),
        ("n = LayerNormalization (x, g, h) y = MatMul (n, m)", ["LayerNormalization", "MatMul", "Add"]),
        ("n = Relu (x) l = Mul (n, g) j = Add (l, h) k = MatMul (j, m) y = Add (k, c)", ["Relu", "MatMul", "Add"]),
        ("n = Relu (x) j = Add (n, rows) y = MatMul (j, m)", ["Relu", "Add", "MatMul"]),
    ],
)
def test_matrices(body: str, expected: list[str]) -> None:
    outputs = "float y, float z" if " z = " in body else "float y"
    assert operators(f"g (float[1,5,4] x) => ({outputs}) <{MATRICES}> {{ {body} }}") == expected


def scale_and_shift(model: ir.Model) -> tuple[list[float], int]:
    (node,) = (node for node in model.graph if node.op_type == "LayerNormalization")
    scale = node.inputs[1]
    assert scale is not None
    assert scale.const_value is not None
    return scale.const_value.numpy().tolist(), len(node.inputs)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = MatMul (n, m)", ([1, 1, 1, 1], 2)),
        ("j = MatMul (n, m) o = MatMul (n, m) y = Add (j, o)", ([1, 1, 1, 1], 2)),
        ("t = Transpose <perm = [1, 0, 2]> (n) y = MatMul (t, m)", ([1, 1, 1, 1], 2)),
        ("t = Transpose <perm = [0, 2, 1]> (n) y = MatMul (m, t)", ([1, 2, -3, 0.5], 3)),
        ("j = MatMul (n, m) o = Neg (n) y = Add (j, j) z = Neg (o)", ([1, 2, -3, 0.5], 3)),
    ],
)
def test_scale_and_shift_of_a_normalization(body: str, expected: tuple[list[float], int]) -> None:
    outputs = "float y, float z" if " z = " in body else "float y"
    matrices = MATRICES if "(m, t)" not in body else MATRICES.replace("float[4,6] m", "float[6,4] m")
    text = f"g (float[1,5,4] x) => ({outputs}) <{matrices}> {{ n = LayerNormalization (x, g, h) {body} }}"
    assert scale_and_shift(check_pass(FoldAffine(), model_of(text)).model) == expected


ATTENTION = """k = MatMul (x, w4) ka = Add (k, b4) kt = Transpose <perm = [0, 2, 1]> (ka)
    v = MatMul (x, u4) va = Add (v, h) q = Abs (x) s = MatMul (q, kt)"""
SQUARES = """float[4,4] w4 = {1, 2, 0.3, 4, 0.5, 6, 0.2, 2, 3, 4, 5, 1, 0.3, 2, 3, 4}, float[4] b4 = {1, -2, 3, 0.5},
    float[4,4] u4 = {2, 1, 0.3, 4, 0.5, 6, 0.7, 2, 3, 4, 0.1, 1, 0.3, 2, 3, 4}, float[4] h = {3, 2, 1, 5},
    float[1,5,5] mask = {0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0}, float two = {2}"""


@pytest.mark.parametrize(
    ("body", "additions"),
    [
        ("p = Softmax <axis = -1> (s) o = MatMul (p, va) y = MatMul (o, u4)", 1),  # v's, behind the last product
        ("r = Add (s, mask) p = Softmax <axis = 2> (r) o = MatMul (p, va) y = MatMul (o, u4)", 2),
        ("p = Softmax <axis = 1> (s) o = MatMul (p, va) y = MatMul (o, u4)", 2),  # sums of columns are not 1
        ("p = Softmax <axis = -1> (s) o = MatMul (p, va) y = Relu (o)", 1),  # no weights behind
        ("r = Relu (s) p = Softmax <axis = -1> (r) o = MatMul (p, va) y = MatMul (o, u4)", 2),
    ],
)
def test_what_is_added_to_keys_and_values(body: str, additions: int) -> None:
    found = operators(f"g (float[1,5,4] x) => (float y) <{SQUARES}> {{ {ATTENTION} {body} }}")
    assert found.count("Add") == additions


def test_what_is_not_known_stays() -> None:
    text = f"g (float[N,3,4,6] x) => (float[N,4,4,6] y) <{WEIGHTS}> {{ c = Conv (x, w) y = Mul (c, f) }}"
    assert not check_pass(FoldAffine(), model_of(text), execute=False).modified


def test_weights_that_a_caller_can_set_stay() -> None:
    model = model_of(f"g (float[1,3,4,6] x) => (float y) <{WEIGHTS}> {{ c = Conv (x, w) y = Mul (c, f) }}")
    model.graph.inputs.append(model.graph.initializers["w"])
    assert not check_pass(FoldAffine(), model).modified


SCALED = (
    "g (float[2,3] x) => (float[2,2] y) <float[3,2] w = {1,2,3,4,5,6}, float k = {K}> "
    "{ m = MatMul (x, w) y = Mul (m, k) }"
)


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
def test_halves_are_folded_as_float32_is(dtype: ir.DataType) -> None:
    result = FoldAffine()(in_type(model_of(SCALED.replace("{K}", "{0.5}")), dtype)).model
    assert [node.op_type for node in result.graph] == ["MatMul"]
    weight = result.graph[0].inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    assert weight.const_value.dtype is dtype
    assert weight.const_value.numpy().astype(float).tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]


def test_a_product_that_halves_cannot_hold_is_not_folded() -> None:
    text = SCALED.replace("{1,2,3,4,5,6}", "{0.0011,0.0021,0.0013,0.0014,0.0017,0.0019}").replace("{K}", "{0.0003}")
    tiny = in_type(model_of(text), ir.DataType.FLOAT16)
    assert not FoldAffine()(tiny).modified
