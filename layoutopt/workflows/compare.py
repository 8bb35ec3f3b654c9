"""Compare an ONNX model with a .tflite of it, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from layoutopt.boundary.writing import boundary_of
from layoutopt.frontend.inputs import give_inputs
from layoutopt.ir.precision import least_tolerance
from layoutopt.ir.verify import Arrays
from layoutopt.results.comparison import ComparisonReport
from layoutopt.results.provenance import versions
from layoutopt.workflows.layerwise import compare_layers
from layoutopt.workflows.models import source_of
from layoutopt.workflows.options import RunContext, check_seed
from layoutopt.workflows.parts import load_within

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


def compare_models(
    model: Model,
    tflite: Path,
    context: RunContext,
    given: Path | str | Arrays | None,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    seed: int,
    tolerance: float,
) -> ComparisonReport:
    """Run an ONNX model and a .tflite of it on the same inputs, and show where the error enters.

    Args:
        model: the original, an optimized .onnx, or a model in memory; it is never changed.
        tflite: of any converter.
        context: of the run.
        given: an .npz file with an array for each input of ``model`` by its name, an image, or the arrays; random
            numbers where it is None.
        shapes: a static shape for each input that has a symbolic dimension, where the arrays do not tell.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of a tensor.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    given = Path(given) if isinstance(given, str) else given
    context.say("loading")
    check_seed(seed)
    original, _ = load_within(model, boundary_of(tflite))
    arrays = give_inputs(original, given, shapes=shapes, seed=seed)
    tolerance = max(tolerance, least_tolerance(original))
    found = compare_layers(original, arrays, tflite, tolerance=tolerance, verbose=context.verbose, say=context.say)
    context.say.finish()
    return ComparisonReport(
        model=source_of(model),
        tflite=tflite,
        inputs=f"seed {seed}" if given is None else str(given) if isinstance(given, Path) else "given arrays",
        tolerance=tolerance,
        tensors=found.tensors,
        layers=found.layers,
        first=found.first,
        outputs=found.outputs,
        versions=versions(),
    )
