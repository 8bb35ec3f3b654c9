"""The record of what passes make of a model, kept while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx_ir as ir

from layoutopt.ir.counts import Counts, count_onnx
from layoutopt.passes import FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassRecord
from layoutopt.progress import PASSES, SAVINGS
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import Stage
from layoutopt.workflows.conversion import per_operator
from layoutopt.workflows.explain import explain_layouts
from layoutopt.workflows.plan_facts import PlanFacts


class PipelineRecorder:
    """Keep a model after each pass, and the reasons of the choice of layouts: an instrument of the pass manager.

    Args:
        pipeline: the passes; one of them, but not the first, chooses layouts.
        model: the file that the model came from.
        say: called with what starts now.
    """

    def __init__(
        self, pipeline: Sequence[ir.passes.PassBase], *, model: Path | None, say: Callable[[str], None]
    ) -> None:
        self._pipeline = pipeline
        self._model = model
        self._say = say
        self._after: list[ir.Model] = []
        self._explained: tuple[ExplainReport, PlanFacts] | None = None
        self._prepared: ir.Model | None = None

    def __call__(self, position: int, name: str, model: ir.Model) -> None:
        """Keep the model after a pass; just before the choice of layouts, also explain that choice."""
        del name
        self._after.append(model.clone())
        following = self._pipeline[position] if position < len(self._pipeline) else None
        if isinstance(following, PropagateLayout):
            self._prepared = self._after[-1]
            self._explained = explain_layouts(
                model, following, model=self._model, say=lambda step: self._say(f"{PASSES}: {step}")
            )

    @property
    def explained(self) -> tuple[ExplainReport, PlanFacts]:
        """Return the explanation of the choice of layouts, and the facts about each node."""
        assert self._explained is not None, "no pass has chosen layouts"
        return self._explained

    @property
    def prepared(self) -> ir.Model:
        """Return the model before the choice of layouts."""
        assert self._prepared is not None, "no pass has chosen layouts"
        return self._prepared

    def stages(self, records: Sequence[PassRecord]) -> Iterator[Stage]:
        """Yield the original, then the model after each pass.

        A conversion in per-operator layout folds constants first, so what it would move before that pass is what
        it would move after it.

        Args:
            records: of the passes.
        """
        fold = next((at for at, each in enumerate(self._pipeline) if isinstance(each, FoldConstants)), 0)
        found: list[Counts] = []
        for record, model in list(zip(records, self._after, strict=True))[fold:]:
            if record.modified or not found:
                self._say(f"{SAVINGS}: {record.name}")
                found.append(count_onnx(per_operator(model.clone())))
            else:
                found.append(found[-1])
        first, *others = *[found[0]] * (fold + 1), *found
        yield Stage("original", 0.0, records[0].nodes_before, first.transposes, first.bytes_moved)
        for record, counts in zip(records, others, strict=True):
            yield Stage(record.name, record.seconds, record.nodes_after, counts.transposes, counts.bytes_moved)
