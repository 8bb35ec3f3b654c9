"""The paths that a conversion writes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.conversion import Quantize
from layoutopt.errors import UsageError
from layoutopt.ir import io as modelio
from layoutopt.outputs import Outputs


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """The files of a conversion, each of which may be unwanted.

    Attributes:
        output: the optimized .onnx.
        tflite: the .tflite.
        saved_model: the directory of the SavedModel.
    """

    output: Path | None
    tflite: Path | None
    saved_model: Path | None

    @classmethod
    def of(cls, *paths: Path | str | None) -> OutputPaths:
        """Return the paths as users give them, in the order of the attributes."""
        return cls(*(None if path is None else Path(path) for path in paths))

    def expect(self, outputs: Outputs, *, force: bool) -> None:
        """Reserve the places.

        Raises:
            OutputError: one of them cannot be written to.
            OutputExistsError: something is there already and ``force`` is not set.
        """
        if self.output is not None:
            outputs.expect(self.output, force=force, companion=modelio.DATA)
        if self.tflite is not None:
            outputs.expect(self.tflite, force=force)
        if self.saved_model is not None:
            outputs.expect(self.saved_model, force=force, folder=True)


def refuse_random_ranges(quantize: Quantize) -> None:
    """Keep models whose ranges come from random inputs out of files that somebody might use.

    Raises:
        UsageError: ``quantize`` needs ranges.
    """
    if quantize.takes_samples:
        raise UsageError(
            f"--quantize {quantize.value} needs samples, or the ranges of the activations would be random ones.",
            hint="Use 'layoutopt optimize' with --calibration, or quantize the ONNX model with your data.",
        )
