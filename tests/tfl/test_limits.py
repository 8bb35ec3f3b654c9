"""What kernels take is what LiteRT says, and what the table says; graphs that ask for more are told apart."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import records
from benchmarks.kernel_limits import MAX_RANK, RESULTS, KernelLimits, Limits, ask, of_types
from benchmarks.kernel_models import MAKE, Question
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Quantization, Value
from layoutopt.tfl.limits import violations
from layoutopt.tfl.opset import OPSET

MEASURED = records.load(KernelLimits, RESULTS).operators


def test_every_operator_was_asked() -> None:
    assert {*MEASURED} == {*MAKE} == {*OPSET} - {"IF", "WHILE"}


@pytest.mark.parametrize("code", sorted(MEASURED))
def test_the_table_says_what_was_measured(code: str) -> None:
    plain, xnnpack, facts = MEASURED[code].plain, MEASURED[code].xnnpack, OPSET[code]
    assert facts.types == frozenset(DType(name.upper()) for name in plain.types.split())
    assert facts.quantized == frozenset(DType(name.upper()) for name in plain.quantized.split())
    if plain.rank is not None:
        assert (facts.max_rank or MAX_RANK) == plain.rank
        assert (facts.xnnpack_rank or facts.max_rank or MAX_RANK) == xnnpack.rank
        assert plain.broadcast_rank in (None, plain.rank)


def answers(question: Question, limits: Limits) -> bool:
    """What was measured says to a question."""
    if question.rank > (limits.rank or MAX_RANK):
        return False
    return str(question.dtype) in (limits.quantized if question.quantized else limits.types).split()


def test_a_sample_asked_anew() -> None:
    choose = random.Random(5)
    questions = [choose.choice(of_types(code, 2, xnnpack=choose.random() < 0.5)) for code in sorted(MAKE)]
    questions = [each for each in questions if OPSET[each.code].max_rank is None and MEASURED[each.code].plain.rank]
    ranks = [
        Question(code, DType.FLOAT32, rank) for code in ("PAD", "BATCH_MATMUL", "CONCATENATION") for rank in (5, 7)
    ]
    questions += [*ranks, *(replace(each, xnnpack=True) for each in ranks)]
    limits = [MEASURED[each.code].xnnpack if each.xnnpack else MEASURED[each.code].plain for each in questions]
    wanted = [answers(question, found) for question, found in zip(questions, limits, strict=True)]
    assert list(ask(questions)) == wanted
    assert 10 < sum(wanted) < len(wanted) - 10


def test_what_no_kernel_takes_is_told_with_the_node_that_it_comes_from() -> None:
    wide: Array = np.zeros((1,) * 6 + (2,), np.float32)
    graph = Graph(
        [x := Value(DType.FLOAT64, (2, 3)), y := Value(DType.FLOAT32, wide.shape), flag := Value(DType.BOOL, ())]
    )
    quantized = Value(DType.UINT16, (2,), quantization=Quantization((0.5,), (0,)))
    with tfl.recording(graph):
        with tfl.scope("sum of doubles"):
            tfl.add(x, 1.0)
        with tfl.scope("joined"):
            tfl.concatenation([y, wide], 6)
            tfl.concatenation([tfl.cast(y, DType.INT32), tfl.cast(y, DType.INT32)], 6)
        with tfl.scope("branches"):
            tfl.if_(flag, lambda: [tfl.mul(x, 2.0)], lambda: [x])
        with tfl.scope("steps"):
            tfl.add(quantized, quantized)
            tfl.quantize(Value(DType.FLOAT32, (2,)), DType.INT32, Quantization((0.5,), (0,)))
    assert [str(each) for each in violations(graph)] == [
        "sum of doubles: ADD has no kernel for float64, but for int16, int32, int64, float16, float32",
        "joined: CONCATENATION has no kernel for 7 axes, but for up to 6",
        "steps: ADD has no kernel for quantized uint16, but for int8, uint8, int16, int32, int64, float16, float32",
        "steps: QUANTIZE has no kernel for quantized int32, but for int4, uint4, int8, uint8, int16",
        "branches: MUL has no kernel for float64, but for int16, int32, uint32, int64, float16, float32, complex64",
    ]


def test_what_kernels_take_is_none() -> None:
    graph = Graph([x := Value(DType.FLOAT32, (2, 3, 3, 4)), indices := Value(DType.INT64, (2,))])
    with tfl.recording(graph):
        y = tfl.conv_2d(x, np.ones((4, 1, 1, 4), np.float32))
        tfl.gather(tfl.transpose(y, [0, 3, 1, 2]), indices, 1)
        tfl.dequantize(tfl.quantize(y, DType.INT8, Quantization((0.5,), (0,))))
        tfl.split(tfl.relu6(tfl.fill([2, 2], 1.0)) + 1.0, 2, 0)
    assert violations(graph) == []
