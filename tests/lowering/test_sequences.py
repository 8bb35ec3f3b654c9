"""Sequences and optional values, of which no trace is left."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Case, CaseRunner, floats

X = floats(2, 3)
TRUE = np.array(True)
YZ = ("y", "z")

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
        {"m": np.array(4), "c": TRUE},
        "PACK",
    ),
    "optional": Case(
        "o = Optional(x) z = OptionalHasElement(o) e = OptionalGetElement(o) y = Relu(e)", {"x": X}, outputs=YZ
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_leave_no_trace(name: str, runner: CaseRunner) -> None:
    runner.check(SEQUENCES[name])


def test_branches_that_yield_sequences_of_different_lengths_are_refused(runner: CaseRunner) -> None:
    body = """s = If(c) <
        then_branch = t () => (seq(float[2,3]) a) { a = SequenceConstruct(x, x) },
        else_branch = e () => (seq(float[2,3]) b) { b = SequenceConstruct(x) }>
        y = ConcatFromSequence<axis=0>(s)"""
    case = Case(body, {"x": X, "c": TRUE})
    with pytest.raises(UnsupportedOperatorError, match=r"node s \(If, opset 18\): its branches"):
        runner.check(case)


def test_a_sequence_for_an_output_is_refused(runner: CaseRunner) -> None:
    with pytest.raises(UnsupportedOperatorError, match="output y is a sequence or an optional"):
        runner.convert(Case("y = SequenceConstruct(x, x)", {"x": X}), [X])
