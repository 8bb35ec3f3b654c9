"""Tell why each transpose that `optimize` would leave is left."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from layoutopt.ir.io import make_static
from layoutopt.ir.stated_shapes import correct_stated_shapes
from layoutopt.layout.costs.rejected_rewrites import collect_rejected_rewrites
from layoutopt.passes import REWRITES, PropagateLayout
from layoutopt.pipeline.manager import PassManager
from layoutopt.pipeline.text import pass_name
from layoutopt.results.explain import ExplainReport
from layoutopt.workflows.models import error_context, source_of
from layoutopt.workflows.optimize import OptimizeOptions, optimize_model
from layoutopt.workflows.options import LayoutOptions, RunContext
from layoutopt.workflows.parts import load_within
from layoutopt.workflows.pipelines import build_pipeline
from layoutopt.workflows.recorder import PipelineRecorder

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
    position = next(at for at, each in enumerate(pipeline) if isinstance(each, PropagateLayout))
    with collect_rejected_rewrites() as rejected:
        recorder = PipelineRecorder(pipeline, model=source_of(model), say=context.say, rejected=rejected)
        if options.dynamic:
            shared = {each.name: getattr(options, each.name) for each in dataclasses.fields(LayoutOptions)}
            wanted = OptimizeOptions(**shared, convert=False, instruments=(recorder,))
            optimized = optimize_model(model, wanted, RunContext.of(context.say))
            recorder.choose(optimized.run)
            chosen_at = dict(optimized.report.chosen_at)
            original = optimized.original
        else:
            context.say("loading")
            original, _ = load_within(model, options.boundary)
            make_static(original, options.shapes or {})
            correct_stated_shapes(original)
            with error_context(original):
                PassManager(pipeline[:position], on_start=context.say, after=(recorder,)).run(original.clone())
    with error_context(original):
        report, _ = recorder.explained
    context.say.finish()
    names = {each.__name__: pass_name(each) for each in REWRITES}
    named = tuple(dataclasses.replace(each, rewrite=names[each.rewrite]) for each in recorder.rejected)
    return dataclasses.replace(report, chosen_at=chosen_at, rejected=named)
