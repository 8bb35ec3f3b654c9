"""All about one model, before and after: recorded while `optimize_model` runs, and from what it returns."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.backend.litert.profile import OperatorTime, profile
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.errors import ConversionError, LayoutoptError, UnsupportedOperatorError, UsageError
from layoutopt.frontend.inputs import give_inputs
from layoutopt.ir import io as modelio
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.verify import Arrays
from layoutopt.layout.costs.rejected_rewrites import collect_rejected_rewrites
from layoutopt.options import Target, choose_if_given
from layoutopt.outputs import Outputs, writing, writing_apart
from layoutopt.passes import FoldConstants
from layoutopt.pipeline.manager import After
from layoutopt.results import provenance
from layoutopt.results.check import CheckReport
from layoutopt.results.comparison import Layer
from layoutopt.results.model_report import PER_OPERATOR, Layout, ModelGraph, ModelReport, Side
from layoutopt.results.optimize import ModelKind, OptimizeReport
from layoutopt.targets.checker import check_tflite
from layoutopt.workflows import graphs
from layoutopt.workflows.annotation import annotate
from layoutopt.workflows.conversion import Artifact, per_operator
from layoutopt.workflows.layerwise import compare_layers, compare_rewritten
from layoutopt.workflows.models import source_files, source_of
from layoutopt.workflows.optimize import Optimized, OptimizeOptions, optimize_model
from layoutopt.workflows.options import CommonOptions, RunContext, check_seed
from layoutopt.workflows.pipelines import build_pipeline
from layoutopt.workflows.recorder import PipelineRecorder

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions(CommonOptions):
    """The options of `layoutopt.api.report`.

    Attributes:
        benchmark: whether both .tflite files and each of their operators are timed.
        models: directory to write the two models to, ``before`` and ``after``; None for nowhere.
    """

    benchmark: bool = True
    models: Path | str | None = None


def report_model(model: Model, options: ReportOptions, context: RunContext) -> ModelReport:
    """Gather all about a model, before and after `optimize_model`.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: what is asked for.
        context: of the run.

    Raises:
        UsageError: ranges are to be saved.
        LayoutoptError: as `optimize_model`, but for what keeps the model from being converted.
    """
    check_seed(options.seed)
    if options.quantization is not None and options.quantization.save_ranges is not None:
        raise UsageError("a report writes no ranges", hint="Give save_ranges to optimize.")
    choose_if_given(Backend, options.backend, "backend")
    pipeline = build_pipeline(options)

    def report_in(folder: Path, targets: Mapping[str, Path], *, convert: bool) -> ModelReport:
        with collect_rejected_rewrites() as rejected:
            recorder = PipelineRecorder(pipeline, model=source_of(model), say=context.say, rejected=rejected)
            optimized = _optimize_in(folder, model, options, context, (recorder,), convert=convert)
        recorder.choose(optimized.run)
        inputs = give_inputs(optimized.original, None, shapes={}, seed=options.seed)
        builder = ReportBuilder(optimized.original, inputs, recorder, options, context)
        name = source.name if (source := source_of(model)) else optimized.original.graph.name or "model"
        return builder.build(name, optimized, targets)

    with writing(*source_files(model)) as outputs, context.directory() as folder, kept_alive():
        targets = _expect_models(options.models, outputs, force=options.force)
        try:
            found = report_in(folder, targets, convert=True)
        except (ConversionError, UnsupportedOperatorError) as error:
            found = report_in(folder, targets, convert=False)
            found = dataclasses.replace(found, notes=(f"no .tflite: {error.message.splitlines()[0]}", *found.notes))
        context.say.finish()
    return found


def _optimize_in(
    folder: Path,
    model: Model,
    options: ReportOptions,
    context: RunContext,
    instruments: Sequence[After],
    *,
    convert: bool,
) -> Optimized:
    """Optimize the model as it is asked for, with all that is made in ``folder``."""
    shared = {each.name: getattr(options, each.name) for each in dataclasses.fields(CommonOptions)}
    if not convert:
        shared |= {"quantize": Quantize.NONE, "calibration": None, "quantization": None, "target": None}
    wanted = OptimizeOptions(
        **{**shared, "force": True},
        output=folder / "optimized.onnx",  # for its size
        benchmark=options.benchmark and convert,
        convert=convert,
        instruments=instruments,
    )
    with writing_apart():
        inner = RunContext.of(context.say, verbose=context.verbose, scratch=folder)
        optimized = optimize_model(model, wanted, inner)
    check = optimized.report.check
    check = check and dataclasses.replace(check, file=Path(Side.AFTER.file(".tflite")))
    return dataclasses.replace(optimized, report=dataclasses.replace(optimized.report, output=None, check=check))


def _expect_models(models: Path | str | None, outputs: Outputs, *, force: bool) -> Mapping[str, Path]:
    """Reserve the places of the models of a report, and return where to write them, by name."""
    if models is None:
        return {}
    directory = Path(models)
    outputs.make_directory(directory)
    paths = [directory / side.file(suffix) for suffix in (".tflite", ".onnx") for side in Side]
    for path in paths:
        outputs.expect(path, force=force, companion=modelio.DATA if path.suffix == ".onnx" else "")
    return {path.name: outputs.stage(path) for path in paths}


@dataclass(slots=True)
class ReportBuilder:
    """Make a report of what `optimize_model` did.

    Attributes:
        original: the model, of static shapes.
        inputs: an array for each of its inputs.
        recorder: of what the passes made.
        options: what is asked for.
        context: of the run.
        notes: what the reader should know; grows.
    """

    original: ir.Model
    inputs: Arrays
    recorder: PipelineRecorder
    options: ReportOptions
    context: RunContext
    notes: list[str] = field(default_factory=list)

    def build(self, name: str, optimized: Optimized, models: Mapping[str, Path]) -> ModelReport:
        """Return the report, on .tflite files, or on ONNX models where no .tflite was made.

        Args:
            name: of the model.
            optimized: what was made of it.
            models: where to write the models, by ``before.tflite``, ``after.onnx`` and so on; empty for nowhere.
        """
        check_before = self._checked(optimized.baseline)
        graphs_of = self._of_models if optimized.tflite is None else self._of_tflites
        before, after = graphs_of(optimized, models)
        report = self._report(name, optimized.report, before, after)
        return dataclasses.replace(report, check_before=check_before)

    def _checked(self, baseline: Artifact | None) -> CheckReport | None:
        """Return what the target runs of the baseline; None without one of both."""
        target = choose_if_given(Target, self.options.target, "target")
        if baseline is None or target is None:
            return None
        return dataclasses.replace(check_tflite(baseline.path, target), file=Path(Side.BEFORE.file(".tflite")))

    def _of_tflites(self, optimized: Optimized, models: Mapping[str, Path]) -> tuple[ModelGraph | None, ModelGraph]:
        """Return the graphs of the .tflite files, which are moved to where they are wanted."""
        found: dict[Side, ModelGraph] = {}
        for side, artifact in ((Side.BEFORE, optimized.baseline), (Side.AFTER, optimized.tflite)):
            if artifact is not None:
                found[side] = self._of_tflite(artifact)
                if target := models.get(side.file(".tflite")):
                    shutil.move(artifact.path, target)
        return found.get(Side.BEFORE), found[Side.AFTER]

    def _of_models(self, optimized: Optimized, models: Mapping[str, Path]) -> tuple[ModelGraph, ModelGraph]:
        """Return the graphs of the ONNX models, which are written to where they are wanted."""
        unoptimized = per_operator(FoldConstants()(self.original).model)
        before = self._of_model(unoptimized, PER_OPERATOR)
        after = self._of_model(optimized.model, ModelKind.ONNX.value, planned=True)
        for side, model in ((Side.BEFORE, unoptimized), (Side.AFTER, optimized.model)):
            if target := models.get(side.file(".onnx")):
                modelio.write_model(model, target)
        return before, after

    def _report(self, name: str, report: OptimizeReport, before: ModelGraph | None, after: ModelGraph) -> ModelReport:
        explained, _ = self.recorder.explained
        if report.baseline is not None and report.baseline.error:
            self.notes.append(f"The graph before is the {report.baseline.kind.value}: {report.baseline.error}")
        return ModelReport(
            name=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=provenance.Provenance.here().machine,
            optimize=report,
            explain=explained,
            before=before,
            after=after,
            stages=tuple(self.recorder.stages(report.passes)),
            notes=(*report.notes, *self.notes),
        )

    def _of_tflite(self, artifact: Artifact) -> ModelGraph:
        path, stats = artifact.path, artifact.stats
        title = stats.kind.value
        graph, names = graphs.of_tflite(path, title)
        if hidden := stats.operators - len(graph.nodes):
            self.notes.append(f"{title}: {hidden} operators in bodies of IF and WHILE are counted, but not shown.")

        def compare(model: ir.Model) -> Mapping[str, Layer]:
            say = partial(self._say_of, title)
            found = compare_layers(
                model, self.inputs, path, tolerance=self.options.tolerance, verbose=self.context.verbose, say=say
            )
            return {names[layer.index]: layer for layer in found.layers}

        times = {str(each.position): each.microseconds for each in self._times(path, title)}
        return self._annotated(graph, compare, planned=stats.kind is ModelKind.LAYOUTOPT, microseconds=times)

    def _of_model(self, model: ir.Model, title: str, *, planned: bool = False) -> ModelGraph:
        graph = graphs.of_onnx(model, title)
        if hidden := count_onnx(model).operators - len(graph.nodes):
            self.notes.append(f"{title}: {hidden} operators in bodies of If, Loop and Scan are not shown.")

        def compare(original: ir.Model) -> Mapping[str, Layer]:
            self._say_of(title, "ONNX Runtime, value by value")
            return {layer.tensor: layer for layer in compare_rewritten(original, self.inputs, model)}

        return self._annotated(graph, compare, planned=planned)

    def _annotated(
        self,
        graph: ModelGraph,
        compare: Callable[[ir.Model], Mapping[str, Layer]],
        *,
        planned: bool,
        microseconds: Mapping[str, float] | None = None,
    ) -> ModelGraph:
        """Return the graph with what ``compare`` finds in it of the original, and of what passes have made of that."""
        _, facts = self.recorder.explained
        layers: Mapping[str, Layer] = {}
        with self._noted(f"{graph.title}: no layouts and errors"):
            layers = compare(self.original)
        describe = partial(annotate, graph, layers, facts, planned=planned, microseconds=microseconds)
        found = describe()
        if layers and any(tensor.layout is Layout.UNKNOWN and tensor.has_order for tensor in found.tensors.values()):
            with suppress(LayoutoptError):
                found = describe(prepared=compare(self.recorder.prepared))
        return found

    def _say_of(self, title: str, stage: str) -> None:
        self.context.say(f"{title}: {stage}")

    def _times(self, path: Path, title: str) -> Sequence[OperatorTime]:
        if not self.options.benchmark:
            return ()
        self.context.say(f"{title}: LiteRT's profiler")
        with self._noted(f"{title}: no times of operators"):
            return profile(path, threads=self.options.threads, verbose=self.context.verbose)
        return ()

    @contextmanager
    def _noted(self, missing: str) -> Iterator[None]:
        """Turn an error into a note of what is missing."""
        try:
            yield
        except LayoutoptError as error:
            self.notes.append(f"{missing}: {error.message.splitlines()[0]}")
