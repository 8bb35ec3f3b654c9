"""``python -m benchmarks.peers.judge MODEL.onnx RESULT.tflite FIGURES.json``: is a result right?

In a process of its own, since a broken file may take the process down that loads it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import records
from benchmarks.peers.figures import Figures, Outcome
from layoutopt.backend.litert.inspect import TfliteTensor, count_tflite, signature_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import LayoutoptError
from layoutopt.ir.io import load
from layoutopt.ir.perm import channels_last, invert
from layoutopt.ir.verify import Array, OutputDifference, Reference, difference_of
from layoutopt.options import TOLERANCE


def judged(reference: Reference, tflite: Path) -> Figures:
    """Count a .tflite and compare it with ONNX Runtime on the original.

    Inputs and outputs go by their position, since converters name them as they like; and each may have channels last,
    since that is what was asked for.

    Args:
        reference: the original.
        tflite: the result of a converter.
    """
    try:
        counts = count_tflite(tflite)
    except LayoutoptError as error:
        return Figures(Outcome.NOT_LOADED, error.message)
    figures = Figures(
        Outcome.RIGHT,
        operators=counts.operators,
        transposes=counts.transposes,
        gathers=counts.histogram.get("GATHER", 0),
        bytes_moved=counts.bytes_moved,
    )
    if flex := sorted(name for name in counts.histogram if name.startswith("Flex")):
        return replace(figures, outcome=Outcome.FLEX, error=", ".join(flex))
    try:
        differences = list(_differences(reference, tflite))
    except (LayoutoptError, ValueError) as error:
        return replace(figures, outcome=Outcome.NOT_LOADED, error=str(error).splitlines()[0])
    worst = max(differences, key=lambda difference: difference.relative_error)
    return replace(
        figures,
        outcome=Outcome.RIGHT if worst.relative_error <= TOLERANCE else Outcome.WRONG,
        max_abs_error=worst.max_abs_error,
        mse=worst.mse,
        relative_error=worst.relative_error,
    )


def _differences(reference: Reference, tflite: Path) -> Iterator[OutputDifference]:
    """Yield how far each output is from the original's, in the order of axes that fits best.

    Raises:
        LayoutoptError: LiteRT cannot run the file.
        ValueError: it takes or gives other tensors than the original.
    """
    signature = signature_of(tflite)
    inputs = zip(signature.inputs, reference.inputs.values(), strict=True)
    found = run_tflite(tflite, {tensor.signature_name: _stored(array, tensor) for tensor, array in inputs})
    for tensor, (name, expected) in zip(signature.outputs, reference.outputs.items(), strict=True):
        actual = found[tensor.signature_name]
        last = actual.transpose(invert(channels_last(actual.ndim))) if actual.ndim > 2 else actual
        yield min(
            (difference_of(name, expected, each) for each in (actual, last)),
            key=lambda difference: difference.relative_error,
        )


def _stored(array: Array, tensor: TfliteTensor) -> Array:
    """Return the original's input as the .tflite takes it."""
    if array.shape == tensor.default:
        return array
    last = array.transpose(channels_last(array.ndim))
    if last.shape != tensor.default:
        raise ValueError(f"input {tensor.name!r} is {list(tensor.default)}, the original's is {list(array.shape)}")
    return last


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.judge")
    parser.add_argument("model", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("figures", type=Path)
    options = parser.parse_args()
    records.save(judged(Reference(load(options.model)), options.result), options.figures)


if __name__ == "__main__":
    main()
