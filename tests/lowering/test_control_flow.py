"""If, Loop and Scan: written out where the way is known, else IF and WHILE, which need care."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.convert import convert_directly
from tests.conversion_cases import Array, Case, CaseRunner, floats

X, K = floats(2, 3), floats(2, 3)
TRUE = np.array(True)
NO_LIMIT = np.array(2**63 - 1)
YZ = ("y", "z")


UNTIL = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
    w = Add(v, one) q = ReduceMax<keepdims=0>(w) go = Less(q, limit) s = Neg(w) }>"""
BOUND = {"one": np.array(1, np.float32), "limit": np.array(6, np.float32)}


BRANCHES = """y = If(c) <
    then_branch = t () => (float[2,3] a) { a = Relu(x) },
    else_branch = e () => (float[n,3] b) { k = Neg(x) b = Concat<axis=0>(k, x) }>"""
ADDING = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
    go = Identity(on) w = Add(v, x) f = Cast<to=1>(i) s = Mul(w, f) }>"""
FOR_EVER = UNTIL.replace("Loop(m, c, x)", "Loop(, c, x)")
CONVOLVING = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[1,4,8,8] v) => (bool go, float[1,4,8,8] r) {
    go = Identity(on) k = Conv<pads=[1,1,1,1]>(v, w) l = Relu(k) r = Add(l, x) }>"""
GROWING = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[n,3] v) => (bool go, float[p,3] w) {
    go = Identity(on) w = Concat<axis=0>(v, x) }>"""
SCAN = """y, z = Scan <num_scan_inputs = 1, ATTRIBUTES body = b (float[3] s, float[3] e) => (float[3] t, float[3] o) {
    t = Add(s, e) o = Mul(t, e) }> (s, x)"""
AXES = "scan_input_axes = [1], scan_output_axes = [1], scan_input_directions = [1], scan_output_directions = [1],"

WEIGHTS = {"w": floats(4, 4, 3, 3) * 0.05}


def count(number: int) -> dict[str, Array]:
    return {"m": np.array(number, np.int64), "c": TRUE}


@pytest.mark.parametrize("taken", [True, False])
def test_branches(taken: bool, runner: CaseRunner) -> None:
    case = Case(BRANCHES, {"x": X}, {"c": np.array(taken)})
    assert "IF" not in runner.check(case)
    assert "IF" in runner.check(case.with_run_time("c"))


LOOPS = {
    "few rounds": (Case(ADDING, {"x": X}, count(5), outputs=YZ), False),
    "no round": (Case(ADDING, {"x": X}, count(0), outputs=YZ), False),
    "many rounds": (Case(ADDING, {"x": X}, count(300), outputs=YZ), True),
    "rounds at run time": (Case(ADDING, {"x": X}, count(4), outputs=YZ).with_run_time("m"), True),
    "condition at run time": (
        Case(ADDING, {"x": X}, {"m": np.array(4), "c": np.array(False)}, outputs=YZ).with_run_time("c"),
        True,
    ),
    "until": (Case(UNTIL, {"x": X}, {**count(50), **BOUND}, outputs=YZ), True),
    "no limit": (Case(FOR_EVER, {"x": X}, {"c": TRUE, **BOUND}, outputs=YZ), True),
    "growing": (Case(GROWING, {"x": X}, count(4)), False),
    "few convolutions": (Case(CONVOLVING, {"x": floats(1, 4, 8, 8)}, {**count(3), **WEIGHTS}), False),
    "convolutions": (Case(CONVOLVING, {"x": floats(1, 4, 8, 8)}, {**count(300), **WEIGHTS}), True),
    "few slices": (Case(SCAN.replace("ATTRIBUTES", ""), {"s": floats(3), "x": floats(4, 3)}, outputs=YZ), False),
    "slices": (Case(SCAN.replace("ATTRIBUTES", ""), {"s": floats(3), "x": floats(400, 3) * 0.1}, outputs=YZ), True),
    "slices of axes": (
        Case(SCAN.replace("ATTRIBUTES", AXES), {"s": floats(3), "x": floats(3, 400) * 0.1}, outputs=YZ),
        True,
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str, runner: CaseRunner) -> None:
    case, loops = LOOPS[name]
    assert ("WHILE" in runner.check(case)) == loops


def loop(signature: str, nodes: str) -> str:
    """A Loop over ``x`` and ``k`` whose body is told by its results and its nodes."""
    return f"""y, z = Loop(m, c, x, k) <
        body = b (int64 i, bool on, float[2,3] v, float[2,3] u) => (bool go, {signature}) {{
            go = Identity(on) {nodes} }}>"""


PAIR = "float[2,3] p, float[2,3] q"
HANDED_ON = {
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
@pytest.mark.parametrize("name", HANDED_ON)
def test_values_that_are_handed_on(name: str, rounds: int, runner: CaseRunner) -> None:
    body, inputs, constants = HANDED_ON[name]
    case = Case(body, {"x": X, "m": np.array(rounds), **inputs}, {"c": TRUE, **constants}, "WHILE", YZ)
    runner.check(case)


@pytest.mark.parametrize("at_run_time", [True, False])
def test_the_largest_number_of_rounds_is_no_limit(at_run_time: bool, direct: CaseRunner) -> None:
    case = Case(UNTIL, {"x": X}, {"m": NO_LIMIT, "c": TRUE, **BOUND}, "WHILE", YZ)
    direct.check(case.with_run_time("m") if at_run_time else case)


@pytest.mark.parametrize("rounds", [3, 200])
@pytest.mark.parametrize("dtype", ["double", "float16", "uint64", "bool", "int16", "int8", "int64"])
def test_types_that_are_carried_cut_and_stacked(dtype: str, rounds: int, direct: CaseRunner) -> None:
    body = f"""y, z = Scan<num_scan_inputs=1, body = b ({dtype}[3] s, {dtype}[3] e) => ({dtype}[3] t, {dtype}[3] o)
        {{ t = Identity(e) o = Identity(s) }}>(s, x)"""
    kind = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(dtype.upper()))
    x = (np.arange(3 * rounds).reshape(rounds, 3) % 2).astype(kind)
    direct.check(Case(body, {"s": x[0], "x": x}, outputs=YZ))


@pytest.mark.parametrize("taken", [True, False])
def test_branches_that_only_hand_on(taken: bool, direct: CaseRunner) -> None:
    body = """a = Exp(x) y, z = If(c) <
        then_branch = t () => (float[2,3] p, float[2,3] q) { p = Identity(x) q = Identity(x) },
        else_branch = e () => (float[2,3] r, float[2,3] s) { r = Identity(a) s = Identity(k) }>"""
    direct.check(Case(body, {"x": X, "c": np.array(taken)}, {"k": K}, "IF", YZ))


@pytest.mark.parametrize("taken", [True, False])
def test_branches_of_different_ranks(taken: bool, direct: CaseRunner) -> None:
    body = """a = If(c) <
        then_branch = t () => (float[2,3] p) { p = Relu(x) },
        else_branch = e () => (float[6] r) { n = Constant<value_ints=[-1]>() r = Reshape(x, n) }> y = Neg(a)"""
    direct.check(Case(body, {"x": X, "c": np.array(taken)}, operators="IF"))


def test_a_branch_in_a_loop(direct: CaseRunner) -> None:
    body = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
        go = Identity(on) r = Mod(i, two) e = Equal(r, zero) w = If(e) <
            then_branch = t () => (float[2,3] p) { p = Add(v, x) },
            else_branch = o () => (float[2,3] q) { q = Neg(v) }> s = Neg(w) }>"""
    inputs, constants = {"x": X, "m": np.array(5)}, {"c": TRUE, "two": np.array(2), "zero": np.array(0)}
    direct.check(Case(body, inputs, constants, "WHILE", YZ))


def test_a_loop_in_a_loop(direct: CaseRunner) -> None:
    body = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w) {
        go = Identity(on) n = Add(i, one) w = Loop(n, on, v) <
            body = d (int64 j, bool still, float[2,3] s) => (bool more, float[2,3] t) {
                more = Identity(still) f = Cast<to=1>(i) g = Mul(f, half) t = Add(s, g) }> }>"""
    constants = {"c": TRUE, "one": np.array(1), "half": np.array(0.5, np.float32)}
    direct.check(Case(body, {"x": X, "m": np.array(4)}, constants, "WHILE"))


def test_what_rounds_write_to_is_not_in_the_file(direct: CaseRunner) -> None:
    body = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[64] v) => (bool go, float[64] w, float[64] s) {
        go = Identity(on) w = Add(v, x) s = Neg(w) }>"""
    case = Case(body, {"x": floats(64)}, {"m": np.array(300), "c": TRUE}, "WHILE FILL", YZ)
    direct.check(case)
    assert (direct.directory / "model.tflite").stat().st_size < 300 * 64 * 4


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
