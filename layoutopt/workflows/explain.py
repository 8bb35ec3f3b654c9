"""Tell why each transpose that `optimize` would leave is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.ir.io import make_static
from layoutopt.ir.stated_shapes import correct_stated_shapes
from layoutopt.ir.symbols import find_symbols
from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.costs.declined import declined_rewrites
from layoutopt.layout.explain.explainer import explain as explain_plans
from layoutopt.layout.explain.missing_rules import missing_rules
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.pricing import price
from layoutopt.layout.solver.problem import Assignment
from layoutopt.options import Objective
from layoutopt.passes import REWRITES, PropagateLayout
from layoutopt.pipeline.manager import PassManager
from layoutopt.pipeline.text import pass_name
from layoutopt.results.explain import ExplainReport
from layoutopt.results.optimize import LayoutProof, ObjectiveChoice
from layoutopt.results.provenance import versions
from layoutopt.workflows.models import error_context, source_of
from layoutopt.workflows.optimize import OptimizeOptions, optimize_model
from layoutopt.workflows.options import LayoutOptions, RunContext
from layoutopt.workflows.parts import load_within
from layoutopt.workflows.pipelines import build_pipeline, passes_that_ran
from layoutopt.workflows.plan_facts import PlanFacts, facts_of

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


def explain_model(model: Model, options: LayoutOptions, context: RunContext) -> ExplainReport:
    """Tell why each transpose that `optimize` would leave is left. Write nothing.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: how layouts are chosen.
        context: of the run.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    pipeline, chosen_at = build_pipeline(options), {}
    if options.dynamic:
        shared = {each.name: getattr(options, each.name) for each in dataclasses.fields(LayoutOptions)}
        rewritten = optimize_model(model, OptimizeOptions(**shared, convert=False), RunContext.of(context.say)).report
        chosen_at, pipeline = dict(rewritten.chosen_at), passes_that_ran(pipeline, rewritten.passes)
        whole, _ = load_within(model, options.boundary)
        static = find_symbols(whole, options.dynamic, options.shapes or {}).at(chosen_at)
    else:
        context.say("loading")
        static, _ = load_within(model, options.boundary)
        make_static(static, options.shapes or {})
        correct_stated_shapes(static)
    position, propagate = next((at, each) for at, each in enumerate(pipeline) if isinstance(each, PropagateLayout))
    with error_context(static):
        with declined_rewrites() as declined:
            prepared = PassManager(pipeline[:position], on_start=context.say).run(static.clone()).model
        report, _ = explain_layouts(prepared, propagate, model=source_of(model), say=context.say)
    context.say.finish()
    names = {each.__name__: pass_name(each) for each in REWRITES}
    named = tuple(dataclasses.replace(each, rewrite=names[each.rewrite]) for each in declined.values())
    return dataclasses.replace(report, chosen_at=chosen_at, declined=named)


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
        anchors=sum(each.sensitive for each in plans.values()),
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
        spent = {each: sum(price(plan, costs[each]) for plan in chosen.values()) for each in Objective}
        transposes = sum(plan.transposes for plan in chosen.values())
        yield ObjectiveChoice(objective, transposes, spent[Objective.BYTES], spent[Objective.TIME])
