"""All about one model, before and after: gathered while `optimize` runs, and from what it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import onnx_ir as ir

from layoutopt.backend.litert.profile import OperatorTime, profile
from layoutopt.drift import compare_layers, compare_rewritten
from layoutopt.errors import LayoutoptError
from layoutopt.forms import HandOff, sandwich
from layoutopt.ir import io as modelio
from layoutopt.ir.counts import Counts, count_onnx
from layoutopt.ir.verify import Arrays
from layoutopt.layout.explain.explainer import explain as explain_plans
from layoutopt.layout.explain.missing_rules import missing_rules
from layoutopt.layout.solver.problem import Assignment
from layoutopt.passes import FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassRecord
from layoutopt.progress import PASSES, SAVINGS
from layoutopt.report import graphs, results
from layoutopt.report.annotation import annotate
from layoutopt.report.comparison import Layer
from layoutopt.report.knowledge import Knowledge, learn
from layoutopt.report.model_report import PER_OPERATOR, Graph, Layout, ModelReport, Stage
from layoutopt.report.results import ExplainReport, Form, Kind, OptimizeReport

Say = Callable[[str], None]


def explain_model(
    prepared: ir.Model, propagate: PropagateLayout, *, model: Path | None, say: Say
) -> tuple[ExplainReport, Knowledge]:
    """Tells why each transpose that ``propagate`` would leave is left, and what it knows of each node.

    Args:
        prepared: behind the passes in front of ``propagate``; it is not changed.
        propagate: chooses the layouts.
        model: the file that it came from.
        say: called with what starts now.
    """
    graph, opset = prepared.graph, prepared.opset_imports.get("", 0)
    say("layouts")
    plans = propagate.plans(prepared)
    plan, explanation = plans[graph], explain_plans(opset, plans)
    say("what more layout rules would buy")
    missing = missing_rules(
        graph, opset, plan, explanation.copies, lambda assumed: propagate.plan(prepared, assumed=assumed)
    )
    report = ExplainReport(
        model=model,
        layout=results.LayoutProof.of(
            Assignment.together([each.total for each in plans.values()]), propagate.objective
        ),
        explanation=explanation,
        missing=tuple(missing),
        anchors=sum(each.sensitive for each in plans.values()),
        versions=results.versions(),
    )
    return report, learn(opset, plans, explanation)


class Observer:
    """Looks at a model while passes run over it: an instrument of the pass manager.

    Args:
        pipeline: the passes; one of them, but not the first, chooses layouts.
        model: the file that the model came from.
        say: called with what starts now.
    """

    def __init__(self, pipeline: Sequence[ir.passes.PassBase], *, model: Path | None, say: Say) -> None:
        self._pipeline = pipeline
        self._model = model
        self._say = say
        self._behind: list[ir.Model] = []
        self._explained: tuple[ExplainReport, Knowledge] | None = None
        self._prepared: ir.Model | None = None

    def __call__(self, position: int, name: str, model: ir.Model) -> None:
        """Keeps the model behind a pass; in front of the choice of layouts, asks for its reasons."""
        del name
        self._behind.append(model.clone())
        following = self._pipeline[position] if position < len(self._pipeline) else None
        if isinstance(following, PropagateLayout):
            self._prepared = self._behind[-1]
            self._explained = explain_model(
                model, following, model=self._model, say=lambda step: self._say(f"{PASSES}: {step}")
            )

    @property
    def explained(self) -> tuple[ExplainReport, Knowledge]:
        """What was found in front of the choice of layouts."""
        assert self._explained is not None, "no pass has chosen layouts"
        return self._explained

    @property
    def prepared(self) -> ir.Model:
        """The model in front of the choice of layouts."""
        assert self._prepared is not None, "no pass has chosen layouts"
        return self._prepared

    def stages(self, records: Sequence[PassRecord]) -> Iterator[Stage]:
        """The original, then the model behind each pass.

        An operator-by-operator conversion folds constants first, so what it would move in front of that pass is what
        it would move behind it.

        Args:
            records: of the passes.
        """
        fold = next((at for at, each in enumerate(self._pipeline) if isinstance(each, FoldConstants)), 0)
        found: list[Counts] = []
        for record, model in list(zip(records, self._behind, strict=True))[fold:]:
            if record.modified or not found:
                self._say(f"{SAVINGS}: {record.name}")
                found.append(count_onnx(sandwich(model.clone())))
            else:
                found.append(found[-1])
        first, *others = *[found[0]] * (fold + 1), *found
        yield Stage("original", 0.0, records[0].nodes_before, first.transposes, first.bytes_moved)
        for record, counts in zip(records, others, strict=True):
            yield Stage(record.name, record.seconds, record.nodes_after, counts.transposes, counts.bytes_moved)


@dataclass(slots=True)
class Gatherer:
    """Makes a report of what `optimize` did and left.

    Attributes:
        original: the model, of static shapes.
        inputs: an array for each of its inputs.
        observer: that looked on.
        tolerance: the bound on relative errors.
        threads: of XNNPACK, for the times.
        benchmark: whether operators are timed.
        verbose: let TensorFlow's and LiteRT's chatter through.
        say: called with what starts now.
        notes: what the reader should know; grows.
    """

    original: ir.Model
    inputs: Arrays
    observer: Observer
    tolerance: float
    threads: int
    benchmark: bool
    verbose: bool
    say: Say
    notes: list[str] = field(default_factory=list)

    def of_tflites(self, name: str, report: OptimizeReport, scratch: Path, models: Mapping[str, Path]) -> ModelReport:
        """The report on two .tflite files.

        Args:
            name: of the model.
            report: of `optimize`.
            scratch: where it left them.
            models: where to write what is made, by ``before.tflite`` and ``after.tflite``; empty for nowhere.
        """
        found: dict[str, Graph] = {}
        for side, form in (("before", report.baseline), ("after", report.optimized)):
            if form is not None:
                path = HandOff.path(scratch, form.kind)
                found[side] = self._of_tflite(path, form)
                if target := models.get(f"{side}.tflite"):
                    shutil.move(path, target)
        return self._report(name, report, found.get("before"), found["after"])

    def of_models(
        self, name: str, report: OptimizeReport, optimized: ir.Model, models: Mapping[str, Path]
    ) -> ModelReport:
        """The report on ONNX models, where no .tflite can be had.

        Args:
            name: of the model.
            report: of `optimize`.
            optimized: the model behind the pipeline.
            models: where to write the two, by ``before.onnx`` and ``after.onnx``; empty for nowhere.
        """
        unoptimized = sandwich(FoldConstants()(self.original).model)
        before = self._of_model(unoptimized, PER_OPERATOR)
        after = self._of_model(optimized, Kind.ONNX.value, planned=True)
        for key, model in (("before.onnx", unoptimized), ("after.onnx", optimized)):
            if target := models.get(key):
                modelio.write_model(model, target)
        return self._report(name, report, before, after)

    def _report(self, name: str, report: OptimizeReport, before: Graph | None, after: Graph) -> ModelReport:
        explained, _ = self.observer.explained
        if report.baseline is not None and report.baseline.error:
            self.notes.append(f"The graph before is the {report.baseline.kind.value}: {report.baseline.error}")
        return ModelReport(
            name=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=results.Provenance.here().machine,
            optimize=report,
            explain=explained,
            before=before,
            after=after,
            stages=tuple(self.observer.stages(report.passes)),
            notes=(*report.notes, *self.notes),
        )

    def _of_tflite(self, path: Path, form: Form) -> Graph:
        title = form.kind.value
        graph, names = graphs.of_tflite(path, title)
        if hidden := form.operators - len(graph.nodes):
            self.notes.append(f"{title}: {hidden} operators in bodies of IF and WHILE are counted, but not shown.")

        def compare(model: ir.Model) -> Mapping[str, Layer]:
            say = partial(self._say_of, title)
            found = compare_layers(model, self.inputs, path, tolerance=self.tolerance, verbose=self.verbose, say=say)
            return {names[layer.index]: layer for layer in found.layers}

        times = {str(each.position): each.microseconds for each in self._times(path, title)}
        return self._annotated(graph, compare, planned=form.kind is Kind.LAYOUTOPT, microseconds=times)

    def _of_model(self, model: ir.Model, title: str, *, planned: bool = False) -> Graph:
        graph = graphs.of_onnx(model, title)
        if hidden := count_onnx(model).operators - len(graph.nodes):
            self.notes.append(f"{title}: {hidden} operators in bodies of If, Loop and Scan are not shown.")

        def compare(original: ir.Model) -> Mapping[str, Layer]:
            self._say_of(title, "ONNX Runtime, value by value")
            return {layer.tensor: layer for layer in compare_rewritten(original, self.inputs, model)}

        return self._annotated(graph, compare, planned=planned)

    def _annotated(
        self,
        graph: Graph,
        compare: Callable[[ir.Model], Mapping[str, Layer]],
        *,
        planned: bool,
        microseconds: Mapping[str, float] | None = None,
    ) -> Graph:
        """The graph with what ``compare`` finds in it of the original, and of what passes have made of that."""
        _, knowledge = self.observer.explained
        layers: Mapping[str, Layer] = {}
        with self._noted(f"{graph.title}: no layouts and errors"):
            layers = compare(self.original)
        describe = partial(annotate, graph, layers, knowledge, planned=planned, microseconds=microseconds)
        found = describe()
        if layers and any(tensor.layout is Layout.UNKNOWN and tensor.has_order for tensor in found.tensors.values()):
            with suppress(LayoutoptError):
                found = describe(prepared=compare(self.observer.prepared))
        return found

    def _say_of(self, title: str, stage: str) -> None:
        self.say(f"{title}: {stage}")

    def _times(self, path: Path, title: str) -> Sequence[OperatorTime]:
        if not self.benchmark:
            return ()
        self.say(f"{title}: LiteRT's profiler")
        with self._noted(f"{title}: no times of operators"):
            return profile(path, threads=self.threads, verbose=self.verbose)
        return ()

    @contextmanager
    def _noted(self, missing: str) -> Iterator[None]:
        """Turns an error into a note of what is missing."""
        try:
            yield
        except LayoutoptError as error:
            self.notes.append(f"{missing}: {error.message.splitlines()[0]}")
