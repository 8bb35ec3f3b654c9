"""Rewrite a model, convert it, build the baseline, and compare all of them with the original."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.backend.conversion import Backend, Quantize, choose_backend
from layoutopt.backend.litert.runtime import Setting, measure
from layoutopt.boundary.description import Description, ReadDescription
from layoutopt.boundary.detections import sized_by_data_note
from layoutopt.boundary.record import preprocessing_left
from layoutopt.boundary.writing import describe
from layoutopt.errors import ConversionError, UnsupportedOperatorError, UsageError
from layoutopt.files import paths_among
from layoutopt.frontend.inputs import give_inputs
from layoutopt.ir import io as modelio
from layoutopt.ir.protos import model_size
from layoutopt.ir.stated_shapes import correct_stated_shapes
from layoutopt.ir.symbols import BATCH, find_symbols
from layoutopt.ir.verify import Arrays, Reference
from layoutopt.memory import few_collections
from layoutopt.options import FOLD_LIMIT, Target, Verify, choose, choose_if_given
from layoutopt.outputs import Outputs, writing
from layoutopt.passes import REWRITES
from layoutopt.pipeline.manager import After, PassManager, PipelineResult
from layoutopt.quantization.request import QuantizationOptions
from layoutopt.results.optimize import OptimizeReport
from layoutopt.targets.checker import check_tflite
from layoutopt.targets.rules import rule_table
from layoutopt.tfl.rewrites import Takes
from layoutopt.workflows.conversion import Artifact, Converter, make_baseline
from layoutopt.workflows.dynamic import DynamicModel
from layoutopt.workflows.latencies import Effort, time_together
from layoutopt.workflows.models import error_context, run_original, source_files, source_of
from layoutopt.workflows.options import CommonOptions, RunContext, check_seed
from layoutopt.workflows.output_paths import OutputPaths
from layoutopt.workflows.parts import load_within, naming_cuts
from layoutopt.workflows.pipelines import Dump, Pipeline, build_pipeline, check_after, dump_after, follow
from layoutopt.workflows.quantize import check_quantization, prepared_quantizer, write_ranges
from layoutopt.workflows.static import RunPipeline, StaticModel
from layoutopt.workflows.summary import summarize_onnx, with_tflite

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model

_GRAPH_ALONE = "The optimized .onnx can be had without a .tflite: --no-tflite."


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeOptions(CommonOptions):
    """The options of `layoutopt.optimize`.

    Attributes:
        output: where to write the optimized .onnx.
        tflite: where to write the .tflite.
        saved_model: directory to write the SavedModel to.
        convert: whether a .tflite is made.
        description: what the .tflite tells of itself and its labels, for the apps that read it.
        passes: the pipeline as text; the default one where it is None.
        verify: what is compared with the original in ONNX Runtime.
        input: what it is compared on: an .npz file with an array for each input by its name, an image, or the arrays;
            random numbers where it is None.
        baseline: whether the baseline is built too.
        benchmark: whether both .tflite files are timed.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        fold_limit: bytes up to which what repeats constants (Expand, Tile, ConstantOfShape) becomes a constant itself;
            1 MiB where it is None. TensorFlow's converter folds as it likes.
        winograd: compute the .tflite's convolutions by Winograd's algorithms where a model of costs says that this is
            faster on a CPU. The file becomes larger. Of the direct backend, on floats, at fixed sizes.
        dump: where to write the graph after passes.
        instruments: called after each pass with its position from 1, its name and the model.
        scratch: directory for what is made on the way, such as the .tflite of the baseline; a temporary one where it is
            None.
    """

    output: Path | str | None = None
    tflite: Path | str | None = None
    saved_model: Path | str | None = None
    convert: bool = True
    description: Description | None = None
    passes: str | None = None
    verify: Verify | str = Verify.RESULT
    input: Path | str | Arrays | None = None
    baseline: bool = True
    benchmark: bool = False
    allow_flex: bool = False
    fold_limit: int | None = None
    winograd: bool = False
    dump: Dump | None = None
    instruments: Sequence[After] = ()
    scratch: Path | None = None

    def check(self) -> None:
        """Refuse what is wrong by itself, before any work is done.

        Raises:
            UsageError: a choice that does not exist, or two that contradict each other.
        """
        choose(Verify, self.verify, "verify")
        quantize = choose(Quantize, self.quantize, "quantize")
        check_seed(self.seed)
        check_quantization(quantize, self.calibration, self.quantization, self.dynamic, convert=self.convert)
        if not self.convert and (self.tflite or self.saved_model or self.benchmark or self.description):
            raise UsageError("no .tflite without a conversion", hint="Go without --no-tflite.")
        if _target(self) is not None and (self.dynamic or not self.convert):
            other = "--dynamic" if self.dynamic else "--no-tflite"
            raise UsageError("--target is for a .tflite of fixed sizes", hint=f"Go without {other}.")
        if _selects(self) and self.dynamic:
            raise UsageError("--detection-postprocess is for fixed sizes", hint="Go without --dynamic.")
        if self.winograd and (other := self.contradicts_winograd()):
            raise UsageError(
                f"--winograd and {other} contradict each other",
                hint="It is for the float weights and fixed sizes of a .tflite from the direct backend.",
            )

    def contradicts_winograd(self) -> str:
        """Return the first option that Winograd's algorithms do not go together with; empty where there is none."""
        quantize = choose(Quantize, self.quantize, "quantize")
        refused = {
            "--no-tflite": not self.convert,
            "--exact": self.exact,
            "--dynamic": bool(self.dynamic),
            "--target": self.target is not None,
            f"--quantize {quantize.value}": quantize is not Quantize.NONE,
            "--backend onnx-tf": choose_if_given(Backend, self.backend, "backend") is Backend.ONNX_TF,
        }
        return next((option for option, is_given in refused.items() if is_given), "")


@dataclass(frozen=True, slots=True)
class Optimized:
    """The outcome of `optimize_model`.

    Attributes:
        report: all that was done, counted and measured.
        model: the optimized ONNX model.
        original: the model that it was made of, of static shapes.
        run: how many runs of the pipeline there were before the one that chose the layouts.
        tflite: of the optimized model; None where none was made. Its file is in the scratch directory of the context,
            while that is there and nothing else was to become of it.
        baseline: as ``tflite``, of what one would have without layoutopt.
    """

    report: OptimizeReport
    model: ir.Model
    original: ir.Model
    run: int = 0
    tflite: Artifact | None = None
    baseline: Artifact | None = None


@few_collections()
def optimize_model(model: Model, options: OptimizeOptions, context: RunContext) -> Optimized:
    """Rewrite a model to NHWC with the fastest layouts, convert it, and compare it with the baseline.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: what is asked for.
        context: of the run.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    options.check()
    quantize = choose(Quantize, options.quantize, "quantize")
    asked = options.quantization or QuantizationOptions()
    if options.boundary is not None and options.boundary.preprocess:
        asked = asked.of_pixels()
    described = None if options.description is None else options.description.read()
    read = paths_among(options.input, options.calibration, asked.load_ranges)
    sources = [] if options.description is None else options.description.sources
    with writing(*source_files(model), *read, *sources) as outputs, ExitStack() as stack:
        paths = OutputPaths.of(options.output, options.tflite, options.saved_model)
        paths.expect(outputs, force=options.force)
        if asked.save_ranges is not None:
            outputs.expect(Path(asked.save_ranges), "--save-ranges", force=options.force)
        backend = _backend(model, options, paths, quantize)
        pipeline = build_pipeline(options, options.passes, fold_limit=options.fold_limit)
        instruments = (*dump_after(options.dump, pipeline, outputs, force=options.force), *options.instruments)
        rewriting, notes = _prepare(model, options, pipeline, instruments, context)
        quantizer = stack.enter_context(
            prepared_quantizer(rewriting.original, quantize, options.calibration, asked, context)
        )
        with error_context(rewriting.original):
            result, verification = rewriting.onnx()
        size = _write_onnx(result.model, paths.output, outputs, context)
        report = summarize_onnx(rewriting, pipeline, result, verification, file_size=size)
        notes = (*notes, *preprocessing_left(result.model), *report.notes)
        notes = (*notes, *(sized_by_data_note(result.model) if options.convert else ()))
        report = dataclasses.replace(report, model=source_of(model), output=paths.output, notes=notes)
        made = Optimized(report, result.model, rewriting.original, rewriting.run)
        if options.convert:
            with context.directory() as folder, naming_cuts(model, options.boundary):
                converter = Converter(
                    *(folder, context, rewriting.reference, options.tolerance),
                    quantize=quantize if quantizer is None else Quantize.NONE,
                    allow_flex=options.allow_flex,
                    backend=backend,
                    fold_limit=FOLD_LIMIT if options.fold_limit is None else options.fold_limit,
                    winograd=options.winograd,
                    quantizer=quantizer,
                    takes=_takes(options),
                )
                made = _with_conversion(made, rewriting, result, converter, paths, options, described)
                _take(made, paths, outputs, context)
            write_ranges(quantizer, asked.save_ranges, outputs)
        else:
            made = _with_notes(made, "Counts are of the ONNX graph.")
        context.say.finish()
    return dataclasses.replace(made, report=dataclasses.replace(made.report, seconds=context.say.seconds))


def _backend(model: Model, options: OptimizeOptions, paths: OutputPaths, quantize: Quantize) -> Backend:
    """Return the backend that is asked for, or the default one for this model and these outputs."""
    return choose_backend(
        Backend.DIRECT if options.winograd else choose_if_given(Backend, options.backend, "backend"),
        saved_model=paths.saved_model is not None,
        allow_flex=options.allow_flex,
        quantize=quantize,
        size=model_size(model),
        open_sizes=bool(set(options.dynamic) - {BATCH}),
        direct_only=_direct_only(options),
    )


def _direct_only(options: OptimizeOptions) -> str:
    """Return the option that only the direct backend can follow; empty without one."""
    if options.target is not None:
        return "--target"
    return "--detection-postprocess" if _selects(options) else ""


def _selects(options: OptimizeOptions) -> bool:
    return options.boundary is not None and options.boundary.detection_postprocess is not None


def _target(options: OptimizeOptions) -> Target | None:
    return choose_if_given(Target, options.target, "target")


def _takes(options: OptimizeOptions) -> Takes | None:
    """Return what tells which operations the target takes; None without one."""
    target = _target(options)
    return None if target is None else rule_table(target).takes_form


# --- the .onnx -------------------------------------------------------------------------------------------------------


def _rewriter(
    pipeline: Pipeline, options: OptimizeOptions, instruments: Sequence[After], context: RunContext
) -> RunPipeline:
    """Return what runs the pipeline, with a check against the reference after each pass if that is asked for."""
    each = choose(Verify, options.verify, "verify") is Verify.EACH

    def rewrite(static: ir.Model, reference: Reference | None, like: PipelineResult | None = None, /) -> PipelineResult:
        checks = check_after(reference if each else None, options.tolerance)
        passes = pipeline if like is None else follow(pipeline, like.chosen)
        result = PassManager(passes, on_start=context.say, after=(*checks, *instruments)).run(static)
        context.say("verification")
        return result

    return rewrite


def _prepare(
    model: Model, options: OptimizeOptions, pipeline: Pipeline, instruments: Sequence[After], context: RunContext
) -> tuple[StaticModel | DynamicModel, tuple[str, ...]]:
    """Load the model with the requested shapes and run it for reference; also return notes on its boundary."""
    context.say("loading")
    rewrite = _rewriter(pipeline, options, instruments, context)
    shapes: Mapping[str, tuple[int, ...]] = options.shapes or {}
    if options.dynamic and options.input is not None:
        raise UsageError(
            "--input has one size, and --dynamic is verified at several",
            hint="Leave out --input: the inputs are random at each size.",
        )
    original, notes = load_within(model, options.boundary)
    if options.dynamic:
        symbolic = find_symbols(original, options.dynamic, shapes, seed=options.seed)
        context.say("ONNX Runtime on the original")
        same_at_any_size = tuple(each for each in pipeline if not isinstance(each, REWRITES))
        rewrites = [rewrite, _rewriter(same_at_any_size, options, instruments, context)]
        return DynamicModel(symbolic, rewrites, seed=options.seed, tolerance=options.tolerance), notes
    reference = None
    given = Path(options.input) if isinstance(options.input, str) else options.input
    inputs = give_inputs(original, given, shapes=shapes, seed=options.seed)
    corrected = correct_stated_shapes(original)
    if choose(Verify, options.verify, "verify") is not Verify.NONE:
        context.say("ONNX Runtime on the original")
        with error_context(original):
            reference = run_original(original, None if given is None else inputs, shapes, options.seed)
        reference.correct_ranks(original)
    return StaticModel(original, reference, rewrite, options.tolerance, notes=corrected), notes


def _write_onnx(model: ir.Model, path: Path | None, outputs: Outputs, context: RunContext) -> int:
    """Write the optimized model, if it has a place, and return its size in bytes."""
    if path is None:
        return 0
    context.say("write .onnx")
    with outputs.filling(path) as staged:
        modelio.write_model(model, staged)
        return staged.stat().st_size


# --- the .tflite -----------------------------------------------------------------------------------------------------


def _with_conversion(
    made: Optimized,
    rewriting: StaticModel | DynamicModel,
    result: PipelineResult,
    converter: Converter,
    paths: OutputPaths,
    options: OptimizeOptions,
    described: ReadDescription | None,
) -> Optimized:
    """Return what was made with its .tflite and the baseline, and the times of both where they are asked for."""
    try:
        artifact = rewriting.tflite(result, converter, saved_model=paths.saved_model is not None)
    except (ConversionError, UnsupportedOperatorError) as error:
        error.hint = f"{error.hint}\n{_GRAPH_ALONE}".strip()
        raise
    describe(artifact.conversion, artifact.path, result.model, described)
    report = dataclasses.replace(
        made.report, tflite=paths.tflite, saved_model=paths.saved_model, dynamic=rewriting.checks
    )
    report = with_tflite(report, artifact, converter.quantizer, allows_winograd=not options.contradicts_winograd())
    made = dataclasses.replace(made, report=report, tflite=artifact)
    if (target := _target(options)) is not None:
        checked = dataclasses.replace(check_tflite(artifact.path, target), file=paths.tflite or artifact.path)
        made = dataclasses.replace(made, report=dataclasses.replace(made.report, check=checked))
    if options.baseline:
        made = _with_baseline(made, rewriting.original, converter)
    comparable = made.baseline is not None or not options.baseline
    return _timed(made, options.threads, converter.context) if options.benchmark and comparable else made


def _with_baseline(made: Optimized, original: ir.Model, converter: Converter) -> Optimized:
    """Return what was made with the baseline; with a note where that cannot be had or is wrong."""
    try:
        baseline = make_baseline(original, converter)
    except (ConversionError, UnsupportedOperatorError) as error:
        return _with_notes(made, f"no baseline: {error.message.splitlines()[0]}")
    if converter.exact and baseline.verification is not None and not baseline.verification.passed:
        made = _with_notes(made, "The baseline does not compute what the original does.")
    report = dataclasses.replace(made.report, baseline=baseline.stats)
    return dataclasses.replace(made, report=report, baseline=baseline)


def _timed(made: Optimized, threads: int, context: RunContext) -> Optimized:
    """Return what was made with the latency of the .tflite, beside that of the baseline if there is one."""
    report, tflite, baseline = made.report, made.tflite, made.baseline
    assert tflite is not None
    context.say("benchmark")
    if baseline is None:
        (latency,) = measure([tflite.path], threads=threads, verbose=context.verbose)
        return dataclasses.replace(made, report=dataclasses.replace(report, optimized=report.optimized.timed(latency)))
    (group,) = time_together(
        [baseline.path, tflite.path],
        [Setting(threads)],
        effort=Effort(seconds=10.0),
        verbose=context.verbose,
        progress=lambda done, total: context.say(f"benchmark: round {done} of {total}"),
    )
    report = dataclasses.replace(
        report,
        baseline=baseline.stats.timed(group.latencies[0]),
        optimized=report.optimized.timed(group.latencies[1]),
        speedup=group.speedups[1],
    )
    return dataclasses.replace(made, report=report)


def _take(made: Optimized, paths: OutputPaths, outputs: Outputs, context: RunContext) -> None:
    """Move the .tflite and the SavedModel to where they are wanted."""
    assert made.tflite is not None
    context.say("write .tflite")
    for path, target in (
        (made.tflite.path, paths.tflite),
        (made.tflite.conversion.saved_model, paths.saved_model),
    ):
        if path is not None and target is not None:
            outputs.take(path, target)


def _with_notes(made: Optimized, *notes: str) -> Optimized:
    report = dataclasses.replace(made.report, notes=(*made.report.notes, *notes))
    return dataclasses.replace(made, report=report)
