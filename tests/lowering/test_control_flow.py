"""If, Loop and Scan where LiteRT's IF and WHILE need care: values handed on, types, limits, bodies in bodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.convert import convert_directly
from tests.handoff import Case, HandOff, floats

pytestmark = pytest.mark.tflite

X, K = floats(2, 3), floats(2, 3)
TRUE = np.array(True)
NO_LIMIT = np.array(2**63 - 1)
YZ = ("y", "z")


def loop(signature: str, nodes: str) -> str:
    """A Loop over ``x`` and ``k`` whose body is told by its results and its nodes."""
    return f"""y, z = Loop(m, c, x, k) <
        body = b (int64 i, bool on, float[2,3] v, float[2,3] u) => (bool go, {signature}) {{
            go = Identity(on) {nodes} }}>"""


UNTIL = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
    w = Add(v, one) q = ReduceMax<keepdims=0>(w) go = Less(q, limit) s = Neg(w) }>"""
BOUND = {"one": np.array(1, np.float32), "limit": np.array(6, np.float32)}
PAIR = "float[2,3] p, float[2,3] q"

LOOPS = {
    "values change places": (loop(PAIR, "p = Identity(u) q = Identity(v)"), {"k": K}, {}),
    "reshaped values change places": (
        """y, z = Loop(m, c, x, l) <body = b (int64 i, bool on, float[2,3] v, float[6] u)
            => (bool go, float[2,3] p, float[6] q) { go = Identity(on) p = Reshape(u, s) q = Reshape(v, r) }>""",
        {"l": floats(6)},
        {"s": np.array([2, 3]), "r": np.array([6])},
    ),
    "one value twice": (loop(PAIR, "p = Add(u, v) q = Identity(p)"), {"k": K}, {}),
    "a value stays": (loop(PAIR, "p = Add(u, v) q = Identity(u)"), {"k": K}, {}),
    "a constant is carried": (loop(PAIR, "p = Add(u, v) q = Identity(l)"), {}, {"k": K, "l": floats(2, 3)}),
}


@pytest.mark.parametrize("rounds", [0, 3, 4])
@pytest.mark.parametrize("name", LOOPS)
def test_values_that_are_handed_on(name: str, rounds: int, tmp_path: Path) -> None:
    body, inputs, constants = LOOPS[name]
    case = Case(body, {"x": X, "m": np.array(rounds), **inputs}, {"c": TRUE, **constants}, "WHILE", YZ)
    HandOff(tmp_path).check(case)


@pytest.mark.parametrize("at_run_time", [True, False])
def test_the_largest_number_of_rounds_is_no_limit(at_run_time: bool, tmp_path: Path) -> None:
    case = Case(UNTIL, {"x": X}, {"m": NO_LIMIT, "c": TRUE, **BOUND}, "WHILE", YZ)
    HandOff(tmp_path).check(case.with_run_time("m") if at_run_time else case)


@pytest.mark.parametrize("rounds", [3, 200])
@pytest.mark.parametrize("dtype", ["double", "float16", "uint64", "bool", "int16", "int8", "int64"])
def test_types_that_are_carried_cut_and_stacked(dtype: str, rounds: int, tmp_path: Path) -> None:
    body = f"""y, z = Scan<num_scan_inputs=1, body = b ({dtype}[3] s, {dtype}[3] e) => ({dtype}[3] t, {dtype}[3] o)
        {{ t = Identity(e) o = Identity(s) }}>(s, x)"""
    kind = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(dtype.upper()))
    x = (np.arange(3 * rounds).reshape(rounds, 3) % 2).astype(kind)
    HandOff(tmp_path).check(Case(body, {"s": x[0], "x": x}, outputs=YZ))


@pytest.mark.parametrize("taken", [True, False])
def test_branches_that_only_hand_on(taken: bool, tmp_path: Path) -> None:
    body = """a = Exp(x) y, z = If(c) <
        then_branch = t () => (float[2,3] p, float[2,3] q) { p = Identity(x) q = Identity(x) },
        else_branch = e () => (float[2,3] r, float[2,3] s) { r = Identity(a) s = Identity(k) }>"""
    HandOff(tmp_path).check(Case(body, {"x": X, "c": np.array(taken)}, {"k": K}, "IF", YZ))


@pytest.mark.parametrize("taken", [True, False])
def test_branches_of_different_ranks(taken: bool, tmp_path: Path) -> None:
    body = """a = If(c) <
        then_branch = t () => (float[2,3] p) { p = Relu(x) },
        else_branch = e () => (float[6] r) { n = Constant<value_ints=[-1]>() r = Reshape(x, n) }> y = Neg(a)"""
    HandOff(tmp_path).check(Case(body, {"x": X, "c": np.array(taken)}, operators="IF"))


def test_a_branch_in_a_loop(tmp_path: Path) -> None:
    body = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
        go = Identity(on) r = Mod(i, two) e = Equal(r, zero) w = If(e) <
            then_branch = t () => (float[2,3] p) { p = Add(v, x) },
            else_branch = o () => (float[2,3] q) { q = Neg(v) }> s = Neg(w) }>"""
    inputs, constants = {"x": X, "m": np.array(5)}, {"c": TRUE, "two": np.array(2), "zero": np.array(0)}
    HandOff(tmp_path).check(Case(body, inputs, constants, "WHILE", YZ))


def test_a_loop_in_a_loop(tmp_path: Path) -> None:
    body = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w) {
        go = Identity(on) n = Add(i, one) w = Loop(n, on, v) <
            body = d (int64 j, bool still, float[2,3] s) => (bool more, float[2,3] t) {
                more = Identity(still) f = Cast<to=1>(i) g = Mul(f, half) t = Add(s, g) }> }>"""
    constants = {"c": TRUE, "one": np.array(1), "half": np.array(0.5, np.float32)}
    HandOff(tmp_path).check(Case(body, {"x": X, "m": np.array(4)}, constants, "WHILE"))


def test_what_rounds_write_to_is_not_in_the_file(tmp_path: Path) -> None:
    body = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[64] v) => (bool go, float[64] w, float[64] s) {
        go = Identity(on) w = Add(v, x) s = Neg(w) }>"""
    case = Case(body, {"x": floats(64)}, {"m": np.array(300), "c": TRUE}, "WHILE FILL", YZ)
    HandOff(tmp_path).check(case)
    assert (tmp_path / "model.tflite").stat().st_size < 300 * 64 * 4


@pytest.mark.parametrize("constant", [True, False])
def test_weights_of_a_body_are_written_once(constant: bool, tmp_path: Path) -> None:
    weights = onnx.numpy_helper.from_array(floats(128, 128), "w")
    body = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[2,128] v) => (bool go, float[2,128] r) {
        go = Identity(on) r = MatMul(v, w) }>"""
    model = Case(body, {"x": floats(2, 128)}, {"m": np.array(5), "c": TRUE}).model()
    graph = model.graph.node[0].attribute[0].g
    if constant:
        graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=weights))
    else:
        graph.initializer.append(weights)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 128]))
    convert_directly(ir.from_proto(model), tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").stat().st_size < 1.2 * 128 * 128 * 4
