"""The ``onnx2tf`` command with its default options, of either release line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"


def convert(onnx: Path, tflite: Path) -> None:
    """Convert ``onnx`` and keep the float32 file."""
    with tempfile.TemporaryDirectory(dir=tflite.parent) as name:
        directory = Path(name)
        copy = directory / "model.onnx"  # it overwrites the file that it is given
        shutil.copyfile(onnx, copy)
        # It checks its own guesses on these pictures, and downloads them if they are not where it runs.
        pictures = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
        np.save(directory / _SAMPLES, pictures)
        tools = Path(sys.executable).parent  # it calls onnxsim by name
        environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run([tools / "onnx2tf", "-i", copy.name, "-o", "out"], cwd=directory, env=environment, check=True)
        shutil.move(directory / "out" / "model_float32.tflite", tflite)


if __name__ == "__main__":
    convert(Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve())
