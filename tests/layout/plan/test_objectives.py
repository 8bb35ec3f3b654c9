"""By time nothing takes longer than the per-operator layout does, and by bytes nothing moves more than by time."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.attributes import transpose_perm
from layoutopt.ir.io import normalize
from layoutopt.ir.values import bits_of, is_constant, static_shape
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.algebra.transposition import route, transposition
from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.costs.objectives import Costs
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.plan_cost import cost_of_plan
from layoutopt.options import Io, Objective
from layoutopt.passes import CancelTransposes, PropagateLayout, default_pipeline
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.manager import PassManager
from tests.graphs import GRAPHS
from tests.layout.opinion_graphs import draw
from tests.networks import random_models
from tests.test_dynamic import exported

PIPELINE = default_pipeline(PropagateLayout())
BEFORE = PIPELINE[: next(at for at, each in enumerate(PIPELINE) if isinstance(each, PropagateLayout))]
STATIC = [name for name in GRAPHS if name not in ("symbolic batch", "unknown rank", "strings")]


def transposes_cost(model: ir.Model, costs: Costs) -> int:
    """What the Transposes in a model cost."""
    total = 0
    for node in model.graph.all_nodes():
        source = node.inputs[0] if node.op_type == "Transpose" else None
        if source is None or is_constant(source):
            continue
        shape, perm = static_shape(source), transpose_perm(node)
        assert shape is not None
        assert perm is not None
        before = ModeOrder.natural(shape)
        for after in route(before, ModeOrder.of(shape, perm)):
            found = transposition(before, after)
            assert found is not None
            total += costs.copy(*found, bits_of(source))
            before = after
    return total


def inside_cost(plan: Plan) -> int:
    """What operators cost in their natural form, beyond the fastest one."""
    groups = zip(plan.encoded.groups, plan.encoded.problem.variants, strict=True)
    return sum(costs[0] for group, costs in groups if group.rule is not None and group.rule.required_layout is None)


def check(model: ir.Model, io: Io) -> None:
    prepared = PassManager(BEFORE).run(model).model
    costs = {objective: load_costs(objective) for objective in Objective}
    plans = {objective: PropagateLayout(io=io, objective=objective).plans(prepared) for objective in Objective}
    cost = {
        (by, unit): sum(cost_of_plan(plan, costs[unit]) for plan in plans[by].values())
        for by in Objective
        for unit in Objective
    }
    assert cost[Objective.BYTES, Objective.BYTES] <= cost[Objective.TIME, Objective.BYTES]
    assert cost[Objective.TIME, Objective.TIME] <= cost[Objective.BYTES, Objective.TIME]
    for objective in Objective:
        inside = sum(map(inside_cost, plans[objective].values()))
        chosen, alone = (
            CancelTransposes()(PropagateLayout(io=io, scope=scope, objective=objective)(prepared.clone()).model).model
            for scope in Scope
        )
        moved = transposes_cost(chosen, costs[objective])
        planned = PropagateLayout(io=io, objective=objective)(prepared.clone()).model
        assert transposes_cost(planned, costs[objective]) <= cost[objective, objective]
        if len(plans[objective]) == 1 or objective is Objective.BYTES:
            # A Transpose in a body and one before it become one, which moves no more, but may take longer than either.
            assert moved <= cost[objective, objective]
        spent = moved + sum(plan.total.inside for plan in plans[objective].values())
        assert spent <= inside + transposes_cost(alone, costs[objective])


@pytest.mark.parametrize("io", Io)
@pytest.mark.parametrize("name", STATIC)
def test_small_graphs(name: str, io: Io) -> None:
    check(normalize(GRAPHS[name].model()), io)


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_of_many_operators(seed: int) -> None:
    model = ir.from_proto(draw(seed).model())
    for io in Io:
        check(model.clone(), io)


@settings(max_examples=40)
@given(random_models(), st.sampled_from(Io))
def test_random_graphs(model: ir.Model, io: Io) -> None:
    check(model, io)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["vit_4", "swin_4"])
def test_small_networks(name: str) -> None:
    check(exported(name, {}), Io.FREE)
