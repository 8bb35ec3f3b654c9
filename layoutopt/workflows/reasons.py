"""The reasons of a choice of layouts, and what each objective would choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import onnx_ir as ir

from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.explain.explainer import explain as explain_plans
from layoutopt.layout.explain.missing_rules import missing_rules
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.plan_cost import cost_of_plan
from layoutopt.layout.solver.problem import Assignment
from layoutopt.options import Objective
from layoutopt.passes import PropagateLayout
from layoutopt.results.explain import ExplainReport
from layoutopt.results.optimize import LayoutProof, ObjectiveChoice
from layoutopt.results.provenance import versions
from layoutopt.workflows.plan_facts import PlanFacts, facts_of


def explain_layouts(
    prepared: ir.Model, propagate: PropagateLayout, *, model: Path | None, say: Callable[[str], None]
) -> tuple[ExplainReport, PlanFacts]:
    """Tell why each transpose that ``propagate`` would leave is left, and what it knows of each node.

    Args:
        prepared: after the passes before ``propagate``; it is not changed.
        propagate: chooses the layouts.
        model: the file that it came from.
        say: called with what starts now.
    """
    graph, opset = prepared.graph, prepared.opset_imports.get("", 0)
    say("layouts")
    plans = propagate.plans(prepared)
    plan, explanation = plans[graph], explain_plans(opset, plans)
    say("what more layout rules could save")
    missing = missing_rules(
        graph, opset, plan, explanation.copies, lambda assumed: propagate.plan(prepared, assumed=assumed)
    )
    report = ExplainReport(
        model=model,
        layout=LayoutProof.of(Assignment.together([each.total for each in plans.values()]), propagate.objective),
        explanation=explanation,
        missing=tuple(missing),
        layout_sensitive=sum(each.sensitive for each in plans.values()),
        versions=versions(),
        choices=tuple(_choices(prepared, propagate, plans)),
    )
    return report, facts_of(opset, plans, explanation)


def _choices(
    prepared: ir.Model, propagate: PropagateLayout, plans: Mapping[ir.Graph, Plan]
) -> Iterator[ObjectiveChoice]:
    """Yield what each objective chooses and what that costs, ``plans`` being the choice of ``propagate``."""
    costs = {each: load_costs(each, threads=propagate.threads) for each in Objective}
    for objective in Objective:
        chosen = plans
        if objective is not propagate.objective:
            chosen = dataclasses.replace(propagate, objective=objective).plans(prepared)
        spent = {each: sum(cost_of_plan(plan, costs[each]) for plan in chosen.values()) for each in Objective}
        transposes = sum(plan.transposes for plan in chosen.values())
        yield ObjectiveChoice(objective, transposes, spent[Objective.BYTES], spent[Objective.TIME])
