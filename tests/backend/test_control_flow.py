"""If, Loop, Scan and sequences: written out where the way is known, else IF and WHILE."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.handoff import Case, HandOff, floats

pytestmark = pytest.mark.tflite

X = floats(2, 3)
TRUE = np.array(True)

BRANCHES = """y = If(c) <
    then_branch = t () => (float[2,3] a) { a = Relu(x) },
    else_branch = e () => (float[n,3] b) { k = Neg(x) b = Concat<axis=0>(k, x) }>"""
ADDING = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
    go = Identity(on) w = Add(v, x) f = Cast<to=1>(i) s = Mul(w, f) }>"""
UNTIL = """y, z = Loop(m, c, x) <body = b (int64 i, bool on, float[2,3] v) => (bool go, float[2,3] w, float[2,3] s) {
    w = Add(v, one) q = ReduceMax<keepdims=0>(w) go = Less(q, limit) s = Neg(w) }>"""
FOR_EVER = UNTIL.replace("Loop(m, c, x)", "Loop(, c, x)")
CONVOLVING = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[1,4,8,8] v) => (bool go, float[1,4,8,8] r) {
    go = Identity(on) k = Conv<pads=[1,1,1,1]>(v, w) l = Relu(k) r = Add(l, x) }>"""
SWAPPING = """y, z = Loop(m, c, x, k) <body = b (int64 i, bool on, float[2,3] v, float[2,3] u)
    => (bool go, float[2,3] p, float[2,3] q) { go = Identity(on) p = Identity(u) q = Identity(v) }>"""
GROWING = """y = Loop(m, c, x) <body = b (int64 i, bool on, float[n,3] v) => (bool go, float[p,3] w) {
    go = Identity(on) w = Concat<axis=0>(v, x) }>"""
SCAN = """y, z = Scan <num_scan_inputs = 1, ATTRIBUTES body = b (float[3] s, float[3] e) => (float[3] t, float[3] o) {
    t = Add(s, e) o = Mul(t, e) }> (s, x)"""
AXES = "scan_input_axes = [1], scan_output_axes = [1], scan_input_directions = [1], scan_output_directions = [1],"

BOUND = {"one": np.float32(1), "limit": np.float32(6)}
YZ = ("y", "z")
WEIGHTS = {"w": floats(4, 4, 3, 3) * 0.05}


def count(number: int) -> dict[str, np.ndarray]:
    return {"m": np.array(number, np.int64), "c": TRUE}


@pytest.mark.parametrize("taken", [True, False])
def test_branches(taken: bool, hand_off: HandOff) -> None:
    case = Case(BRANCHES, {"x": X}, {"c": np.array(taken)})
    assert "IF" not in hand_off.check(case)
    assert "IF" in hand_off.check(case.with_run_time("c"))


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
    "values change places": (
        Case(SWAPPING, {"x": X, "k": floats(2, 3)}, count(3), outputs=YZ).with_run_time("m"),
        True,
    ),
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
def test_loops(name: str, hand_off: HandOff) -> None:
    case, loops = LOOPS[name]
    assert ("WHILE" in hand_off.check(case)) == loops


SEQUENCES = {
    "edited": Case(
        "a = Relu(x) s = SequenceConstruct(x, a) e = SequenceInsert(s, a, zero) d = SequenceErase(e, zero) "
        "z = SequenceLength(e) y = ConcatFromSequence<axis=0>(d)",
        {"x": X},
        {"zero": np.array(0)},
        "CONCATENATION",
        YZ,
    ),
    "cut in pieces of one": Case(
        "s = SplitToSequence<axis=0, keepdims=0>(x) y = ConcatFromSequence<axis=1, new_axis=1>(s) z = SequenceAt(s, p)",
        {"x": floats(6, 3)},
        {"p": np.array(-1)},
        "UNPACK PACK",
        YZ,
    ),
    "cut in pieces": Case(
        "s = SplitToSequence<axis=0>(x, k) z = SequenceAt(s, three) t = SplitToSequence<axis=0>(x, sizes) "
        "o = SequenceErase(t) y = SequenceAt(o, p)",
        {"x": floats(7, 3), "p": np.array(-1)},
        {"k": np.array(2), "three": np.array(3), "sizes": np.array([2, 2, 2, 1])},
        "SPLIT_V GATHER",
        YZ,
    ),
    "grown in a loop": Case(
        "e = SequenceEmpty() s = Loop(m, c, e) <body = b (int64 i, bool on, seq(float[2,3]) v) "
        "=> (bool go, seq(float[2,3]) w) { go = Identity(on) f = Cast<to=1>(i) k = Mul(x, f) "
        "w = SequenceInsert(v, k) }> "
        "y = ConcatFromSequence<axis=0, new_axis=1>(s)",
        {"x": X},
        count(4),
        "PACK",
    ),
    "optional": Case(
        "o = Optional(x) z = OptionalHasElement(o) e = OptionalGetElement(o) y = Relu(e)", {"x": X}, outputs=YZ
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_leave_no_trace(name: str, hand_off: HandOff) -> None:
    hand_off.check(SEQUENCES[name])


def test_branches_that_yield_sequences_of_different_lengths_are_refused(hand_off: HandOff) -> None:
    body = """s = If(c) <
        then_branch = t () => (seq(float[2,3]) a) { a = SequenceConstruct(x, x) },
        else_branch = e () => (seq(float[2,3]) b) { b = SequenceConstruct(x) }>
        y = ConcatFromSequence<axis=0>(s)"""
    case = Case(body, {"x": X, "c": TRUE})
    with pytest.raises(UnsupportedOperatorError, match=r"node s \(If, opset 18\): its branches"):
        hand_off.check(case)


def test_a_sequence_for_an_output_is_refused(hand_off: HandOff) -> None:
    with pytest.raises(UnsupportedOperatorError, match="output y is a sequence or an optional"):
        hand_off.convert(Case("y = SequenceConstruct(x, x)", {"x": X}), [X])
