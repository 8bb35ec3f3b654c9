"""The whole graph at once: golden graphs, and what must never happen to an interface."""

from __future__ import annotations

import pytest

from layoutopt.ir.io import recorded_orders
from layoutopt.options import Io
from layoutopt.passes import PropagateLayout
from layoutopt.passes.propagate_layout import LayoutResult, Scope
from tests.graphs import GRAPHS
from tests.harness import check_golden, check_pass, total_bytes, transposes


@pytest.mark.parametrize(
    ("pass_", "case"),
    [
        (PropagateLayout(), "propagate_layout.free"),
        (PropagateLayout(io=Io.KEEP), "propagate_layout.keep"),
        (PropagateLayout(), "propagate_layout.cheapest"),
        (PropagateLayout(), "propagate_layout.views"),
        (PropagateLayout(scope=Scope.OPERATOR), "propagate_layout.operator"),
    ],
)
def test_golden(pass_: PropagateLayout, case: str) -> None:
    check_golden(pass_, case)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("one value as two outputs", 0),
        ("an input that is an output", 0),
        ("one value twice in a node", 0),
        ("a value and its transpose", 1),
        ("a body reads a channels-last value", 1),
        ("a constant read in two layouts", 1),
        ("transposes at both ends", 0),
        ("transpose without perm", 0),
        ("rank 3", 0),
        ("rank 5", 0),
        ("Conv of rank 3", 0),
        ("Conv of rank 5", 0),
        ("indices of a pool", 1),
        ("classifier head", 0),
        ("squeeze and excite", 0),
        ("squeeze and excite by matrices", 0),
        ("concat of mixed layouts", 1),
        ("softmax over channels", 0),
        ("a transpose of rank 8", 1),
        ("symbolic batch", 1),
    ],
)
def test_how_many_transposes_are_left(name: str, left: int) -> None:
    result = check_pass(PropagateLayout(), GRAPHS[name].model(), execute=name != "symbolic batch")
    assert transposes(result.model) == left


@pytest.mark.parametrize("name", ["symbolic batch", "strings", "a transpose of rank 8"])
def test_what_is_pinned_is_not_touched(name: str) -> None:
    """Not wrong, not half done: not at all."""
    assert not check_pass(PropagateLayout(), GRAPHS[name].model(), execute=False).modified


def test_softmax_over_rows_pays_inside_or_outside() -> None:
    """Channels-last has the rows in the middle: moving them costs the same as two Transposes, and never more."""
    result = check_pass(PropagateLayout(), GRAPHS["softmax over rows"].model())
    assert isinstance(result, LayoutResult)
    assert result.assignment is not None
    assert result.assignment.cost == total_bytes(result.model) == 4 * 4 * 6 * 4


@pytest.mark.parametrize("io", Io)
def test_only_free_interfaces_are_recorded(io: Io) -> None:
    result = PropagateLayout(io=io)(GRAPHS["squeeze and excite"].model())
    expected = {"x": (0, 2, 3, 1), "y": (0, 2, 3, 1)} if io is Io.FREE else {}
    assert recorded_orders(result.model) == expected


def test_a_default_that_a_caller_can_set_keeps_its_layout() -> None:
    model = GRAPHS["initializers listed as inputs"].model()
    result = PropagateLayout()(model).model
    assert set(recorded_orders(result)) <= {"x", "y"}
    for value in result.graph.inputs:
        if value.is_initializer():
            assert value.const_value is not None
            assert value.shape == value.const_value.shape


def test_a_second_plan_finds_what_two_views_can_share() -> None:
    """One Transpose of ``x`` serves the output that is one, and everybody behind another."""
    result = check_pass(PropagateLayout(), GRAPHS["transposes that share a source"].model())
    assert transposes(result.model) == 1
