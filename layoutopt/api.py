"""What the command line calls: optimize, explain, report, convert, count, compare, benchmark, calibrate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import layoutopt.ir  # noqa: F401  # isort: skip  # before onnx_ir, which it imports without SymPy
import onnx_ir as ir

from layoutopt.backend.conversion import Backend, Conversion, Quantize, choose_backend
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.inspect import count_tflite, signature_of
from layoutopt.backend.litert.runtime import Setting, measure
from layoutopt.backend.litert.transposes import Transpose, time_transposes
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.benchmarking import Effort, time_together
from layoutopt.benchmarking import benchmark as benchmark  # a public function of this module like the others
from layoutopt.boundary import Boundary
from layoutopt.boundary.description import Description, Read
from layoutopt.boundary.listing import TensorRow, list_tensors
from layoutopt.boundary.loading import load_model, load_within, naming_cuts, preprocessing_left
from layoutopt.boundary.writing import boundary_of, describe, told_by
from layoutopt.drift import compare_layers
from layoutopt.errors import (
    ConversionError,
    InvalidModelError,
    LayoutoptError,
    PassFailedError,
    UnsupportedOperatorError,
    UsageError,
)
from layoutopt.forms import Artifact, HandOff, make_baseline
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.frontend.inputs import give_inputs
from layoutopt.ir import io as modelio
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.perm import identity, invert, permute
from layoutopt.ir.precision import least_tolerance
from layoutopt.ir.protos import files_of
from layoutopt.ir.symbols import find_symbols
from layoutopt.ir.verify import Arrays, Reference, Verification, require_runnable
from layoutopt.layout.costs.calibration import FULL, QUICK, Calibration, Machine, calibration_path, tabulate
from layoutopt.memory import few_collections
from layoutopt.options import TOLERANCE, Io, Layouts, Objective, TensorLayout, Verify, choose, choose_if_given
from layoutopt.outputs import Outputs, apart, make_directory, scratch, writing
from layoutopt.passes import PASSES, REWRITES, FoldConstants, PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import After, PassManager, PassRecord, PipelineResult
from layoutopt.pipeline.text import format_pipeline, parse_pipeline, pass_name
from layoutopt.progress import Progress, Stages
from layoutopt.quantization.inputs import Input
from layoutopt.quantization.quantizer import Quantizer
from layoutopt.quantization.request import QuantizationOptions, quantizing
from layoutopt.quantization.samples import Given
from layoutopt.report import results
from layoutopt.report.comparison import ComparisonReport
from layoutopt.report.model_report import ModelReport
from layoutopt.report.results import (
    CalibrationReport,
    CountReport,
    ExplainReport,
    Form,
    Kind,
    Multiplications,
    OptimizeReport,
    TensorInfo,
)
from layoutopt.reporting import Gatherer, Observer, explain_model
from layoutopt.rewriting import Fixed, Resizable, Rewrite

if TYPE_CHECKING:
    import onnx

    Model = Path | str | ir.Model | onnx.ModelProto


@dataclass(frozen=True, slots=True)
class Dump:
    """Where to write the graph behind passes.

    Attributes:
        directory: for files called ``07-propagate-layout.onnx``.
        passes: names of passes; empty for all.
    """

    directory: Path
    passes: frozenset[str] = frozenset()


@few_collections()
def optimize(
    model: Model,
    *,
    output: Path | str | None = None,
    tflite: Path | str | None = None,
    saved_model: Path | str | None = None,
    io: Io | str | None = None,
    layouts: Mapping[str, TensorLayout | str] | None = None,
    objective: Objective | str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    dynamic: Sequence[str] = (),
    boundary: Boundary | None = None,
    description: Description | None = None,
    passes: str | None = None,
    exact: bool = False,
    verify: Verify | str = Verify.RESULT,
    input: Path | str | Arrays | None = None,  # noqa: A002, the name of the option
    seed: int = 0,
    tolerance: float = TOLERANCE,
    baseline: bool = True,
    benchmark: bool = False,
    threads: int = 1,
    quantize: Quantize | str = Quantize.NONE,
    calibration: Given | str | None = None,
    quantization: QuantizationOptions | None = None,
    allow_flex: bool = False,
    backend: Backend | str | None = None,
    dump: Dump | None = None,
    instruments: Sequence[After] = (),
    convert: bool = True,
    scratch: Path | None = None,
    force: bool = False,
    verbose: bool = False,
    progress: Progress | None = None,
) -> OptimizeReport:
    """Rewrites a model to NHWC with the fewest bytes transposed, converts it, and compares it with the baseline.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        output: where to write the optimized .onnx.
        tflite: where to write the .tflite.
        saved_model: directory to write the SavedModel to.
        io: what may happen to the layout of image inputs and outputs; ``Io.FREE`` where neither this nor
            ``passes`` is given.
        layouts: of inputs and outputs by name that ``io`` shall have no say over.
        objective: what the choice of layouts makes as small as it can be; ``Objective.BYTES`` where neither this nor
            ``passes`` is given.
        shapes: a static shape for each input that has a symbolic dimension.
        dynamic: names of dimensions that stay symbolic, ``batch`` also for axis 0 of all inputs; their sizes in
            ``shapes`` are those that the .tflite has until it is resized. Such a result is always verified.
        boundary: which part of the model is taken, and what is put before and after it; all of it as it is where it is
            None. What is said above of inputs and outputs is then said of that part's.
        description: what the .tflite tells of itself and its labels, for the apps that read it.
        passes: the pipeline as text; the default one where it is None.
        exact: leave out of the default pipeline what makes the network cheaper by other sums.
        verify: what is compared with the original in ONNX Runtime.
        input: what it is compared on: an .npz file with an array for each input by its name, an image, or the arrays;
            random numbers where it is None.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of an output.
        baseline: whether the baseline is built too.
        benchmark: whether both .tflite files are timed.
        threads: of XNNPACK, for the benchmark and for ``Objective.TIME``.
        quantize: what happens to weights and activations.
        calibration: samples for ``Quantize.INT8`` and ``Quantize.MIXED``, as the original takes them: a folder of
            images, a .npy or .npz file, arrays with an axis of samples, or an iterable of an array for each input by
            its name.
        quantization: how samples are read, and what is made of them.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        backend: who makes the .tflite; onnx-tf where its extra is installed, else layoutopt itself, where it is None.
        dump: where to write the graph behind passes.
        instruments: called behind each pass with its position from 1, its name and the model.
        convert: whether a .tflite is made.
        scratch: directory for what is made on the way, such as the .tflite of the baseline; a temporary one where it is
            None.
        force: overwrite outputs that exist.
        verbose: let TensorFlow's chatter through.
        progress: called with what starts now.

    Returns:
        All that was done, counted and measured. Without a .tflite, the counts are those of the ONNX graph.

    Raises:
        LayoutoptError: see `layoutopt.errors`; each class is one way out.
    """
    quantize, verify = choose(Quantize, quantize, "quantize"), choose(Verify, verify, "verify")
    _check_seed(seed)
    asked = _quantization(quantize, calibration, quantization, dynamic, convert=convert)
    if boundary is not None and boundary.preprocess:
        asked = asked.of_pixels()
    described = None if description is None else description.read()
    if not convert and (tflite or saved_model or benchmark or described):
        raise UsageError("no .tflite without a conversion", hint="Go without --no-tflite.")
    say = Stages(progress)
    sources = [] if description is None else description.sources
    with writing(*_files(model), *sources) as outputs, ExitStack() as stack:
        targets = _Targets.of(output, tflite, saved_model)
        targets.expect(outputs, force=force)
        if asked.save_ranges is not None:
            outputs.expect(Path(asked.save_ranges), "--save-ranges", force=force)
        backend = choose_backend(
            choose_if_given(Backend, backend, "backend"),
            saved_model=saved_model is not None,
            allow_flex=allow_flex,
            quantize=quantize,
        )
        pipeline = _pipeline(passes, io=io, layouts=layouts, objective=objective, threads=threads, exact=exact)
        after = list(_dumps(dump, pipeline, outputs, force=force))

        def rewrite(
            static: ir.Model, reference: Reference | None, passes: Sequence[ir.passes.PassBase] = pipeline
        ) -> PipelineResult:
            checks = _checks(reference if verify is Verify.EACH else None, tolerance)
            result = PassManager(passes, on_start=say, after=(*after, *checks, *instruments)).run(static)
            say("verification")
            return result

        say("loading")
        rewriting: Fixed | Resizable
        if dynamic and input is not None:
            raise UsageError(
                "--input has one size, and --dynamic is verified at several",
                hint="Leave out --input: the inputs are random at each size.",
            )
        loaded, notes = load_within(model, boundary)
        if dynamic:
            symbolic = find_symbols(loaded, dynamic, shapes or {}, seed=seed)
            say("ONNX Runtime on the original")
            same_at_any_size = [each for each in pipeline if not isinstance(each, REWRITES)]
            rewrites: list[Rewrite] = [rewrite, functools.partial(rewrite, passes=same_at_any_size)]
            rewriting = Resizable(symbolic, rewrites, seed=seed, tolerance=tolerance)
        else:
            original, reference = loaded, None
            given = Path(input) if isinstance(input, str) else input
            inputs = give_inputs(original, given, shapes=shapes or {}, seed=seed)
            if verify is not Verify.NONE:
                say("ONNX Runtime on the original")
                with _blaming(original):
                    reference = _reference(original, None if given is None else inputs, shapes or {}, seed)
                reference.correct_ranks(original)
            rewriting = Fixed(original, reference, rewrite, tolerance)
        quantizer: Quantizer | None = None
        if quantize.takes_samples:
            mixed, taken = quantize is Quantize.MIXED, _inputs(rewriting.original)
            ready = quantizing(calibration, asked, taken, mixed=mixed, say=say, verbose=verbose)
            quantizer, quantize = stack.enter_context(ready), Quantize.NONE
        with _blaming(rewriting.original):
            result, verification = rewriting.onnx()
        notes = (*notes, *preprocessing_left(result.model))
        size = 0
        if targets.output is not None:
            say("write .onnx")
            with outputs.filling(targets.output) as staged:
                modelio.write_model(result.model, staged)
                size = staged.stat().st_size
        report = _onnx_report(_source(model), targets.output, size, rewriting, pipeline, result, verification)
        report = dataclasses.replace(report, notes=(*notes, *report.notes))
        if convert:
            with _directory(scratch) as folder, naming_cuts(model, boundary):
                hand_off = HandOff(
                    *(folder, rewriting.reference, tolerance, quantize, allow_flex, verbose, say, backend),
                    quantizer=quantizer,
                )
                report = _with_tflite(
                    report,
                    rewriting,
                    result,
                    hand_off,
                    targets,
                    outputs,
                    described=described,
                    baseline=baseline,
                    timed=threads * benchmark,
                )
            if quantizer is not None and asked.save_ranges is not None:
                with outputs.filling(Path(asked.save_ranges)) as staged:
                    staged.write_text(quantizer.recipe)
        else:
            report = dataclasses.replace(report, notes=(*report.notes, "Counts are of the ONNX graph."))
        say.finish()
    return dataclasses.replace(report, seconds=say.seconds)


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where `optimize` writes to."""

    output: Path | None
    tflite: Path | None
    saved_model: Path | None

    @classmethod
    def of(cls, *paths: Path | str | None) -> _Targets:
        return cls(*(None if path is None else Path(path) for path in paths))

    def expect(self, outputs: Outputs, *, force: bool) -> None:
        """Reserve the places."""
        if self.output is not None:
            outputs.expect(self.output, force=force, companion=modelio.DATA)
        if self.tflite is not None:
            outputs.expect(self.tflite, force=force)
        if self.saved_model is not None:
            outputs.expect(self.saved_model, force=force, folder=True)


def _with_tflite(
    report: OptimizeReport,
    rewriting: Fixed | Resizable,
    result: PipelineResult,
    hand_off: HandOff,
    targets: _Targets,
    outputs: Outputs,
    *,
    described: Read | None,
    baseline: bool,
    timed: int,
) -> OptimizeReport:
    """Return the report with the .tflite, which is made here, and the baseline; both timed where ``timed`` is not 0."""
    try:
        optimized = rewriting.tflite(result, hand_off, saved_model=targets.saved_model is not None)
    except (ConversionError, UnsupportedOperatorError) as error:
        error.hint = f"{error.hint}\n{_GRAPH_ALONE}".strip()
        raise
    describe(optimized.conversion, optimized.path, result.model, described)
    report = dataclasses.replace(
        report, tflite=targets.tflite, saved_model=targets.saved_model, dynamic=rewriting.checks
    )
    report = _with_optimized(report, optimized, hand_off.quantizer)
    if baseline:
        report = _with_baseline(report, hand_off, rewriting.original, optimized, timed)
    elif timed:
        hand_off.say("benchmark")
        (latency,) = measure([optimized.path], threads=timed, verbose=hand_off.verbose)
        report = dataclasses.replace(report, optimized=report.optimized.timed(latency))
    hand_off.say("write .tflite")
    for made, target in (
        (optimized.path, targets.tflite),
        (optimized.conversion.saved_model, targets.saved_model),
    ):
        if made is not None and target is not None:
            outputs.take(made, target)
    return report


_GRAPH_ALONE = "The optimized .onnx can be had without a .tflite: --no-tflite."


def explain(
    model: Model,
    *,
    io: Io | str | None = None,
    layouts: Mapping[str, TensorLayout | str] | None = None,
    objective: Objective | str | None = None,
    exact: bool = False,
    threads: int = 1,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    boundary: Boundary | None = None,
    progress: Progress | None = None,
) -> ExplainReport:
    """Tells why each transpose that `optimize` would leave is left. Writes nothing.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        io: what may happen to the layout of image inputs and outputs; ``Io.FREE`` where it is None.
        layouts: of inputs and outputs by name that ``io`` shall have no say over.
        objective: what the choice of layouts makes as small as it can be; ``Objective.BYTES`` where it is None.
        exact: as of `optimize`.
        threads: of XNNPACK, for ``Objective.TIME``.
        shapes: a static shape for each input that has a symbolic dimension.
        boundary: as of `optimize`.
        progress: called with what starts now.

    Returns:
        Each transpose with the operators that insist on it, the proof, and what further layout rules would buy.

    Raises:
        LayoutoptError: see `layoutopt.errors`; each class is one way out.
    """
    say = Stages(progress)
    pipeline = _pipeline(None, io=io, layouts=layouts, objective=objective, threads=threads, exact=exact)
    position, propagate = next((at, each) for at, each in enumerate(pipeline) if isinstance(each, PropagateLayout))
    say("loading")
    static, _ = load_within(model, boundary)
    modelio.make_static(static, shapes or {})
    with _blaming(static):
        prepared = PassManager(pipeline[:position], on_start=say).run(static.clone()).model
        report, _ = explain_model(prepared, propagate, model=_source(model), say=say)
    say.finish()
    return report


def report(
    model: Model,
    *,
    io: Io | str | None = None,
    layouts: Mapping[str, TensorLayout | str] | None = None,
    objective: Objective | str | None = None,
    exact: bool = False,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    boundary: Boundary | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    benchmark: bool = True,
    threads: int = 1,
    backend: Backend | str | None = None,
    models: Path | str | None = None,
    force: bool = False,
    verbose: bool = False,
    progress: Progress | None = None,
) -> ModelReport:
    """Gathers all about a model, before and after `optimize`: both graphs with layouts, errors, times and reasons.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        io: what may happen to the layout of image inputs and outputs; ``Io.FREE`` where it is None.
        layouts: of inputs and outputs by name that ``io`` shall have no say over.
        objective: what the choice of layouts makes as small as it can be; ``Objective.BYTES`` where it is None.
        exact: as of `optimize`.
        shapes: a static shape for each input that has a symbolic dimension.
        boundary: as of `optimize`.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of an output.
        benchmark: whether both .tflite files and each of their operators are timed.
        threads: of XNNPACK, for the benchmark and for ``Objective.TIME``.
        backend: who makes the .tflite files; as of `optimize`.
        models: directory to write the two models to, ``before`` and ``after``; None for nowhere.
        force: overwrite models that exist.
        verbose: let TensorFlow's and LiteRT's chatter through.
        progress: called with what starts now.

    Returns:
        The report, of .tflite files, or of ONNX graphs where these cannot be had. What else is missing is in its notes.

    Raises:
        LayoutoptError: as `optimize`, but for what keeps the model from being converted.
    """
    say = Stages(progress)
    _check_seed(seed)
    source = _source(model)
    backend = choose_if_given(Backend, backend, "backend")
    pipeline = _pipeline(None, io=io, layouts=layouts, objective=objective, threads=threads, exact=exact)
    original, _ = load_within(model, boundary)
    inputs = give_inputs(original, None, shapes=shapes or {}, seed=seed)
    name = source.name if source else original.graph.name or "model"

    def gathered(folder: Path, targets: Mapping[str, Path], *, convert: bool) -> ModelReport:
        observer = Observer(pipeline, model=source, say=say)
        with apart():
            optimized = optimize(
                model,
                output=folder / "optimized.onnx",
                io=io,
                layouts=layouts,
                objective=objective,
                exact=exact,
                shapes=shapes,
                boundary=boundary,
                seed=seed,
                tolerance=tolerance,
                benchmark=benchmark and convert,
                threads=threads,
                backend=backend,
                instruments=(observer,),
                convert=convert,
                scratch=folder,
                force=True,
                verbose=verbose,
                progress=say,
            )
        optimized = dataclasses.replace(optimized, output=None)
        gatherer = Gatherer(original, inputs, observer, tolerance, threads, benchmark, verbose, say)
        if optimized.optimized.kind is Kind.ONNX:
            return gatherer.of_models(name, optimized, modelio.load(folder / "optimized.onnx"), targets)
        return gatherer.of_tflites(name, optimized, folder, targets)

    with writing(*_files(model)) as outputs, scratch() as folder, kept_alive():
        targets = _expected_models(models, outputs, force=force)
        try:
            found = gathered(folder, targets, convert=True)
        except (ConversionError, UnsupportedOperatorError) as error:
            found = gathered(folder, targets, convert=False)
            found = dataclasses.replace(found, notes=(f"no .tflite: {error.message.splitlines()[0]}", *found.notes))
        say.finish()
    return found


def _expected_models(models: Path | str | None, outputs: Outputs, *, force: bool) -> Mapping[str, Path]:
    """Reserve the places of the models of a report, and return where to write them, by name."""
    if models is None:
        return {}
    directory = Path(models)
    outputs.make_directory(directory)
    paths = [directory / f"{side}{kind}" for kind in (".tflite", ".onnx") for side in ("before", "after")]
    for path in paths:
        outputs.expect(path, force=force, companion=modelio.DATA if path.suffix == ".onnx" else "")
    return {path.name: outputs.stage(path) for path in paths}


def convert(
    model: Path | str,
    *,
    tflite: Path | str | None = None,
    saved_model: Path | str | None = None,
    backend: Backend | str | None = None,
    handlers: Handlers | str = Handlers.LAYOUTOPT,
    quantize: Quantize | str = Quantize.NONE,
    allow_flex: bool = False,
    force: bool = False,
    verbose: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Hands an ONNX file over to TFLite as it is, without optimizing it first.

    Args:
        model: an ONNX file, usually an optimized one.
        tflite: where to write the .tflite.
        saved_model: directory to write the SavedModel to.
        backend: who makes the .tflite; onnx-tf where its extra is installed, else layoutopt itself, where it is None.
        handlers: who translates the operators.
        quantize: what the TFLite converter does to the weights.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        force: overwrite outputs that exist.
        verbose: let TensorFlow's chatter through.
        progress: called with what starts now.

    Returns:
        The paths, the names of inputs and outputs in the .tflite, and what it cost.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    quantize, handlers = choose(Quantize, quantize, "quantize"), choose(Handlers, handlers, "handlers")
    _refuse_random_ranges(quantize)
    path, targets, say = Path(model), _Targets.of(None, tflite, saved_model), Stages(progress)
    backend = choose_if_given(Backend, backend, "backend")
    if handlers is Handlers.LAYOUTOPT:
        backend = choose_backend(backend, saved_model=saved_model is not None, allow_flex=allow_flex)
    with writing(*_files(path)) as outputs:
        targets.expect(outputs, force=force)
        if handlers is Handlers.LAYOUTOPT and backend is Backend.DIRECT:
            conversion = _convert_directly(path, targets, outputs, quantize=quantize, verbose=verbose, say=say)
        else:
            conversion = convert_model(
                path,
                tflite=None if targets.tflite is None else outputs.stage(targets.tflite),
                saved_model=None if targets.saved_model is None else outputs.stage(targets.saved_model),
                handlers=handlers,
                quantize=quantize,
                allow_flex=allow_flex,
                verbose=verbose,
                progress=say,
            )
        say.finish()
    return dataclasses.replace(conversion, tflite=targets.tflite, saved_model=targets.saved_model)


def _convert_directly(
    model: Path, targets: _Targets, outputs: Outputs, *, quantize: Quantize, verbose: bool, say: Stages
) -> Conversion:
    """Convert and run once what is made."""
    if targets.tflite is None:
        raise UsageError("nothing to convert to: give a path for the .tflite")
    with outputs.filling(targets.tflite) as staged:
        conversion = convert_directly(modelio.load(model), staged, quantize=quantize, progress=say)
        run_in_child(staged, verbose=verbose)
    return conversion


def count(file: Model) -> CountReport:
    """Counts the operators of a model, in a file or in memory, and the bytes that its transposes move.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is neither ONNX nor TFLite.
    """
    path = _source(file)
    if path is not None and path.suffix == ".tflite":
        return CountReport(path, count_tflite(path), {}, told_by(path))
    model = load_model(file)
    with _blaming(model):
        counts = count_onnx(FoldConstants(simplify=False)(model.clone()).model)
    return CountReport(path, counts, modelio.recorded_orders(model))


def tensors(model: Model, pattern: str = "") -> tuple[TensorRow, ...]:
    """Lists the tensors of a model, to choose from what `Boundary` cuts at.

    Args:
        model: an ONNX file, or a model in memory; it is never changed. It may have operators that nobody knows.
        pattern: what the name of a tensor or its node, or an operator that makes it, has to contain in any case, or,
            with ``*`` or ``?``, look like.

    Returns:
        The inputs and what is computed, in the order in which it is.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is not ONNX.
        UsageError: no tensor matches the pattern.
    """
    rows = list_tensors(load_model(model, complete=False), pattern)
    if not rows:
        raise UsageError(f"--filter {pattern}: no tensor matches", hint="Leave it out to see all.")
    return rows


def compare(
    model: Model,
    tflite: Path | str,
    *,
    input: Path | str | Arrays | None = None,  # noqa: A002, the name of the option
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    verbose: bool = False,
    progress: Progress | None = None,
) -> ComparisonReport:
    """Runs an ONNX model and a .tflite of it on the same inputs, and shows where the error enters.

    Args:
        model: the original, an optimized .onnx, or a model in memory; it is never changed.
        tflite: of any converter.
        input: an .npz file with an array for each input of ``model`` by its name, an image, or the arrays; random
            numbers where it is None.
        shapes: a static shape for each input that has a symbolic dimension, where the arrays do not tell.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of a tensor.
        verbose: let LiteRT's chatter through.
        progress: called with what starts now.

    Returns:
        Each tensor of the .tflite that could be matched, with its error, and the errors of the outputs.

    Raises:
        LayoutoptError: see `layoutopt.errors`. An error beyond the tolerance is none; `ComparisonReport.require` is for
            that.
    """
    say = Stages(progress)
    say("loading")
    _check_seed(seed)
    original, _ = load_within(model, boundary_of(Path(tflite)))
    given = Path(input) if isinstance(input, str) else input
    arrays = give_inputs(original, given, shapes=shapes or {}, seed=seed)
    tolerance = max(tolerance, least_tolerance(original))
    found = compare_layers(original, arrays, Path(tflite), tolerance=tolerance, verbose=verbose, say=say)
    say.finish()
    return ComparisonReport(
        model=_source(model),
        tflite=Path(tflite),
        inputs=f"seed {seed}" if given is None else str(given) if isinstance(given, Path) else "given arrays",
        tolerance=tolerance,
        tensors=found.tensors,
        layers=found.layers,
        first=found.first,
        outputs=found.outputs,
        versions=results.versions(),
    )


def calibrate(
    *, threads: int = 1, quick: bool = False, verbose: bool = False, progress: Progress | None = None
) -> CalibrationReport:
    """Measures what a TRANSPOSE costs on this machine, and keeps it for layouts that are chosen by time.

    Args:
        threads: of XNNPACK; each number of threads has times of its own.
        quick: whether a coarse table in a few seconds will do.
        verbose: let LiteRT's chatter through.
        progress: called with what starts now.

    Returns:
        The times and where they are kept.

    Raises:
        OutputError: the times cannot be written.
    """
    say = Stages(progress)
    path = calibration_path(threads)
    make_directory(path.parent)
    with apart() as trial:  # before any work is done for it
        trial.expect(path, force=True)
    grid = QUICK if quick else FULL
    probes = grid.probes()
    say(f"preparing {len(probes)} transposes")
    times = time_transposes(
        [Transpose(probe.shape, probe.perm, probe.bits) for probe in probes],
        threads=threads,
        rounds=grid.rounds,
        verbose=verbose,
        progress=lambda done, total: say(f"round {done} of {total}"),
    )
    say.finish()
    calibration = Calibration(Machine.here(threads), tabulate(probes, times.nanoseconds, times.overhead))
    return CalibrationReport(calibration.save(), calibration)


def demo(
    directory: Path | str,
    *,
    resolution: int = 224,
    width: float = 1.0,
    io: Io | str = Io.FREE,
    benchmark: bool = True,
    threads: int = 1,
    backend: Backend | None = None,
    force: bool = False,
    verbose: bool = False,
    progress: Progress | None = None,
) -> OptimizeReport:
    """Does the main job on a MobileNetV2 with random weights that is built here: no PyTorch, no download.

    Args:
        directory: where the three models go; made if it is not there.
        resolution: height and width of the input, a multiple of 32.
        width: multiplier of the channels.
        io: what may happen to the layout of the input.
        benchmark: whether both .tflite files are timed.
        threads: of XNNPACK, for the benchmark.
        backend: who makes the .tflite; as of `optimize`.
        force: overwrite outputs that exist.
        verbose: let TensorFlow's chatter through.
        progress: called with what starts now.

    Returns:
        The report of `optimize`.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    folder = Path(directory)
    source = folder / "mobilenet_v2.onnx"
    with writing() as outputs:
        outputs.make_directory(folder)
        outputs.expect(source, force=force)
        model = mobilenet_v2(resolution=resolution, width=width)
        with outputs.filling(source) as staged:
            modelio.write_model(model, staged)
        report = optimize(
            model,
            output=folder / "mobilenet_v2.nhwc.onnx",
            tflite=folder / "mobilenet_v2.tflite",
            io=io,
            benchmark=benchmark,
            threads=threads,
            backend=backend,
            force=force,
            verbose=verbose,
            progress=progress,
        )
    return dataclasses.replace(report, model=source)


# --- what goes in ----------------------------------------------------------------------------------------------------


def _refuse_random_ranges(quantize: Quantize) -> None:
    """Keeps models whose ranges come from random inputs out of files that somebody might use."""
    if quantize.takes_samples:
        raise UsageError(
            f"--quantize {quantize.value} needs samples, or the ranges of the activations would be random ones.",
            hint="Use 'layoutopt optimize' with --calibration, or quantize the ONNX model with your data.",
        )


def _quantization(
    quantize: Quantize,
    calibration: Given | str | None,
    options: QuantizationOptions | None,
    dynamic: Sequence[str],
    *,
    convert: bool,
) -> QuantizationOptions:
    """The options of quantization, where what they are given for fits them."""
    given = options is not None and options != QuantizationOptions()
    if not quantize.takes_samples and (calibration is not None or given):
        raise UsageError("samples and ranges are for --quantize int8 and mixed", hint="Add --quantize int8.")
    if quantize.takes_samples and (dynamic or not convert):
        other = "--dynamic" if dynamic else "--no-tflite"
        raise UsageError(f"--quantize {quantize.value} makes a .tflite of static shapes", hint=f"Go without {other}.")
    return options or QuantizationOptions()


def _inputs(model: ir.Model) -> list[Input]:
    """What a model of static shapes takes."""
    return [
        Input(str(value.name), value.shape.numpy(), value.dtype.numpy())
        for value in model.graph.inputs
        if not value.is_initializer() and value.shape is not None and value.dtype is not None
    ]


def _check_seed(seed: int) -> None:
    """Refuse a seed that numpy does not take."""
    if seed < 0:
        raise UsageError(f"--seed {seed}: must not be negative")


@contextmanager
def _blaming(original: ir.Model) -> Iterator[None]:
    """Where our own code fails, ask ONNX and ONNX Runtime whether the model is to blame.

    Raises:
        InvalidModelError: it is.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, LayoutoptError) or isinstance(error, PassFailedError):
            modelio.require_consistent(original)
            require_runnable(original)
        raise


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    """The directory that was asked for, which stays, or else a temporary one."""
    if given is not None:
        make_directory(given)
        yield given
        return
    with scratch() as made:
        yield made


def _files(model: Model) -> list[Path]:
    """The files that a model is read from."""
    path = _source(model)
    return [] if path is None else files_of(path)


def _source(model: Model) -> Path | None:
    """The file of a model; None where it is in memory."""
    return Path(model) if isinstance(model, str | Path) else None


def _reference(model: ir.Model, inputs: Arrays | None, shapes: Mapping[str, tuple[int, ...]], seed: int) -> Reference:
    """What ONNX Runtime makes of the original, whose inputs have ``shapes``.

    Raises:
        UsageError: it does not run at the shapes that were asked for.
    """
    try:
        return Reference(model, seed=seed, inputs=inputs)
    except InvalidModelError as error:
        if not shapes:
            raise
        asked = " ".join(f"--shape {name}={','.join(map(str, shape))}" for name, shape in shapes.items())
        raise UsageError(
            f"{asked}: {error.message}", hint="Give the inputs sizes that the model can run at."
        ) from error


def _pipeline(
    text: str | None,
    *,
    io: Io | str | None = None,
    layouts: Mapping[str, TensorLayout | str] | None = None,
    objective: Objective | str | None = None,
    threads: int = 1,
    exact: bool = False,
) -> tuple[ir.passes.PassBase, ...]:
    """What ``text`` names, or else the default pipeline with the other options."""
    io, objective = choose_if_given(Io, io, "io"), choose_if_given(Objective, objective, "objective")
    wanted = {name: choose(TensorLayout, each, f"layouts[{name!r}]") for name, each in (layouts or {}).items()}
    if text is not None:
        for option, said in (
            ("io", f"io={io.value}" if io else ""),
            ("layout", f"layouts={Layouts.of(wanted)}" if wanted else ""),
            ("objective", f"objective={objective.value}" if objective else ""),
        ):
            if said:
                hint = f"Say it in the pipeline: propagate-layout{{{said}}}."
                raise UsageError(f"--{option} has no say over --passes", hint=hint)
        if exact:
            names = ", ".join(map(pass_name, REWRITES))
            raise UsageError("--exact has no say over --passes", hint=f"Leave these out of the pipeline: {names}.")
        return parse_pipeline(text)
    chosen = PropagateLayout(
        io=io or Io.FREE,
        objective=objective or Objective.BYTES,
        threads=threads if objective is Objective.TIME else 1,
        layouts=Layouts.of(wanted),
    )
    return default_pipeline(chosen, exact=exact)


def _objective(pipeline: Sequence[ir.passes.PassBase]) -> Objective:
    """What the last choice of layouts in ``pipeline`` made small."""
    return [each.objective for each in pipeline if isinstance(each, PropagateLayout)][-1]


def _dumps(
    dump: Dump | None, pipeline: Sequence[ir.passes.PassBase], outputs: Outputs, *, force: bool
) -> Iterator[After]:
    """What writes the graph behind passes, whose places are reserved."""
    if dump is None:
        return
    unknown = dump.passes - {pass_name(each) for each in PASSES}
    if unknown:
        raise UsageError(f"--dump-after: there is no pass {min(unknown)!r}", hint="See: layoutopt passes.")
    outputs.make_directory(dump.directory, "--dump-dir")
    paths = {
        position: dump.directory / f"{position:02}-{pass_name(each)}.onnx"
        for position, each in enumerate(pipeline, start=1)
        if not dump.passes or pass_name(each) in dump.passes
    }
    for path in paths.values():
        outputs.expect(path, "--dump-after", force=force, companion=modelio.DATA)

    def write(position: int, name: str, model: ir.Model) -> None:
        del name
        if position in paths:
            with outputs.filling(paths[position]) as staged:
                modelio.write_model(model, staged)

    yield write


def _checks(reference: Reference | None, tolerance: float) -> Iterator[After]:
    """What compares the model behind each pass."""
    if reference is not None:

        def check(position: int, name: str, model: ir.Model) -> None:
            reference.check(model, tolerance=tolerance, what=f"the model behind pass {position} ({name})")

        yield check


# --- what comes out --------------------------------------------------------------------------------------------------


def _onnx_report(
    source: Path | None,
    output: Path | None,
    size: int,
    rewriting: Fixed | Resizable,
    pipeline: Sequence[ir.passes.PassBase],
    result: PipelineResult,
    verification: Verification | None,
) -> OptimizeReport:
    """What is known before any hand-off."""
    assignment = result.assignment
    return OptimizeReport(
        model=source,
        output=output,
        tflite=None,
        saved_model=None,
        pipeline=format_pipeline(pipeline),
        inputs=tuple(_tensors(rewriting.original.graph.inputs, result.model, restore=False)),
        outputs=tuple(_tensors(rewriting.original.graph.outputs, result.model, restore=True)),
        baseline=None,
        optimized=Form.of(Kind.ONNX, count_onnx(result.model), file_size=size, verification=verification),
        speedup=None,
        layout=results.LayoutProof.of(assignment, _objective(pipeline)) if assignment else None,
        passes=result.records,
        verification=verification,
        notes=(*rewriting.notes, *(rewriting.reference.notes if rewriting.reference else ())),
        versions=results.versions(),
        dynamic=rewriting.checks,
        multiplications=_multiplications(result.records),
    )


def _multiplications(records: Sequence[PassRecord]) -> Multiplications | None:
    """In front of the first pass that makes do with fewer, when all shapes are known, and in the end."""
    rewrites = [record for record in records if record.name in map(pass_name, REWRITES)]
    if not records:
        return None
    last = records[-1].multiplications_after
    return Multiplications(rewrites[0].multiplications_before if rewrites else last, last)


def _tensors(originals: Sequence[ir.Value], model: ir.Model, *, restore: bool) -> Iterator[TensorInfo]:
    """What the optimized ``model`` takes for, or gives for, each of the original's tensors."""
    orders = modelio.recorded_orders(model)
    optimized = {value.name: value for value in (*model.graph.inputs, *model.graph.outputs)}
    for value in originals:
        name = str(value.name)
        if name not in optimized:  # an initializer that was listed as an input
            continue
        stored = optimized[name]
        shape = tuple(size if isinstance(size, int) else -1 for size in stored.shape or ())
        order = orders.get(name, identity(len(shape)))
        dtype = str(stored.dtype.numpy()) if stored.dtype is not None else ""
        yield TensorInfo(
            name,
            shape,
            dtype,
            results.layout_name(order),
            permute(shape, invert(order)),
            results.transposing(name, order, restore=restore),
        )


def _with_optimized(report: OptimizeReport, optimized: Artifact, quantizer: Quantizer | None) -> OptimizeReport:
    """The report with the counts of the .tflite in place of the ONNX graph's, and what became of its exactness."""
    conversion = optimized.conversion
    names = {**conversion.input_names, **conversion.output_names}
    signature = signature_of(optimized.path)
    dtypes = {each.signature_name: each.dtype for each in (*signature.inputs, *signature.outputs)}

    def named(tensors: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
        found = [dataclasses.replace(each, tflite_name=names.get(each.name, "")) for each in tensors]
        if quantizer is None:
            return tuple(found)
        return tuple(dataclasses.replace(each, dtype=dtypes.get(each.tflite_name, each.dtype)) for each in found)

    return dataclasses.replace(
        report,
        inputs=named(report.inputs),
        outputs=named(report.outputs),
        optimized=optimized.form,
        quantization=None if quantizer is None else quantizer.report,
    )


def _with_baseline(
    report: OptimizeReport, hand_off: HandOff, original: ir.Model, optimized: Artifact, threads: int
) -> OptimizeReport:
    """The report with the baseline, and with both latencies where ``threads`` is not 0."""
    try:
        baseline = make_baseline(original, hand_off)
    except (ConversionError, UnsupportedOperatorError) as error:
        return dataclasses.replace(report, notes=(*report.notes, f"no baseline: {error.message.splitlines()[0]}"))
    if hand_off.exact and baseline.verification is not None and not baseline.verification.passed:
        report = dataclasses.replace(
            report, notes=(*report.notes, "The baseline does not compute what the original does.")
        )
    if not threads:
        return dataclasses.replace(report, baseline=baseline.form)
    hand_off.say("benchmark")
    (group,) = time_together(
        [baseline.path, optimized.path],
        [Setting(threads)],
        effort=Effort(seconds=10.0),
        verbose=hand_off.verbose,
        progress=lambda done, total: hand_off.say(f"benchmark: round {done} of {total}"),
    )
    return dataclasses.replace(
        report,
        baseline=baseline.form.timed(group.latencies[0]),
        optimized=report.optimized.timed(group.latencies[1]),
        speedup=group.speedups[1],
    )
