"""Where the time of a model goes: which of XNNPACK's operators belong to which of the file's."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.litert import profile as profiling
from layoutopt.backend.litert.inspect import TfliteOperator, operators_of
from layoutopt.backend.litert.memory import memory_of
from layoutopt.backend.litert.operator_times import Transpose, write_operator
from layoutopt.backend.litert.profile import (
    OperatorEvent,
    attribute_events,
    execution_order,
    match_in_order,
    median_events,
    profile,
    profile_subject,
)
from layoutopt.backend.litert.runtime import Setting, Subject
from layoutopt.backend.process import run_alone
from layoutopt.errors import ConversionError, InvalidModelError, ModelNotFoundError, UsageError


def chain(*names: str) -> list[TfliteOperator]:
    """Operators that each read what the one before wrote."""
    return [TfliteOperator(name, (at,), ((at + 1, f"t{at + 1}"),)) for at, name in enumerate(names)]


def inner(*names: str) -> list[OperatorEvent]:
    """Operators of XNNPACK that take 1, 2, 4, 8... microseconds, so that a sum tells which they are."""
    return [OperatorEvent(name, -1, 2.0**at) for at, name in enumerate(names)]


def times(operators: list[TfliteOperator], events: list[OperatorEvent]) -> list[float]:
    return [each.microseconds for each in attribute_events(operators, events)]


def test_one_for_one() -> None:
    operators = chain("CONV_2D", "TRANSPOSE", "ADD")
    events = inner("Convolution (NHWC, F32) IGEMM", "Transpose (ND, X32) Transpose", "Add (ND)")
    found = attribute_events(operators, events)
    assert [(each.position, each.operator) for each in found] == [(0, "CONV_2D"), (1, "TRANSPOSE"), (2, "ADD")]
    assert [each.microseconds for each in found] == [1, 2, 4]


def test_an_operator_that_went_into_its_neighbour_takes_no_time() -> None:
    operators = chain("PAD", "CONV_2D", "PAD", "DEPTHWISE_CONV_2D", "RELU", "CONV_2D")
    events = inner("Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) DWConv", "Fully Connected (NC, F32) GEMM")
    assert times(operators, events) == [0, 1, 0, 2, 0, 4]


def test_a_fused_activation_belongs_to_its_operator_and_not_to_the_next() -> None:
    operators = chain("CONV_2D", "ADD", "PAD", "CONV_2D", "ADD", "CONV_2D")
    convolution = "Convolution (NHWC, F32) IGEMM"
    events = inner(convolution, "Add (ND)", "Clamp (NC)", convolution, "Add (ND)", "Clamp (NC)", convolution)
    assert times(operators, events) == [1, 2 + 4, 0, 8, 16 + 32, 64]


def test_an_operator_may_be_several_inside() -> None:
    operators = chain("FULLY_CONNECTED", "CONCATENATION", "ADD", "SPLIT")
    events = inner(
        *("Static Reshape (NC)", "Fully Connected (NC, F32) GEMM"),
        *("Copy (NC, X32)", "Copy (NC, X32)", "Add (ND)", "Slice (ND, X32)", "Slice (ND, X32)"),
    )
    assert times(operators, events) == [1 + 2, 4 + 8, 16, 32 + 64]


def test_names_that_nobody_knows_still_find_their_place() -> None:
    operators = chain("CONV_2D", "WHATEVER", "CONV_2D")
    events = inner("Convolution (NHWC, F32) IGEMM", "Something New (NC)", "Convolution (NHWC, F32) IGEMM")
    assert times(operators, events) == [1, 2, 4]


def test_what_xnnpack_has_not_taken_says_where_it_is() -> None:
    operators = chain("CONV_2D", "MIRROR_PAD", "CONV_2D")
    convolution = OperatorEvent("Convolution (NHWC, F32) IGEMM", -1, 3.0)
    assert times(operators, [convolution, OperatorEvent("MIRROR_PAD", 1, 7.0), convolution]) == [3, 7, 3]
    # Never to MIRROR_PAD, which runs outside of XNNPACK.
    assert times(operators, [convolution, convolution, OperatorEvent("MIRROR_PAD", 1, 7.0), convolution]) == [6, 7, 3]


def test_what_is_not_of_the_model_is_refused() -> None:
    with pytest.raises(ConversionError, match="not those of the file"):
        attribute_events(
            chain("CONV_2D", "MIRROR_PAD"), [OperatorEvent("GATHER", 7, 1.0), OperatorEvent("MIRROR_PAD", 1, 1.0)]
        )


def test_the_least_cost_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        events, operators = rng.integers(1, 6, 2)
        costs = rng.choice(
            [0.0, profiling._HELPS, profiling._STRANGE, np.inf], (events, operators), p=[0.3, 0.3, 0.3, 0.1]
        )

        def price(places: tuple[int, ...], costs: np.ndarray = costs) -> float:
            unused = costs.shape[1] - len(set(places))
            again = sum(one == other for one, other in itertools.pairwise(places))
            taken = sum(float(costs[event, place]) for event, place in enumerate(places))
            return float(taken + unused * profiling._NOTHING + again * profiling._AGAIN)

        best = min(price(each) for each in itertools.combinations_with_replacement(range(operators), events))
        if np.isinf(best):
            with pytest.raises(ConversionError):
                match_in_order(costs)
        else:
            found = match_in_order(costs)
            assert found == sorted(found)
            assert price(tuple(found)) == pytest.approx(best)


def test_what_xnnpack_has_taken_goes_together() -> None:
    """As TFLite partitions a graph: all that can run now and is of one kind, before the kind changes."""
    # 0 -> 1 (alone) -> 3, and 0 -> 2, which needs not wait for 1
    operators = [
        TfliteOperator("CONV_2D", (0,), ((1, "a"),)),
        TfliteOperator("MIRROR_PAD", (1,), ((2, "b"),)),
        TfliteOperator("CONV_2D", (1,), ((3, "c"),)),
        TfliteOperator("ADD", (2, 3), ((4, "d"),)),
    ]
    assert execution_order(operators, {1}) == [0, 2, 1, 3]
    assert execution_order(operators, set()) == [0, 1, 2, 3]
    assert execution_order(operators, {0, 1, 2, 3}) == [0, 1, 2, 3]


def test_the_median_of_the_rounds() -> None:
    rounds = [[OperatorEvent("Add (ND)", -1, time)] for time in (3.0, 1.0, 80.0)]
    assert median_events(rounds) == [OperatorEvent("Add (ND)", -1, 3.0)]
    with pytest.raises(ConversionError, match="different operators"):
        median_events([*rounds, [OperatorEvent("Multiply (ND)", -1, 1.0)]])


@pytest.mark.parametrize("name", ["large", "mixed", "loop", "dynamic", "types"])
def test_every_operator_of_a_file_has_a_time(files: Path, name: str) -> None:
    path, told = files / f"{name}.tflite", list[tuple[int, int]]()
    found = profile(path, rounds=5, progress=lambda done, total: told.append((done, total)))
    assert [each.operator for each in found] == [each.name for each in operators_of(path)]
    assert [each.position for each in found] == list(range(len(found)))
    assert told == [(done, 5) for done in range(1, 6)]
    heavy = {"large": "CONV_2D", "mixed": "MIRROR_PAD", "loop": "WHILE"}
    if name in heavy:
        assert all(each.microseconds > 0 for each in found if each.operator == heavy[name])


def test_without_xnnpack_every_operator_says_where_it_is(files: Path) -> None:
    found = profile_subject(Subject(files / "mixed.tflite", Setting(2, xnnpack=False)), rounds=3)
    assert [each.operator for each in found] == [each.name for each in operators_of(files / "mixed.tflite")]
    assert all(each.microseconds > 0 for each in found if each.operator == "CONV_2D")


def test_a_transpose_alone_takes_all_the_time(tmp_path: Path) -> None:
    write_operator(Transpose((512, 512, 16), (1, 2, 0), 32), tmp_path / "t.tflite")
    (found,) = profile(tmp_path / "t.tflite", rounds=3)
    assert found.operator == "TRANSPOSE"
    assert found.microseconds > 100  # 16 MB


def test_what_cannot_be_profiled(files: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing to profile"):
        profile(files / "small.tflite", rounds=0)
    with pytest.raises(UsageError, match="threads"):
        profile(files / "small.tflite", threads=0)
    with pytest.raises(ModelNotFoundError):
        profile(tmp_path / "none.tflite")
    (tmp_path / "bad.tflite").write_bytes(b"not a model at all")
    with pytest.raises(InvalidModelError):
        profile(tmp_path / "bad.tflite")
    with pytest.raises(ConversionError, match="Flex"):
        profile(files / "flex.tflite")


def test_memory_grows_with_the_tensors(tmp_path: Path) -> None:
    for name, rows in (("small", 16), ("large", 4096)):
        write_operator(Transpose((rows, 4096), (1, 0), 32), tmp_path / f"{name}.tflite")
    small, large = (memory_of(Subject(tmp_path / f"{name}.tflite")) for name in ("small", "large"))
    assert large - small == pytest.approx(2 * 4096 * 4096 * 4, rel=0.6)  # what goes in, what comes out, and copies
    assert large - small > 1.9 * 4096 * 4096 * 4


def test_a_process_that_dies_says_how() -> None:
    with pytest.raises(ConversionError, match="exit code 1"):
        list(run_alone("layoutopt.backend.litert.memory", {}, verbose=False))
