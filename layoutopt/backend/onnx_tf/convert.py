"""From an ONNX file to a .tflite or a SavedModel, with TensorFlow kept in a child process."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path

from layoutopt import errors
from layoutopt.backend.conversion import Conversion, Quantize, require_onnx_tf
from layoutopt.backend.onnx_tf.child import run_job
from layoutopt.backend.onnx_tf.protocol import Job
from layoutopt.outputs import scratch, writing_apart


class Handlers(enum.Enum):
    """The translators of ONNX operators to TensorFlow."""

    LAYOUTOPT = "layoutopt"
    """Our handlers, onnx-tf's for what they do not cover."""
    PLAIN = "onnx-tf"
    """onnx-tf untouched, as a user without layoutopt would run it."""


def convert_model(
    model: Path,
    *,
    tflite: Path | None = None,
    saved_model: Path | None = None,
    handlers: Handlers = Handlers.LAYOUTOPT,
    quantize: Quantize = Quantize.NONE,
    allow_flex: bool = False,
    verbose: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Conversion:
    """Convert an ONNX file with static shapes; existing targets are replaced, and only once the new ones are whole.

    Args:
        model: the ONNX file. It may use the dialect ``layoutopt.nhwc``.
        tflite: where to write the .tflite.
        saved_model: directory to write the SavedModel to.
        handlers: who translates the operators.
        quantize: what happens to the weights.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        verbose: let TensorFlow's messages through to standard error.
        progress: called with a short name as each stage starts.

    Returns:
        The paths, the names of inputs and outputs in the .tflite, and what it cost.

    Raises:
        UsageError: neither ``tflite`` nor ``saved_model`` is given, or TensorFlow has no such quantization.
        MissingExtraError: TensorFlow or onnx-tf is not installed.
        ModelNotFoundError: there is no ``model``.
        OutputError: a target's directory does not exist or cannot be written to.
        DynamicShapeError: an input of the model has a symbolic dimension.
        UnsupportedOperatorError: no handler for some operators; the message lists them all.
        ConversionError: a stage failed, or the child died in it.
    """
    if tflite is None and saved_model is None:
        raise errors.UsageError("nothing to convert to: give a path for the .tflite or for the SavedModel")
    _require_known(quantize)
    require_onnx_tf()
    if not model.is_file():
        raise errors.ModelNotFoundError(f"{model}: no such file")
    with scratch() as folder, writing_apart() as outputs:
        if tflite is not None:
            outputs.expect(tflite, force=True)
        if saved_model is not None:
            outputs.expect(saved_model, force=True, folder=True)
        job = Job(
            model=str(model.resolve()),
            tflite=str(outputs.stage(tflite).resolve()) if tflite else None,
            saved_model=str(outputs.stage(saved_model).resolve()) if saved_model else None,
            scratch=str(folder),
            plain=handlers is Handlers.PLAIN,
            quantize=quantize.value,
            allow_flex=allow_flex,
        )
        outcome = run_job(job, verbose=verbose, progress=progress)
    return Conversion(
        tflite, saved_model, outcome.input_names, outcome.output_names, outcome.seconds, outcome.peak_memory
    )


def _require_known(quantize: Quantize) -> None:
    """Refuse what TensorFlow's converter cannot do to weights and activations."""
    if quantize in (Quantize.MIXED, Quantize.WEIGHTS, Quantize.INT4):
        raise errors.UsageError(
            f"TensorFlow's converter has no --quantize {quantize.value}", hint="Use --backend direct for it."
        )
