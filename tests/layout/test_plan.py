"""Plans of whole graphs: what they cost, held against brute force over every choice."""

from __future__ import annotations

from math import prod

import onnx_ir as ir
import pytest
from hypothesis import given, settings

from layoutopt.layout import plan as plan_module
from layoutopt.layout.assign import assign as exact
from layoutopt.layout.plan import make_plan
from layoutopt.layout.problem import Assignment, Problem
from layoutopt.passes.propagate_layout import PropagateLayout
from tests.harness import brute_force, model_of
from tests.networks import random_models

MAX_CHOICES = 20_000
NATURAL_OR_LAST = ((0, 1, 2, 3), (0, 2, 3, 1))


@settings(max_examples=40)
@given(random_models(steps=6))
def test_the_plan_of_a_random_graph_is_brute_force(model: ir.Model) -> None:
    seen: list[Problem] = []

    def assign(problem: Problem) -> Assignment:
        seen.append(problem)
        return exact(problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "assign", assign)
        found = PropagateLayout().plan(model).assignment
    (problem,) = seen
    assert found.lower_bound <= found.cost
    assert found.proved_optimal == (found.lower_bound == found.cost)
    if prod(map(len, problem.variants)) <= MAX_CHOICES:
        best = brute_force(problem)
        assert best is not None
        assert (found.cost, problem.copies(found.choice)) == best


CHAIN = """g (float[1,3,8,8] x) => (float[1,4,8,5] y) <float[4,3,1,1] w = {WEIGHTS}, float[8,5] m = {MATRIX}> {
    a = Conv (x, w)
    b = MaxPool <kernel_shape = [1, 1]> (a)
    c = Relu (b)
    y = Einsum <equation = "nchw,wk->nchk"> (c, m)
}""".replace("WEIGHTS", ",".join(map(str, range(12)))).replace("MATRIX", ",".join(map(str, range(40))))


def test_the_words_of_a_plan() -> None:
    model = model_of(CHAIN)
    before = ir.to_proto(model)
    plan = make_plan(model.graph, 17, {"x": NATURAL_OR_LAST})
    conv, pool, relu, _ = model.graph
    assert plan.anchors == 2
    assert set(plan.rules) == {conv, pool, relu}
    assert {value.name: storage.order for value, storage in plan.inputs.items()} == {"x": (0, 2, 3, 1)}
    assert plan.outputs == {}
    assert (plan.assignment.cost, plan.assignment.lower_bound) == (4 * 8 * 8 * 4, 4 * 8 * 8 * 4)
    assert [edit.operator for edit in plan.variants[conv].edits] == ["Conv2D", None, None]
    assert ir.to_proto(model) == before, "planning changed the graph"


def test_anchors_alone() -> None:
    """Two copies around each anchor, less the one that two neighbouring anchors save."""
    model = model_of(CHAIN)
    plan = make_plan(model.graph, 17, {}, anchors_only=True)
    assert plan.assignment.cost == (3 + 4) * 64 * 4


def test_too_many_candidates_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """g (float[2,3,4,5] x) => (float[5,4,3,2] y, float[3,4,5,2] z) {
        a = Relu (x) b = Transpose (a) y = Neg (b) c = Transpose <perm = [1, 2, 3, 0]> (a) z = Neg (c)
    }"""
    assert make_plan(model_of(text).graph, 17, {}).assignment.proved_optimal
    monkeypatch.setattr(plan_module, "MAX_LAYOUTS", 1)
    assert not make_plan(model_of(text).graph, 17, {}).assignment.proved_optimal


def test_free_means_natural_or_channels_last() -> None:
    """Not whatever order would be the cheapest."""
    text = "g (float[2,3,4,5] x) => (float[5,4,3,2] y) { a = Relu (x) y = Transpose (a) }"
    model = model_of(text)
    plan = PropagateLayout().plan(model)
    assert plan.assignment.cost == 2 * 3 * 4 * 5 * 4
    storages = (*plan.inputs.values(), *plan.outputs.values())
    assert {storage.order for storage in storages} <= {(0, 1, 2, 3), (0, 2, 3, 1)}


VIEWS = """g (float[1,3,8,8] x) => (float[1,4,8,5] y, float[1,4,8,5] z, float[1,2,8,8] u)
    <float[4,3,1,1] w = {WEIGHTS}, float[8,5] m = {MATRIX}, float[2,4,1,1] v = {OTHER}, int64[4] shape = {1, 4, 8, 8}> {
    a = Conv (x, w)
    y = Einsum <equation = "nchw,wk->nchk"> (a, m)
    b = Reshape (a, shape)
    z = Einsum <equation = "nchw,wk->nchk"> (b, m)
    u = Conv (b, v)
}"""


def test_views_share_the_copies_of_their_root() -> None:
    text = VIEWS
    for name, count in (("WEIGHTS", 12), ("MATRIX", 40), ("OTHER", 8)):
        text = text.replace(name, ",".join(map(str, range(count))))
    model, size = model_of(text), 4 * 8 * 8 * 4
    found = make_plan(model.graph, 17, dict.fromkeys(("x", "u"), NATURAL_OR_LAST)).assignment
    # One copy of the bytes of a and b in the natural layout serves both products.
    assert (found.cost, found.lower_bound, found.proved_optimal) == (size, size, True)
