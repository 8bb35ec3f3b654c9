"""The functions that users call: signatures and documentation. `layoutopt.workflows` does the work.

The keywords of a function under `takes` are the fields of the options that it takes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layoutopt.backend.conversion import Conversion
from layoutopt.boundary.listing import TensorRow
from layoutopt.options import Target
from layoutopt.report import notebook
from layoutopt.results.benchmark import BenchmarkReport
from layoutopt.results.calibrate import CalibrationReport
from layoutopt.results.check import CheckReport
from layoutopt.results.comparison import ComparisonReport
from layoutopt.results.count import CountReport
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import ModelReport
from layoutopt.results.optimize import OptimizeReport
from layoutopt.targets.checker import check_tflite
from layoutopt.workflows.benchmark import BenchmarkOptions, benchmark_models
from layoutopt.workflows.calibrate import CalibrateOptions, calibrate_machine
from layoutopt.workflows.compare import CompareOptions, compare_models
from layoutopt.workflows.convert import ConvertOptions, convert_file
from layoutopt.workflows.count import count_model
from layoutopt.workflows.explain import explain_model
from layoutopt.workflows.keywords import takes
from layoutopt.workflows.listing import list_model
from layoutopt.workflows.optimize import OptimizeOptions, optimize_model
from layoutopt.workflows.options import LayoutOptions, RunContext
from layoutopt.workflows.report import ReportOptions, report_model

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model

notebook.register()


@takes(OptimizeOptions)
def optimize(model: Model, options: OptimizeOptions) -> OptimizeReport:
    """Rewrite a model to NHWC with the fastest layouts, convert it, and compare it with the baseline.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: the fields of `OptimizeOptions`, as keywords.

    Returns:
        All that was done, counted and measured. Without a .tflite, the counts are those of the ONNX graph.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    context = RunContext.of(options.progress, verbose=options.verbose, scratch=options.scratch)
    return optimize_model(model, options, context).report


@takes(LayoutOptions)
def explain(model: Model, options: LayoutOptions) -> ExplainReport:
    """Tell why each transpose that `optimize` would leave is left. Write nothing.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: the fields of `LayoutOptions`, as keywords.

    Returns:
        Each transpose with the operators that need it, the proof, and what further layout rules could save.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    return explain_model(model, options, RunContext.of(options.progress))


@takes(ReportOptions)
def report(model: Model, options: ReportOptions) -> ModelReport:
    """Gather all about a model, before and after `optimize`: both graphs with layouts, errors, times and reasons.

    Args:
        model: an ONNX file, or a model in memory; it is never changed.
        options: the fields of `ReportOptions`, as keywords.

    Returns:
        The report, of .tflite files, or of ONNX graphs where these cannot be had. What else is missing is in its notes.

    Raises:
        LayoutoptError: as `optimize`, but for what keeps the model from being converted.
    """
    return report_model(model, options, RunContext.of(options.progress, verbose=options.verbose))


@takes(BenchmarkOptions)
def benchmark(models: Sequence[Path | str], options: BenchmarkOptions) -> BenchmarkReport:
    """Time models against each other in one interleaved run on LiteRT, with the first of them twice as a control.

    Args:
        models: .tflite files as they are; an .onnx file stands for two, its baseline and its optimized model.
        options: the fields of `BenchmarkOptions`, as keywords.

    Returns:
        One row per model, number of threads and choice of kernels; each is compared with the first of these.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    return benchmark_models(models, options, RunContext.of(options.progress, verbose=options.verbose))


@takes(ConvertOptions)
def convert(model: Path | str, options: ConvertOptions) -> Conversion:
    """Convert an ONNX file to TFLite as it is, without optimizing it first.

    Args:
        model: an ONNX file, usually an optimized one.
        options: the fields of `ConvertOptions`, as keywords.

    Returns:
        The paths, the names of inputs and outputs in the .tflite, and what it cost.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    return convert_file(Path(model), options, RunContext.of(options.progress, verbose=options.verbose))


def count(file: Model) -> CountReport:
    """Count the operators of a model, in a file or in memory, and the bytes that its transposes move.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is neither ONNX nor TFLite.
    """
    return count_model(file)


def check(file: Path | str, target: Target | str) -> CheckReport:
    """Return which operators of a .tflite file a target would not run, why, and what would fix it.

    Args:
        file: by any converter.
        target: a `Target`, or its value: gpu, edgetpu, ethos-u, nnapi or micro.

    Returns:
        How much the target takes by its published rules, in how many parts, and a finding for each other operator.

    Raises:
        LayoutoptError: there is no such target or file, or the file is no .tflite or a damaged one.
    """
    return check_tflite(file, target)


def tensors(model: Model, pattern: str = "") -> tuple[TensorRow, ...]:
    """Return the tensors of a model, at which a `Boundary` can cut it.

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
    return list_model(model, pattern)


@takes(CompareOptions)
def compare(model: Model, tflite: Path | str, options: CompareOptions) -> ComparisonReport:
    """Run an ONNX model and a .tflite of it on the same inputs, and show where the error enters.

    Args:
        model: the original, an optimized .onnx, or a model in memory; it is never changed.
        tflite: of any converter.
        options: the fields of `CompareOptions`, as keywords.

    Returns:
        Each tensor of the .tflite that could be matched, with its error, and the errors of the outputs.

    Raises:
        LayoutoptError: see `layoutopt.errors`. An error beyond the tolerance is none; `ComparisonReport.require` is for
            that.
    """
    return compare_models(model, Path(tflite), options, RunContext.of(options.progress, verbose=options.verbose))


@takes(CalibrateOptions)
def calibrate(options: CalibrateOptions) -> CalibrationReport:
    """Measure what transposes and matrix products cost on this machine, and keep the table for --objective time.

    Args:
        options: the fields of `CalibrateOptions`, as keywords.

    Returns:
        The times and where they are kept.

    Raises:
        OutputError: the times cannot be written.
    """
    return calibrate_machine(options, RunContext.of(options.progress, verbose=options.verbose))
