"""The files that a model becomes: optimized, plain onnx-tf, per-operator layout; each converted and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import onnx_ir as ir

from layoutopt.backend.conversion import Backend, Conversion, Quantize
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.errors import ConversionError, UnsupportedOperatorError
from layoutopt.ir import io as modelio
from layoutopt.ir.perm import Perm
from layoutopt.ir.verify import QUANTIZED_TOLERANCE, Arrays, Reference, Verification, to_natural, to_stored
from layoutopt.options import FOLD_LIMIT, Io
from layoutopt.passes import (
    EliminateDeadCode,
    ExpandQuantizedOperators,
    FoldConstants,
    PropagateLayout,
    default_pipeline,
)
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.manager import PassManager
from layoutopt.quantization.quantizer import Quantizer
from layoutopt.results.optimize import ModelKind, ModelStats
from layoutopt.workflows.options import RunContext


@dataclass(frozen=True, slots=True)
class Artifact:
    """A .tflite of a model, and what was found of it.

    Attributes:
        stats: what was counted and measured.
        path: the .tflite, in the scratch directory.
        conversion: names, times, and the SavedModel if there is one.
        verification: its comparison with the original; None where there is nothing to compare with.
    """

    stats: ModelStats
    path: Path
    conversion: Conversion
    verification: Verification | None


def path_in(folder: Path, kind: ModelKind) -> Path:
    """Return where a `Converter` puts the .tflite of that kind."""
    return (folder / kind.name.lower()).with_suffix(".tflite")


@dataclass(frozen=True, slots=True)
class Converter:
    """Convert models one after the other under the same settings.

    Attributes:
        folder: directory for all that is made; made where it is not there.
        context: tells the caller what starts.
        reference: the original to compare with; None compares nothing.
        tolerance: largest absolute error over the largest absolute value of an output.
        quantize: what the TFLite converter does to the weights.
        allow_flex: let operators into the .tflite that need TensorFlow at run time.
        backend: makes all but the plain baseline.
        resizable: whether what is made is one of two that become one for images of any size.
        fold_limit: bytes up to which the direct backend stores what repeats constants.
        quantizer: of the optimized model, by samples or ranges; None for none.
    """

    folder: Path
    context: RunContext
    reference: Reference | None
    tolerance: float
    quantize: Quantize
    allow_flex: bool
    backend: Backend
    resizable: bool = False
    fold_limit: int = FOLD_LIMIT
    quantizer: Quantizer | None = None

    @property
    def exact(self) -> bool:
        """Return whether the weights stay as they are, so that the results must agree with the original's."""
        return self.quantize is Quantize.NONE

    def path(self, kind: ModelKind) -> Path:
        """Return where the .tflite of that kind is."""
        return path_in(self.folder, kind)

    def run(self, kind: ModelKind, model: ir.Model, *, saved_model: bool = False, error: str = "") -> Artifact:
        """Convert ``model``, count the result, and run it on the inputs of the reference.

        Args:
            kind: what ``model`` is, and thereby whose handlers translate it.
            model: of static shapes.
            saved_model: whether a SavedModel is written too.
            error: why a better kind could not be had.

        Raises:
            LayoutoptError: as `convert_model`.
        """
        conversion = self.convert(kind, model, saved_model=saved_model)
        tflite = self.path(kind)
        self.context.say(f"{kind.value}: LiteRT")
        # What is quantized by samples is judged on samples, not on random numbers.
        reference = None if self._quantizes(kind) else self.reference
        if reference is None:
            run_in_child(tflite, verbose=self.context.verbose)  # what LiteRT cannot run is never handed out
        verification = self.compare(tflite, model, conversion, reference) if reference else None
        return self.artifact(kind, tflite, conversion, verification, error=error)

    def convert(self, kind: ModelKind, model: ir.Model, *, saved_model: bool = False) -> Conversion:
        """Convert ``model`` and look at nothing of the result.

        Args:
            kind: what ``model`` is, and thereby whose handlers translate it.
            model: of static shapes.
            saved_model: whether a SavedModel is written too.

        Raises:
            LayoutoptError: as `convert_model`.
        """
        self.folder.mkdir(exist_ok=True)
        tflite = self.path(kind)
        if kind is not ModelKind.PLAIN and self.backend is Backend.DIRECT:
            return self._directly(kind, model, tflite)
        return self._through_onnx_tf(kind, model, tflite, saved_model=saved_model)

    def _directly(self, kind: ModelKind, model: ir.Model, tflite: Path) -> Conversion:
        quantizer = self.quantizer
        orders = modelio.recorded_orders(model)
        return convert_directly(
            model,
            tflite,
            quantize=self.quantize,
            resizable=self.resizable,
            fold_limit=self.fold_limit,
            rewrite=(lambda graph: quantizer.quantize(graph, orders))
            if quantizer is not None and self._quantizes(kind)
            else None,
            progress=lambda stage: self.context.say(f"{kind.value}: {stage}"),
        )

    def _quantizes(self, kind: ModelKind) -> bool:
        return self.quantizer is not None and kind is ModelKind.LAYOUTOPT

    def _through_onnx_tf(self, kind: ModelKind, model: ir.Model, tflite: Path, *, saved_model: bool) -> Conversion:
        onnx, stem = tflite.with_suffix(".onnx"), tflite.with_suffix("")
        modelio.save(model, onnx)
        return convert_model(
            onnx,
            tflite=tflite,
            saved_model=stem if saved_model else None,
            handlers=Handlers.PLAIN if kind is ModelKind.PLAIN else Handlers.LAYOUTOPT,
            quantize=self.quantize,
            allow_flex=self.allow_flex,
            verbose=self.context.verbose,
            progress=lambda stage: self.context.say(f"{kind.value}: {stage}"),
        )

    @staticmethod
    def artifact(
        kind: ModelKind, tflite: Path, conversion: Conversion, verification: Verification | None, *, error: str = ""
    ) -> Artifact:
        """Return a .tflite that is there, with its counts."""
        size = tflite.stat().st_size
        stats = ModelStats.of(kind, count_tflite(tflite), file_size=size, verification=verification, error=error)
        return Artifact(stats, tflite, conversion, verification)

    def compare(self, tflite: Path, model: ir.Model, conversion: Conversion, reference: Reference) -> Verification:
        """Run a .tflite, made from ``model``, on the inputs of ``reference``."""
        orders = reference.relative_orders(modelio.recorded_orders(model))
        found = run_natural(tflite, conversion, reference.inputs, orders, verbose=self.context.verbose)
        coarse = reference.is_quantized  # kernels on integers round in another way
        return reference.compare(found, tolerance=max(self.tolerance, QUANTIZED_TOLERANCE if coarse else 0.0))


class Runner(Protocol):
    """A function that runs a .tflite file once: `run_in_child`, or `layoutopt.backend.litert.runtime.run_tflite`."""

    def __call__(self, path: Path, inputs: Arrays, /, *, verbose: bool) -> Arrays:
        """Return an array for each output, by its name in the signature."""


def run_natural(
    tflite: Path,
    conversion: Conversion,
    inputs: Arrays,
    orders: Mapping[str, Perm],
    *,
    runner: Runner = run_in_child,
    verbose: bool = False,
) -> Arrays:
    """Run a .tflite on inputs as the original takes them.

    Args:
        tflite: the file.
        conversion: what made it.
        inputs: an array for each input of the original, by its name there; the .tflite may lack some of them.
        orders: in which order each input and output of the .tflite stores the axes of the original.
        runner: runs the file on inputs by their names in the signature.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        An array for each output, by its name in the original and with the axes in the original's order.
    """
    names = conversion.input_names
    stored = {names[name]: array for name, array in to_stored(inputs, orders).items() if name in names}
    outputs = runner(tflite, stored, verbose=verbose)
    return to_natural({name: outputs[theirs] for name, theirs in conversion.output_names.items()}, orders)


def make_baseline(original: ir.Model, converter: Converter) -> Artifact:
    """Return plain onnx-tf's result, or the per-operator layout if that fails or the backend is direct.

    Raises:
        LayoutoptError: neither can be had.
    """
    folded = FoldConstants()(original).model
    if converter.backend is Backend.DIRECT:  # before and after go the same way
        return converter.run(ModelKind.PER_OPERATOR, per_operator(folded))
    try:
        return converter.run(ModelKind.PLAIN, folded)
    except (ConversionError, UnsupportedOperatorError) as error:
        reason = f"plain onnx-tf cannot convert the model: {error.message.splitlines()[0]}"
    return converter.run(ModelKind.PER_OPERATOR, per_operator(folded), error=reason)


def make_optimized(original: ir.Model, io: Io, converter: Converter) -> Artifact:
    """Optimize a model with the default pipeline, and convert it.

    Raises:
        LayoutoptError: it cannot be had.
    """
    passes = PassManager(default_pipeline(PropagateLayout(io=io)), on_start=converter.context.say)
    return converter.run(ModelKind.LAYOUTOPT, passes.run(original.clone()).model)


def per_operator(folded: ir.Model) -> ir.Model:
    """Return a model without constant subgraphs in per-operator layout, each operator between its own transposes."""
    passes = (ExpandQuantizedOperators(), PropagateLayout(io=Io.KEEP, scope=Scope.OPERATOR), EliminateDeadCode())
    return PassManager(passes).run(folded).model
