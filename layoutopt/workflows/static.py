"""A model of static shapes on its way to an optimized .onnx and .tflite, each compared with the original."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import onnx_ir as ir

from layoutopt.ir import io as modelio
from layoutopt.ir.symbols import Sizes
from layoutopt.ir.verify import Reference, Verification
from layoutopt.pipeline.manager import PipelineResult
from layoutopt.results.optimize import ModelKind, SizeCheck
from layoutopt.workflows.conversion import Artifact, Converter


class RunPipeline(Protocol):
    """The function that runs the pipeline on a model of static shapes."""

    def __call__(
        self, static: ir.Model, reference: Reference | None, like: PipelineResult | None = None, /
    ) -> PipelineResult:
        """Run the pipeline.

        Args:
            static: the model, which may be changed.
            reference: what to compare the model with after each pass; None where that is not asked for.
            like: the result for the same model at other sizes, whose layouts are followed.

        Raises:
            LayoutoptError: whatever a pass raises on purpose.
        """
        ...


@dataclass(slots=True)
class StaticModel:
    """A model of static shapes.

    Attributes:
        original: the model.
        reference: its outputs; None where nothing is to be compared with it.
        rewrite: runs the pipeline.
        tolerance: largest absolute error over the largest absolute value of an output.
    """

    original: ir.Model
    reference: Reference | None
    rewrite: RunPipeline
    tolerance: float

    checks: tuple[SizeCheck, ...] = ()
    notes: tuple[str, ...] = ()
    chosen_at: Sizes = field(default_factory=dict)
    run: int = 0

    def onnx(self) -> tuple[PipelineResult, Verification | None]:
        """Run the pipeline, and compare its result with the original.

        Raises:
            LayoutoptError: whatever a pass raises on purpose; VerificationError if the result is wrong.
        """
        result = self.rewrite(self.original.clone(), self.reference)
        modelio.check_full(result.model)
        return result, self.reference.check(result.model, tolerance=self.tolerance) if self.reference else None

    def tflite(self, result: PipelineResult, converter: Converter, *, saved_model: bool) -> Artifact:
        """Return the .tflite of what `onnx` gave.

        Raises:
            LayoutoptError: as `Converter.run`; VerificationError if the .tflite is wrong.
        """
        made = converter.run(ModelKind.LAYOUTOPT, result.model, saved_model=saved_model)
        if self.reference and made.verification and converter.exact:
            self.reference.require(made.verification, "the .tflite")
        return made
