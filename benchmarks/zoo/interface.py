"""Runs a .tflite on the original's tensors, by what the report of `layoutopt.optimize` says of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.zoo.rows import Row, Tensor
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.ir.perm import channels_last, invert

TFLITE = "model.tflite"
EXACT = "exact.npz"
Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]


def infer(tflite: Path, row: Row, arrays: Arrays) -> dict[str, Array]:
    """Return what a .tflite makes of the original's inputs; both named and laid out as the original has them."""
    return natural(row.results, run_tflite(tflite, stored(row.operands, arrays)))


def stored(tensors: Iterable[Tensor], arrays: Arrays) -> dict[str, Array]:
    """Return the original's inputs, named and laid out as the .tflite needs them."""
    named = ((tensor, arrays[tensor.name]) for tensor in tensors)
    return {
        tensor.tflite_name: array.transpose(channels_last(array.ndim)) if tensor.channels_last else array
        for tensor, array in named
    }


def natural(tensors: Iterable[Tensor], arrays: Arrays) -> dict[str, Array]:
    """Return what the .tflite gave, named and laid out as the original has it."""
    named = ((tensor, arrays[tensor.tflite_name]) for tensor in tensors)
    return {
        tensor.name: array.transpose(invert(channels_last(array.ndim))) if tensor.channels_last else array
        for tensor, array in named
    }
