"""The record of what passes make of a model, kept while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from layoutopt.ir.counts import Counts, count_onnx
from layoutopt.layout.costs.rejected_rewrites import RejectedRewrite
from layoutopt.passes import FoldConstants, Pass, PropagateLayout
from layoutopt.pipeline.manager import PassRecord
from layoutopt.pipeline.text import pass_name
from layoutopt.progress import PASSES, SAVINGS
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import Stage
from layoutopt.workflows.conversion import per_operator
from layoutopt.workflows.plan_facts import PlanFacts
from layoutopt.workflows.reasons import explain_layouts


@dataclass(slots=True)
class _Run:
    """The models after each pass, by its name, and the rewrites that were rejected."""

    after: list[tuple[str, ir.Model]] = field(default_factory=list)
    rejected: tuple[RejectedRewrite, ...] = ()

    def position(self, kind: type[Pass]) -> int | None:
        """Return where the first pass of a kind is."""
        return next((at for at, (name, _) in enumerate(self.after) if name == pass_name(kind)), None)


class PipelineRecorder:
    """Keep a model after each pass, and the reasons of the choice of layouts: an instrument of the pass manager.

    With sizes that stay symbolic the pipeline runs several times. What is told is of the run that `choose` names.

    Args:
        pipeline: the passes; one of them, but not the first, chooses layouts.
        model: the file that the model came from.
        say: called with what starts now.
        rejected: of `collect_rejected_rewrites`, in whose context the passes run; None where nobody asks for them.
    """

    def __init__(
        self,
        pipeline: Sequence[ir.passes.PassBase],
        *,
        model: Path | None,
        say: Callable[[str], None],
        rejected: MutableMapping[tuple[str, str], RejectedRewrite] | None = None,
    ) -> None:
        self._propagate = next(each for each in pipeline if isinstance(each, PropagateLayout))
        self._model = model
        self._say = say
        self._rejected = {} if rejected is None else rejected
        self._runs: list[_Run] = []
        self._chosen = 0

    def __call__(self, position: int, name: str, model: ir.Model) -> None:
        """Keep the model after a pass."""
        if position == 1:
            self._runs.append(_Run())
            self._rejected.clear()
        run = self._runs[-1]
        run.after.append((name, model.clone()))
        run.rejected = tuple(self._rejected.values())

    def choose(self, run: int) -> None:
        """Tell of a run of the pipeline from now on, of which there were so many before."""
        self._chosen = run

    @cached_property
    def explained(self) -> tuple[ExplainReport, PlanFacts]:
        """Return the explanation of the choice of layouts, and the facts about each node."""
        return explain_layouts(
            self.prepared, self._propagate, model=self._model, say=lambda step: self._say(f"{PASSES}: {step}")
        )

    @property
    def prepared(self) -> ir.Model:
        """Return the model before the choice of layouts, or that which there is if none has been made."""
        run = self._runs[self._chosen]
        chosen = run.position(PropagateLayout)
        return run.after[-1 if chosen is None else chosen - 1][1]

    @property
    def rejected(self) -> tuple[RejectedRewrite, ...]:
        """Return the rewrites that passes rejected."""
        return self._runs[self._chosen].rejected

    def stages(self, records: Sequence[PassRecord]) -> Iterator[Stage]:
        """Yield the original, then the model after each pass.

        A conversion in per-operator layout folds constants first, so what it would move before that pass is what
        it would move after it.

        Args:
            records: of the passes.
        """
        run = self._runs[self._chosen]
        fold = run.position(FoldConstants) or 0
        found: list[Counts] = []
        for record, (_, model) in list(zip(records, run.after, strict=True))[fold:]:
            if record.modified or not found:
                self._say(f"{SAVINGS}: {record.name}")
                found.append(count_onnx(per_operator(model.clone())))
            else:
                found.append(found[-1])
        first, *others = *[found[0]] * (fold + 1), *found
        yield Stage("original", 0.0, records[0].nodes_before, first.transposes, first.bytes_moved)
        for record, counts in zip(records, others, strict=True):
            yield Stage(record.name, record.seconds, record.nodes_after, counts.transposes, counts.bytes_moved)
