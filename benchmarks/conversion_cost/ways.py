"""The ways from an .onnx to a .tflite: a command for each."""

from __future__ import annotations

import enum
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.conversion_cost.processes import Cost, Failed, watch
from benchmarks.peers.catalogue import PEERS
from benchmarks.zoo.processes import ROOT
from layoutopt.outputs import make_directory

PEER = PEERS["onnx2tf-2"]
_LEFT_OUT = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"})
"""Variables that would let one of them compile its modules each time, or find another's packages."""
_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"


class Way(enum.Enum):
    """The converters to a .tflite."""

    DIRECT = "direct"
    """``layoutopt optimize --backend direct``, verified."""
    ONNX_TF = "onnx-tf"
    """``layoutopt optimize --backend onnx-tf``, verified."""
    ONNX2TF = "onnx2tf"
    """``onnx2tf`` 2, which verifies nothing."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Converts models.

    Attributes:
        scratch: directory for what is made, which is empty before and after.
        onnx2tf: the Python of its environment; None where it is not asked for.
        timeout: seconds for one conversion.
    """

    scratch: Path
    onnx2tf: Path | None
    timeout: float

    def run(self, way: Way, model: Path) -> Cost:
        """Convert a model.

        Raises:
            Failed: there is no .tflite.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)
        make_directory(self.scratch)
        try:
            return self._by_onnx2tf(model) if way is Way.ONNX2TF else self._by_layoutopt(way, model)
        finally:
            shutil.rmtree(self.scratch)

    def _by_layoutopt(self, way: Way, model: Path) -> Cost:
        onnx, tflite = self.scratch / "model.nhwc.onnx", self.scratch / "model.tflite"
        command: list[str | Path] = [sys.executable, "-m", "layoutopt", "optimize", model, "-o", onnx]
        options: list[str | Path] = ["--tflite", tflite, "--backend", way.value, "--no-baseline"]
        return self._watch([*command, *options], ROOT, tflite, {"PYTHONPATH": str(ROOT)})

    def _by_onnx2tf(self, model: Path) -> Cost:
        """Convert with the default options of onnx2tf, on a copy, since it overwrites the file that it is given."""
        if self.onnx2tf is None:
            raise Failed("no environment of onnx2tf")
        for path in model.parent.glob(f"{model.name}*"):
            shutil.copyfile(path, self.scratch / path.name)
        # It checks its own guesses on these pictures, and downloads them if they are not where it runs.
        np.save(self.scratch / _SAMPLES, np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32))
        tools = self.onnx2tf.parent  # it calls onnxsim by name
        search = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        tflite = self.scratch / "out" / f"{model.stem}_float32.tflite"
        return self._watch([tools / "onnx2tf", "-i", model.name, "-o", "out"], self.scratch, tflite, search)

    def _watch(self, command: list[str | Path], directory: Path, tflite: Path, environment: Mapping[str, str]) -> Cost:
        log = self.scratch.with_suffix(".log")
        given = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        cost = watch(command, directory, log=log, timeout=self.timeout, environment={**given, **environment})
        if not tflite.exists():
            raise Failed("ended without a result")
        return cost
