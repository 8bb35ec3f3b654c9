"""What moves no bytes although it looks as if it must: each mechanism by itself, judged by ONNX Runtime."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.options import Io, Objective
from layoutopt.passes import EliminateDeadCode, ExpandProducts, PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import PassManager
from tests.harness import check_equal, check_pass, check_valid, model_of, total_bytes, transposes

FEWEST_BYTES = default_pipeline(PropagateLayout(objective=Objective.BYTES))


def floats(name: str, *shape: int) -> str:
    """The text of an initializer in which no two elements are alike."""
    values = np.random.default_rng(prod(shape)).permutation(prod(shape)) / 97 - 1.1
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(f'{value:.4f}' for value in values)}}}"


def ints(name: str, *values: int) -> str:
    return f"int64[{len(values)}] {name} = {{{', '.join(map(str, values))}}}"


CONVS = f"{floats('w', 8, 3, 1, 1)}, {floats('v', 4, 8, 3, 3)}, {floats('d', 8, 1, 3, 3)}, {floats('b', 8)}"
SHUFFLE = f"{ints('cut', 2, 2, 4, 6, 6)}, {ints('join', 2, 8, 6, 6)}"
SHUFFLED = "r = Reshape (s, cut) p = Transpose <perm = [0, 2, 1, 3, 4]> (r) u = Reshape (p, join)"

FREE = {
    "flatten and a linear layer": f"""(float[2,3,6,6] x) => (float[2,10] y)
        <{CONVS}, {floats("m", 10, 288)}, {floats("c", 10)}> {{
        t = Conv (x, w, b) f = Flatten (t) y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (f, m, c) }}""",
    "a channel shuffle between convolutions": f"""(float[2,3,6,6] x) => (float[2,4,4,4] y) <{CONVS}, {SHUFFLE}> {{
        s = Conv (x, w, b) {SHUFFLED} y = Conv (u, v) }}""",
    "a channel shuffle behind a depthwise convolution": f"""(float[2,3,6,6] x) => (float[2,4,4,4] y)
        <{CONVS}, {SHUFFLE}> {{
        t = Conv (x, w) s = Conv <group = 8, pads = [1, 1, 1, 1]> (t, d, b) {SHUFFLED} a = Relu (u)
        y = Conv (a, v) }}""",
    "a channel shuffle that pools, resizes and broadcasts": f"""(float[2,3,6,6] x) => (float[2,4,4,4] y)
        <{CONVS}, {SHUFFLE}, float[8,1,1] k = {{1, 2, 3, 4, 5, 6, 7, 8}}, float[4] z = {{1, 1, 2, 2}}> {{
        s = Conv (x, w, b) {SHUFFLED} a = Mul (u, k)
        q = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
        g = GlobalAveragePool (q) h = Mul (q, g)
        i = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (h, "", z)
        y = Conv (i, v) }}""",
    "a channel shuffle before a transposed convolution": f"""(float[2,3,6,6] x) => (float[2,5,7,7] y)
        <{CONVS}, {SHUFFLE}, {floats("t2", 8, 5, 2, 2)}, {floats("c", 5)}> {{
        s = Conv (x, w, b) {SHUFFLED} y = ConvTranspose (u, t2, c) }}""",
    "pixel shuffle": f"""(float[2,3,6,6] x) => (float[2,2,10,10] y) <{CONVS}, {floats("e", 2, 2, 3, 3)}> {{
        t = Conv (x, w, b) u = DepthToSpace <blocksize = 2, mode = "CRD"> (t) y = Conv (u, e) }}""",
    "depth to space and back": f"""(float[2,3,6,6] x) => (float[2,4,4,4] y) <{CONVS}> {{
        t = Conv (x, w, b) u = DepthToSpace <blocksize = 2> (t) r = Relu (u) s = SpaceToDepth <blocksize = 2> (r)
        y = Conv (s, v) }}""",
    "a distribution over distances": f"""(float[2,3,6,6] x) => (float[2,4,36] y)
        <{floats("w", 64, 3, 1, 1)}, {ints("cut", 2, 4, 16, 36)}, {ints("join", 2, 4, 36)},
         {floats("bins", 1, 16, 1, 1)}> {{
        t = Conv (x, w) r = Reshape (t, cut) p = Transpose <perm = [0, 2, 1, 3]> (r) s = Softmax <axis = 1> (p)
        c = Conv (s, bins) y = Reshape (c, join) }}""",
    "patches as rows": f"""(float[2,3,6,6] x) => (float[2,36,5] y)
        <{CONVS}, {ints("flat", 2, 8, 36)}, {floats("m", 8, 5)}, {floats("c", 5)}> {{
        t = Conv (x, w, b) r = Reshape (t, flat) p = Transpose <perm = [0, 2, 1]> (r) q = MatMul (p, m)
        y = Add (q, c) }}""",
    "rows in any order": f"""(float[2,6,5,8] x) => (float[2,6,5,4] y) <{floats("m", 8, 7)}, {floats("n", 7, 4)}> {{
        p = Transpose <perm = [1, 0, 2, 3]> (x) q = MatMul (p, m) r = Relu (q) t = MatMul (r, n)
        y = Transpose <perm = [1, 0, 2, 3]> (t) }}""",
    "keys transposed": """(float[2,3,6,8] x, float[2,3,5,8] k) => (float[2,3,6,5] y) {
        t = Transpose <perm = [0, 1, 3, 2]> (k) y = MatMul (x, t) }""",
    "a product transposed": """(float[2,3,6,8] x, float[2,3,5,8] k) => (float[2,3,5,6] y) {
        t = Transpose <perm = [0, 1, 3, 2]> (k) p = MatMul (x, t) y = Transpose <perm = [0, 1, 3, 2]> (p) }""",
    "an einsum of queries and keys": """(float[2,3,6,8] q, float[2,3,5,8] k) => (float[2,3,6,5] y) {
        y = Einsum <equation = "bhid,bhjd->bhij"> (q, k) }""",
    "weights by a column of the picture": f"""(float[2,6,5,8] x) => (float[2,6,5,3] y) <{floats("r", 5, 3, 8)}> {{
        y = Einsum <equation = "bhwc,wkc->bhwk"> (x, r) }}""",
    "weights by a column, transposed": f"""(float[2,6,5,8] x) => (float[2,6,3,5] y) <{floats("r", 5, 8, 3)}> {{
        z = Einsum <equation = "bhwc,wck->bhwk"> (x, r) y = Transpose <perm = [0, 1, 3, 2]> (z) }}""",
    "weights by two axes apart": f"""(float[2,3,4,8] x) => (float[2,3,4,7] y) <{floats("r", 2, 4, 8, 7)}> {{
        y = Einsum <equation = "abcd,acdz->abcz"> (x, r) }}""",
    "heads first": f"""(float[1,16,24] x) => (float[3,1,2,16,16] y)
        <{floats("m", 24, 96)}, {ints("cut", 1, 16, 3, 2, 16)}> {{
        q = MatMul (x, m) r = Reshape (q, cut) y = Transpose <perm = [2, 0, 3, 1, 4]> (r) }}""",
}


@pytest.mark.parametrize("name", FREE)
def test_nothing_is_moved(name: str) -> None:
    model = model_of(f"g {FREE[name]}")
    result = PassManager(FEWEST_BYTES).run(model_of(f"g {FREE[name]}"))
    check_valid(ir.to_proto(result.model))
    check_equal(model, result.model)
    assert result.assignment is not None
    assert (transposes(result.model), result.assignment.cost) == (0, 0)
    assert result.assignment.proved_optimal


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("io", Io)
def test_each_keeps_the_contract(name: str, io: Io) -> None:
    expanded = PassManager((ExpandProducts(), EliminateDeadCode())).run(model_of(f"g {FREE[name]}")).model
    check_pass(PropagateLayout(io=io), expanded)


ATTENTION = f"""g (float[2,16,48] x) => (float[2,16,48] y)
    <{floats("m", 48, 144)}, {floats("c", 144)}, {floats("o", 48, 48)}, {ints("cut", 2, 16, 3, 3, 16)},
     {ints("join", 2, 16, 48)}, {ints("axes", 0)}> {{
    a = MatMul (x, m) b = Add (a, c) r = Reshape (b, cut) t = Transpose <perm = [2, 0, 3, 1, 4]> (r)
    q0, k0, v0 = Split <axis = 0, num_outputs = 3> (t)
    q = Squeeze (q0, axes) k = Squeeze (k0, axes) v = Squeeze (v0, axes)
    kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) p = Softmax (s) h = MatMul (p, v)
    j = Transpose <perm = [0, 2, 1, 3]> (h) f = Reshape (j, join) y = MatMul (f, o) }}"""


def test_attention_moves_nothing() -> None:
    """Weights emit heads first, keys are read transposed, and the last product takes its columns before its rows."""
    result = PassManager(FEWEST_BYTES).run(model_of(ATTENTION, opset=18))
    check_equal(model_of(ATTENTION, opset=18), result.model)
    assert (transposes(result.model), total_bytes(result.model)) == (0, 0)


WINDOWS = f"""g (float[1,8,8,48] x) => (float[1,8,8,48] y)
    <{floats("m", 48, 96)}, {floats("o", 48, 48)}, {ints("cut", 1, 2, 4, 2, 4, 48)}, {ints("rows", 4, 16, 48)},
     {ints("heads", 4, 16, 2, 3, 16)}, {ints("join", 4, 16, 48)}, {ints("back", 1, 2, 2, 4, 4, 48)},
     {ints("whole", 1, 8, 8, 48)}, {ints("axes", 0)}> {{
    r = Reshape (x, cut) t = Transpose <perm = [0, 1, 3, 2, 4, 5]> (r) w = Reshape (t, rows)
    a = MatMul (w, m) h = Reshape (a, heads) u = Transpose <perm = [2, 0, 3, 1, 4]> (h)
    q0, k0 = Split <axis = 0, num_outputs = 2> (u) q = Squeeze (q0, axes) k = Squeeze (k0, axes)
    kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) p = Softmax (s) c = MatMul (p, q)
    j = Transpose <perm = [0, 2, 1, 3]> (c) f = Reshape (j, join) g0 = MatMul (f, o)
    b = Reshape (g0, back) i = Transpose <perm = [0, 1, 3, 2, 4, 5]> (b) y = Reshape (i, whole) }}"""


def test_windows_are_cut_once_and_joined_once() -> None:
    """One copy cuts the windows, one joins heads and windows together."""
    result = PassManager(FEWEST_BYTES).run(model_of(WINDOWS, opset=18))
    check_equal(model_of(WINDOWS, opset=18), result.model)
    assert (transposes(result.model), total_bytes(result.model)) == (2, 2 * 8 * 8 * 48 * 4)


HEADS = f"""g (float[1,3,8,8] x) => (float[1,60,7] y)
    <{floats("w", 21, 3, 2, 2)}, {floats("v", 21, 3, 4, 4)}, {ints("fine", 1, 3, 7, 4, 4)}, {ints("flat", 1, -1, 7)},
     {ints("coarse", 1, 3, 7, 2, 2)}> {{
    s = Conv <strides = [2, 2]> (x, w) sr = Reshape (s, fine) st = Transpose <perm = [0, 1, 3, 4, 2]> (sr)
    sa = Sigmoid (st) sf = Reshape (sa, flat)
    t = Conv <strides = [4, 4]> (x, v) tr = Reshape (t, coarse) tt = Transpose <perm = [0, 1, 3, 4, 2]> (tr)
    ta = Sigmoid (tt) tf = Reshape (ta, flat)
    y = Concat <axis = 1> (sf, tf) }}"""


def test_heads_of_a_detector_are_reshaped_before_and_behind() -> None:
    """The anchors are put apart before the copy, which keeps the batch, and every part is flat before it is joined."""
    result = PassManager(FEWEST_BYTES).run(model_of(HEADS))
    check_equal(model_of(HEADS), result.model)
    assert (transposes(result.model), total_bytes(result.model)) == (2, 60 * 7 * 4)
    shapes = [tuple(node.outputs[0].shape or ()) for node in result.model.graph if node.op_type == "Reshape"]
    assert sorted(shapes) == [(1, 2, 2, 3, 7), (1, 4, 4, 3, 7), (1, 12, 7), (1, 48, 7)]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = Conv <group = 2> (u, g)", "the groups would mix"),
        ("n = Conv (u, k) y = Relu (n)", "the weights are computed"),
        ("y = Identity (u)", "the order of an output is its own"),
    ],
)
def test_an_order_that_nobody_absorbs_is_copied(body: str, why: str) -> None:
    text = f"""g (float[2,3,6,6] x, float[4,8,1,1] k) => (float y)
        <{CONVS}, {SHUFFLE}, {floats("g", 4, 4, 1, 1)}> {{
        l = Conv (x, w, b) s = Conv <group = 4, pads = [1, 1, 1, 1]> (l, e) {SHUFFLED} {body} }}"""
    text = text.replace(SHUFFLE, f"{SHUFFLE}, {floats('e', 8, 2, 3, 3)}")
    result = PassManager(FEWEST_BYTES).run(model_of(text))
    check_equal(model_of(text), result.model)
    assert transposes(result.model) == 1, why
