"""Every tensor of a .tflite file as LiteRT computes it, for a look inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.litert.inspect import operators_of, signature_of
from layoutopt.backend.litert.invocation import Array
from layoutopt.backend.litert.runtime import run_all

INPUT = "(input)"
"""Stands for the operator of an input."""


@dataclass(frozen=True, slots=True)
class TfliteValue:
    """One tensor that depends on the inputs.

    Attributes:
        name: of the tensor in the file.
        operator: that computes it, or ``INPUT``.
        index: among the tensors of the graph.
        array: what it holds; a quantized one, the real numbers that it stands for.
        sources: positions of the values that its operator reads.
    """

    name: str
    operator: str
    index: int
    array: Array
    sources: tuple[int, ...]


def trace_tflite(path: Path, inputs: Mapping[str, Array], *, verbose: bool = False) -> tuple[TfliteValue, ...]:
    """Run a .tflite file once on LiteRT's own kernels, without XNNPACK.

    Args:
        path: the file.
        inputs: an array for each input, by its name in the signature.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        The inputs, then the result of each operator of the main graph that depends on them, in the order of execution.

    Raises:
        LayoutoptError: as `layoutopt.backend.litert.runtime.run_tflite`.
    """
    arrays = run_all(path, inputs, verbose=verbose)
    values = [TfliteValue(each.name, INPUT, each.index, arrays[each.index], ()) for each in signature_of(path).inputs]
    positions = {value.index: position for position, value in enumerate(values)}
    for operator in operators_of(path):
        sources = tuple(dict.fromkeys(positions[index] for index in operator.inputs if index in positions))
        for index, name in operator.outputs if sources else ():
            if index in arrays:
                positions[index] = len(values)
                values.append(TfliteValue(name, operator.name, index, arrays[index], sources))
    return tuple(values)
