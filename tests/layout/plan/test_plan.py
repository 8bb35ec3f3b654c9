"""Plans of whole graphs: what they cost, held against brute force over every choice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from math import prod

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, permute
from layoutopt.layout.plan import candidates
from layoutopt.layout.plan.planner import make_plan
from layoutopt.options import Objective
from layoutopt.passes.propagate_layout import PropagateLayout
from tests.harness import brute_force, model_of
from tests.network_builder import Builder, shape_of
from tests.networks import random_models

MAX_CHOICES = 20_000
NATURAL_OR_LAST = ((0, 1, 2, 3), (0, 2, 3, 1))


def check_plan(model: ir.Model, objective: Objective) -> None:
    """The solver's answer is that of brute force over all choices of its problem."""
    plan = PropagateLayout(objective=objective).plan(model)
    found, problem = plan.assignment, plan.encoded.problem
    assert found.lower_bound <= found.cost
    assert not found.proved_optimal or found.lower_bound == found.cost
    if prod(map(len, problem.variants)) <= MAX_CHOICES:
        best = brute_force(problem)
        assert best is not None
        assert found.cost == best[0]
        assert objective is Objective.TIME or problem.copies(found.choice) == best[1]


@settings(max_examples=200)
@given(random_models(steps=5), st.sampled_from(Objective))
def test_the_plan_of_a_random_graph_is_brute_force(model: ir.Model, objective: Objective) -> None:
    check_plan(model, objective)


@pytest.mark.long
@settings(max_examples=2500)
@given(random_models(steps=7), st.sampled_from(Objective))
def test_the_plan_of_a_random_graph_is_brute_force_long(model: ir.Model, objective: Objective) -> None:
    check_plan(model, objective)


# --- every order of the axes, without a look at the rules ------------------------------------------------------------


@st.composite
def tiny_models(draw: st.DrawFn) -> ir.Model:
    """Up to six nodes: those that take any order, convolutions, Transposes, and one that nobody knows."""
    b = Builder(draw, 17, np.random.default_rng(0))
    b.add_input((2, 3, 4, 5))
    for kind in draw(st.lists(st.sampled_from(["any", "any", "Conv", "Transpose", "Transpose", "Einsum"]), max_size=6)):
        x = b.pick()
        assert x is not None
        shape = shape_of(x)
        if kind == "Transpose":
            perm = tuple(draw(st.permutations(range(4))))
            b.node("Transpose", [x], permute(shape, perm), {"perm": perm})
        elif kind == "Conv":
            weights = b.floats((shape[1], shape[1], 3, 3))
            b.node("Conv", [x, weights], shape, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})
        elif kind == "Einsum":
            b.node("Einsum", [x], shape, {"equation": "abcd->abcd"})
        else:
            others = [value for value in b.pool if shape_of(value) == shape]
            b.node("Add", [x, draw(st.sampled_from(others))], shape)
    outputs = [value for value in b.pool if not value.uses()]
    graph = ir.Graph(b.inputs, outputs, nodes=b.nodes, initializers=b.initializers, opset_imports={"": 17}, name="tiny")
    return ir.Model(graph, ir_version=8)


ORDERS = tuple(permutations(range(4)))
NATURAL, CHANNELS_LAST = (0, 1, 2, 3), (0, 2, 3, 1)


def least_bytes(graph: ir.Graph) -> int | None:
    """The least bytes over all orders of all values; a Transpose renames the axes, and its copies serve its source."""
    roots: dict[ir.Value, tuple[ir.Value, Perm]] = {value: (value, NATURAL) for value in graph.inputs}
    nodes = [node for node in graph if node.op_type != "Transpose"]
    for node in graph:
        (value,) = node.outputs
        roots[value] = (value, NATURAL)
        if node.op_type == "Transpose" and (source := node.inputs[0]) is not None:
            root, axes = roots[source]
            roots[value] = (root, permute(axes, tuple(node.attributes["perm"].as_ints())))
    options = {"Add": ORDERS, "Conv": (CHANNELS_LAST,), "Einsum": (NATURAL,)}
    ends: list[ir.Node | ir.Value] = [*graph.inputs, *nodes, *graph.outputs]
    choices = [options[end.op_type] if isinstance(end, ir.Node) else (NATURAL, CHANNELS_LAST) for end in ends]
    if prod(map(len, choices)) > MAX_CHOICES:
        return None
    reads = [(id(node), value) for node in nodes for value in node.inputs if value in roots]
    reads += [(id(value), value) for value in graph.outputs]
    size = 2 * 3 * 4 * 5 * 4

    def cost(choice: Sequence[Perm]) -> int:
        order = dict(zip(map(id, ends), choice, strict=True))
        stored = {value: order[id(value)] for value in graph.inputs} | {n.outputs[0]: order[id(n)] for n in nodes}
        copies = {(roots[value][0], permute(roots[value][1], order[end])) for end, value in reads if value}
        return sum(size for root, read in copies if stored[root] != read)

    return min(map(cost, product(*choices)))


def check_orders(model: ir.Model) -> None:
    free = {str(value.name): NATURAL_OR_LAST for value in (*model.graph.inputs, *model.graph.outputs)}
    best = least_bytes(model.graph)
    assume(best is not None)
    found = make_plan(model.graph, 17, free).assignment
    assert (found.cost, found.lower_bound, found.proved_optimal) == (best, best, True)


@settings(max_examples=60)
@given(tiny_models())
def test_no_order_of_any_value_is_cheaper(model: ir.Model) -> None:
    check_orders(model)


@pytest.mark.long
@settings(max_examples=2000)
@given(tiny_models())
def test_no_order_of_any_value_is_cheaper_long(model: ir.Model) -> None:
    check_orders(model)


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
    assert plan.sensitive == 2
    assert set(plan.rules) == {conv, pool, relu}
    assert {value.name: layout.order for value, layout in plan.inputs.items()} == {"x": (0, 2, 3, 1)}
    assert plan.outputs == {}
    assert (plan.assignment.cost, plan.assignment.lower_bound) == (4 * 8 * 8 * 4, 4 * 8 * 8 * 4)
    assert [edit.operator for edit in plan.variants[conv].edits] == ["Conv2D", None, None]
    assert ir.to_proto(model) == before, "planning changed the graph"


def test_anchors_alone() -> None:
    """Two copies around each anchor, less the one that two neighbouring anchors save."""
    model = model_of(CHAIN)
    plan = make_plan(model.graph, 17, {}, sensitive_only=True)
    assert plan.assignment.cost == (3 + 4) * 64 * 4


def test_too_many_candidates_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """g (float[2,3,4,5] x) => (float[5,4,3,2] y, float[3,4,5,2] z) {
        a = Relu (x) b = Transpose (a) y = Neg (b) c = Transpose <perm = [1, 2, 3, 0]> (a) z = Neg (c)
    }"""
    assert make_plan(model_of(text).graph, 17, {}).assignment.proved_optimal
    monkeypatch.setattr(candidates, "MAX_LAYOUTS", 1)
    assert not make_plan(model_of(text).graph, 17, {}).assignment.proved_optimal


def test_free_means_natural_or_channels_last() -> None:
    """Not whatever order would be the cheapest."""
    text = "g (float[2,3,4,5] x) => (float[5,4,3,2] y) { a = Relu (x) y = Transpose (a) }"
    model = model_of(text)
    plan = PropagateLayout(objective=Objective.BYTES).plan(model)
    assert plan.assignment.cost == 2 * 3 * 4 * 5 * 4
    layouts = (*plan.inputs.values(), *plan.outputs.values())
    assert {layout.order for layout in layouts} <= {(0, 1, 2, 3), (0, 2, 3, 1)}


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
