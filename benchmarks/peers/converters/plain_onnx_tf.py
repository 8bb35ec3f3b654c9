"""onnxsim, then onnx-tf as it is, then the default TFLite converter: a user without layoutopt."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.ir.io import load, save
from layoutopt.passes import FoldConstants


def convert(onnx: Path, tflite: Path) -> None:
    """Convert ``onnx``; there is no option for the layout of inputs and outputs."""
    with tempfile.TemporaryDirectory(dir=tflite.parent) as directory:
        folded = Path(directory) / "folded.onnx"
        save(FoldConstants()(load(onnx)).model, folded)
        convert_model(folded, tflite=tflite, handlers=Handlers.PLAIN)


if __name__ == "__main__":
    convert(Path(sys.argv[2]), Path(sys.argv[3]))
