"""Convert an ONNX file to TFLite as it is, without optimizing it first."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.conversion import Backend, Conversion, Quantize, choose_backend
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.errors import UsageError
from layoutopt.ir import io as modelio
from layoutopt.ir.protos import model_size
from layoutopt.options import choose, choose_if_given
from layoutopt.outputs import Outputs, writing
from layoutopt.progress import Progress
from layoutopt.workflows.models import source_files
from layoutopt.workflows.options import RunContext
from layoutopt.workflows.output_paths import OutputPaths, refuse_random_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """The options of `layoutopt.convert`.

    Attributes:
        tflite: where to write the .tflite.
        saved_model: directory to write the SavedModel to.
        backend: who makes the .tflite; onnx-tf where its extra is installed, else layoutopt itself, where it is None.
        handlers: who translates the operators.
        quantize: what the TFLite converter does to the weights.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        force: overwrite outputs that exist.
        verbose: let TensorFlow's messages through.
        progress: called with what starts now.
    """

    tflite: Path | str | None = None
    saved_model: Path | str | None = None
    backend: Backend | str | None = None
    handlers: Handlers | str = Handlers.LAYOUTOPT
    quantize: Quantize | str = Quantize.NONE
    allow_flex: bool = False
    force: bool = False
    verbose: bool = False
    progress: Progress | None = None


def convert_file(path: Path, options: ConvertOptions, context: RunContext) -> Conversion:
    """Convert an ONNX file to TFLite as it is.

    Args:
        path: an ONNX file, usually an optimized one.
        options: of the conversion.
        context: of the run.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    paths = OutputPaths.of(None, options.tflite, options.saved_model)
    quantize, handlers = choose(Quantize, options.quantize, "quantize"), choose(Handlers, options.handlers, "handlers")
    refuse_random_ranges(quantize)
    backend = choose_if_given(Backend, options.backend, "backend")
    if handlers is Handlers.LAYOUTOPT:
        flex, size = options.allow_flex, model_size(path)
        backend = choose_backend(backend, saved_model=paths.saved_model is not None, allow_flex=flex, size=size)
    with writing(*source_files(path)) as outputs:
        paths.expect(outputs, force=options.force)
        if handlers is Handlers.LAYOUTOPT and backend is Backend.DIRECT:
            conversion = _convert_directly(path, paths, outputs, context, quantize=quantize)
        else:
            conversion = convert_model(
                path,
                tflite=None if paths.tflite is None else outputs.stage(paths.tflite),
                saved_model=None if paths.saved_model is None else outputs.stage(paths.saved_model),
                handlers=handlers,
                quantize=quantize,
                allow_flex=options.allow_flex,
                verbose=context.verbose,
                progress=context.say,
            )
        context.say.finish()
    return dataclasses.replace(conversion, tflite=paths.tflite, saved_model=paths.saved_model)


def _convert_directly(
    model: Path, paths: OutputPaths, outputs: Outputs, context: RunContext, *, quantize: Quantize
) -> Conversion:
    """Convert and run once what is made."""
    if paths.tflite is None:
        raise UsageError("nothing to convert to: give a path for the .tflite")
    with outputs.filling(paths.tflite) as staged:
        conversion = convert_directly(modelio.load(model), staged, quantize=quantize, progress=context.say)
        run_in_child(staged, verbose=context.verbose)
    return conversion
