"""Tell why each transpose that `optimize` would leave is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.layout.explain.explainer import explain as explain_plans
from layoutopt.layout.explain.missing_rules import missing_rules
from layoutopt.layout.solver.problem import Assignment
from layoutopt.passes import PropagateLayout
from layoutopt.pipeline.manager import PassManager
from layoutopt.results.explain import ExplainReport
from layoutopt.results.optimize import LayoutProof
from layoutopt.results.provenance import versions
from layoutopt.workflows.models import error_context, load_static, source_of
from layoutopt.workflows.options import LayoutOptions, RunContext
from layoutopt.workflows.pipelines import build_pipeline
from layoutopt.workflows.plan_facts import Knowledge, learn

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
    pipeline = build_pipeline(options)
    position, propagate = next((at, each) for at, each in enumerate(pipeline) if isinstance(each, PropagateLayout))
    context.say("loading")
    static = load_static(model, options.shapes or {})
    with error_context(static):
        prepared = PassManager(pipeline[:position], on_start=context.say).run(static.clone()).model
        report, _ = explain_layouts(prepared, propagate, model=source_of(model), say=context.say)
    context.say.finish()
    return report


def explain_layouts(
    prepared: ir.Model, propagate: PropagateLayout, *, model: Path | None, say: Callable[[str], None]
) -> tuple[ExplainReport, Knowledge]:
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
    )
    return report, learn(opset, plans, explanation)
