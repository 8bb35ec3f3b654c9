"""Compare an ONNX model with a .tflite of it, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layoutopt.backend.litert.inspect import computes_with_integers
from layoutopt.boundary.writing import boundary_of
from layoutopt.frontend.inputs import give_inputs
from layoutopt.ir.precision import least_tolerance
from layoutopt.ir.verify import QUANTIZED_TOLERANCE, Arrays
from layoutopt.options import TOLERANCE
from layoutopt.progress import Progress
from layoutopt.results.comparison import ComparisonReport
from layoutopt.results.provenance import versions
from layoutopt.workflows.layerwise import compare_layers
from layoutopt.workflows.models import source_of
from layoutopt.workflows.options import RunContext, check_seed
from layoutopt.workflows.parts import load_within

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The options of `layoutopt.compare`.

    Attributes:
        input: an .npz file with an array for each input of ``model`` by its name, an image, or the arrays; random
            numbers where it is None.
        shapes: a static shape for each input that has a symbolic dimension, where the arrays do not tell.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of a tensor; 0.1 at least for a .tflite that
            computes with integers.
        verbose: let LiteRT's messages through.
        progress: called with what starts now.
    """

    input: Path | str | Arrays | None = None
    shapes: Mapping[str, tuple[int, ...]] | None = None
    seed: int = 0
    tolerance: float = TOLERANCE
    verbose: bool = False
    progress: Progress | None = None


def compare_models(model: Model, tflite: Path, options: CompareOptions, context: RunContext) -> ComparisonReport:
    """Run an ONNX model and a .tflite of it on the same inputs, and show where the error enters.

    Args:
        model: the original, an optimized .onnx, or a model in memory; it is never changed.
        tflite: of any converter.
        options: of the comparison.
        context: of the run.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    given = Path(options.input) if isinstance(options.input, str) else options.input
    context.say("loading")
    check_seed(options.seed)
    original, _ = load_within(model, boundary_of(tflite))
    arrays = give_inputs(original, given, shapes=options.shapes or {}, seed=options.seed)
    quantized = computes_with_integers(tflite)
    tolerance = max(options.tolerance, least_tolerance(original), QUANTIZED_TOLERANCE if quantized else 0.0)
    found = compare_layers(original, arrays, tflite, tolerance=tolerance, verbose=context.verbose, say=context.say)
    context.say.finish()
    return ComparisonReport(
        model=source_of(model),
        tflite=tflite,
        inputs=f"seed {options.seed}" if given is None else str(given) if isinstance(given, Path) else "given arrays",
        tolerance=tolerance,
        tensors=found.tensors,
        layers=found.layers,
        first=found.first,
        outputs=found.outputs,
        versions=versions(),
        quantized=quantized,
    )
