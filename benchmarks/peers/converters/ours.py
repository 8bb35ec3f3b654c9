"""layoutopt's direct backend with default options, without the baseline that it would make to compare itself with."""

from __future__ import annotations

import sys
from pathlib import Path

import layoutopt


def convert(onnx: Path, tflite: Path, *, winograd: bool = False) -> None:
    """Convert ``onnx`` and verify the result, as always."""
    layoutopt.optimize(
        onnx, tflite=tflite, backend=layoutopt.Backend.DIRECT, baseline=False, force=True, winograd=winograd
    )


if __name__ == "__main__":
    convert(Path(sys.argv[2]), Path(sys.argv[3]))
