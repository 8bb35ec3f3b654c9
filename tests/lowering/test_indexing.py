"""What reads and writes at indices: negative ones, in batches, several writes to one place, and slices in disguise."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Array, Case, CaseRunner, floats, integers

X = floats(3, 4, 5)
_RNG = np.random.default_rng(3)


def pairs(*, twice: bool) -> Array:
    """Six places in the first two axes of X, the second from the end; one of them twice."""
    flat = _RNG.permutation(12)[:6]
    found = np.stack([flat // 4, flat % 4 - 4], -1).astype(np.int64)
    if twice:
        found[3] = found[1]
    return found


def places(*, twice: bool) -> Array:
    """Two places along axis 1 of X from the end, for some of the others."""
    found = np.argsort(_RNG.random((2, 4, 5)), 1)[:, :2].astype(np.int64) - 4
    if twice:
        found[:, 0] = found[:, 1]
    return found


GATHERS = {
    "elements": Case("y = GatherElements<axis=1>(x, i)", {"x": X}, {"i": integers(-4, 4, 2, 7, 5)}, "GATHER"),
    "elements last": Case("y = GatherElements<axis=-1>(x, i)", {"x": X}, {"i": integers(-5, 5, 3, 4, 2)}, "GATHER"),
    "elements first": Case("y = GatherElements(x, i)", {"x": X}, {"i": integers(-3, 3, 3, 2, 2)}, "GATHER"),
    "nd": Case("y = GatherND(x, i)", {"x": X}, {"i": integers(-3, 3, 2, 2)}, "GATHER_ND"),
    "nd batch": Case("y = GatherND<batch_dims=1>(x, i)", {"x": X}, {"i": integers(-4, 4, 3, 2, 1)}, "GATHER"),
    "nd batch whole": Case("y = GatherND<batch_dims=1>(x, i)", {"x": X}, {"i": integers(-4, 4, 3, 2)}, "GATHER"),
    "nd batches": Case("y = GatherND<batch_dims=2>(x, i)", {"x": X}, {"i": integers(-5, 5, 3, 4, 6, 1)}, "GATHER"),
}


@pytest.mark.parametrize("at_run_time", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("name", GATHERS)
def test_gathers_with_indices_from_either_end(name: str, at_run_time: bool, runner: CaseRunner) -> None:
    case = GATHERS[name]
    runner.check(case.with_run_time("i") if at_run_time else case)


@pytest.mark.parametrize("at_run_time", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize(
    ("reduction", "operator"),
    [
        ("none", "GATHER"),
        ("add", "SCATTER_ND"),
        ("mul", "UNSORTED_SEGMENT_PROD"),
        ("max", "UNSORTED_SEGMENT_MAX"),
        ("min", "UNSORTED_SEGMENT_MIN"),
    ],
)
def test_scatters_join_what_falls_on_one_place(
    reduction: str, operator: str, at_run_time: bool, runner: CaseRunner
) -> None:
    twice = reduction != "none"
    body = (
        f'y = ScatterND<reduction="{reduction}">(x, i, u) z = ScatterElements<axis=1, reduction="{reduction}">(x, j, v)'
    )
    constants = {"i": pairs(twice=twice), "j": places(twice=twice)}
    case = Case(body, {"x": X, "u": floats(6, 5), "v": floats(2, 2, 5)}, constants, operator, ("y", "z"))
    runner.check(case.with_run_time("i", "j") if at_run_time else case)


def test_the_last_of_several_writes_stays(runner: CaseRunner) -> None:
    constants = {"i": np.array([[1], [0], [1]], np.int64)}
    case = Case("y = ScatterND(x, i, u)", {"x": floats(3, 2), "u": floats(3, 2)}, constants)
    runner.check(case)
    runner.check(case.with_run_time("i"))


def test_infinities_that_nothing_is_written_to_stay(runner: CaseRunner) -> None:
    x = np.array([-np.inf, 1, 2, -np.inf], np.float32)
    inputs = {"x": x, "i": np.array([[1], [1]]), "u": np.array([4, 5], np.float32)}
    runner.check(Case('y = ScatterND<reduction="max">(x, i, u)', inputs))


def test_a_written_slice_is_a_concatenation(runner: CaseRunner) -> None:
    box = np.stack(np.meshgrid(range(3), [1, 2], [3, 4], indexing="ij"), -1)
    first = np.array([[0], [1]])
    body = "y = ScatterND(x, i, u) z = ScatterND(x, j, v)"
    case = Case(body, {"x": X, "u": floats(3, 2, 2), "v": floats(2, 4, 5)}, {"i": box, "j": first}, outputs=("y", "z"))
    assert not {"GATHER", "SCATTER_ND"} & set(runner.check(case))


@pytest.mark.parametrize(
    "case",
    [
        Case("y = ScatterND(x, i, u)", {"x": np.array([True, False]), "i": np.array([[-1]]), "u": np.array([True])}),
        Case(
            'y = ScatterND<reduction="add">(x, i, u)',
            {"x": np.arange(6), "i": np.array([[1], [1]]), "u": np.array([4, 5])},
        ),
        Case("y = Scatter<axis=1>(x, i, u)", {"x": X, "i": places(twice=False), "u": floats(2, 2, 5)}, opset=9),
    ],
    ids=["bool", "int64", "opset 9"],
)
def test_scatters_other_types_and_opsets(case: Case, runner: CaseRunner) -> None:
    runner.check(case)


def test_a_reduction_that_no_kernel_has_names_its_node(runner: CaseRunner) -> None:
    inputs = {"x": np.arange(6), "i": np.array([[1], [1]]), "u": np.array([4, 5])}
    case = Case('y = ScatterND<reduction="max">(x, i, u)', inputs)
    with pytest.raises(UnsupportedOperatorError, match=r"node y \(ScatterND, opset 18\).*float32, int32: cast"):
        runner.check(case)


@pytest.mark.parametrize(
    "case",
    [
        Case(
            "y = TensorScatter(x, u, i)",
            {"x": floats(2, 3, 6, 4), "u": floats(2, 3, 2, 4), "i": np.array([1, 3])},
            opset=24,
        ),
        Case(
            'y = TensorScatter<axis=1, mode="circular">(x, u, i)',
            {"x": floats(2, 6, 4), "u": floats(2, 3, 4), "i": np.array([5, 3])},
            opset=24,
        ),
        Case("y = TensorScatter(x, u)", {"x": floats(2, 6, 4), "u": floats(2, 3, 4)}, opset=24),
    ],
    ids=["linear", "circular", "from the start"],
)
def test_writes_to_a_cache(case: Case, runner: CaseRunner) -> None:
    runner.check(case)


@pytest.mark.parametrize("attributes", ["", "<time_axis=1, batch_axis=0>"])
def test_turns_sequences_of_their_own_lengths(attributes: str, runner: CaseRunner) -> None:
    inputs = {"x": floats(4, 4, 3), "n": np.array([2, 4, 1, 3])}
    runner.check(Case(f"y = ReverseSequence{attributes}(x, n)", inputs, operators="REVERSE_SEQUENCE"))
