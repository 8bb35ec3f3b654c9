"""``python -m benchmarks.zoo.worker MODEL DIRECTORY``: the whole path for one .onnx file, in a process of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import layoutopt
from benchmarks.zoo.rows import Row
from layoutopt.backend.litert.runtime import run as run_tflite
from layoutopt.errors import LayoutoptError
from layoutopt.ir.io import load
from layoutopt.ir.perm import channels_last, invert
from layoutopt.ir.verify import Reference
from layoutopt.report.results import LayoutName, TensorInfo

TFLITE = "model.tflite"
Arrays = Mapping[str, npt.NDArray[np.generic]]


class Clock:
    """Adds up the wall time between announcements, by what was announced."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "load", time.perf_counter()

    def start(self, stage: str) -> None:
        """Ends the stage before and starts ``stage``."""
        now = time.perf_counter()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def measured(path: Path, directory: Path) -> Row:
    """Converts a file as a user would, and compares the result with ONNX Runtime on the original."""
    clock = Clock()
    tflite = directory / TFLITE
    try:
        report = layoutopt.optimize(path, tflite=tflite, baseline=False, force=True, progress=clock.start)
    except LayoutoptError as error:
        clock.start("")
        return Row(error=_first_line(error), seconds=clock.seconds, **_size(load(path)))
    clock.start("")
    model = load(path)
    reference = Reference(model)
    found = run_tflite(tflite, stored(report.inputs, reference.inputs))
    verification = reference.compare(natural(report.outputs, found))
    return Row(
        transposes=report.optimized.transposes,
        operators=report.optimized.operators,
        outputs=verification.outputs,
        seconds=clock.seconds,
        **_size(model),
    )


def stored(tensors: Iterable[TensorInfo], arrays: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """The original's inputs, named and laid out as the .tflite wants them."""
    return {
        tensor.tflite_name: array.transpose(channels_last(array.ndim)) if _moved(tensor) else array
        for tensor in tensors
        for array in (arrays[tensor.name],)
    }


def natural(tensors: Iterable[TensorInfo], arrays: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """What the .tflite gave, named and laid out as the original has it."""
    return {
        tensor.name: array.transpose(invert(channels_last(array.ndim))) if _moved(tensor) else array
        for tensor in tensors
        for array in (arrays[tensor.tflite_name],)
    }


def _moved(tensor: TensorInfo) -> bool:
    return tensor.layout is LayoutName.CHANNELS_LAST


def _size(model: ir.Model) -> dict[str, int]:
    constants = [value.const_value for value in model.graph.initializers.values()]
    floats = [each for each in constants if each is not None and each.dtype.is_floating_point()]
    return {
        "opset": model.opset_imports.get("", 0),
        "parameters": sum(each.size for each in floats),
        "weights": sum(each.nbytes for each in floats),
    }


def _first_line(error: LayoutoptError) -> str:
    print(error, file=sys.stderr)
    return f"{type(error).__name__}: {error.message.splitlines()[0]}"


def main() -> None:
    """Writes the row into the directory."""
    path, directory = map(Path, sys.argv[1:])
    measured(path, directory).save(directory)


if __name__ == "__main__":
    main()
