"""Runs a .tflite file once in a process of its own, which a fault in native code cannot take the caller along with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.invocation import Array
from layoutopt.backend.litert.runtime import check_inputs, random_arrays
from layoutopt.backend.process import Json, run_alone
from layoutopt.memory import give_back
from layoutopt.outputs import scratch

_CHILD = "layoutopt.backend.litert.trial_child"


def run_in_child(path: Path, inputs: Mapping[str, Array] | None = None, *, verbose: bool = False) -> dict[str, Array]:
    """Run a .tflite file once, in a child process.

    Args:
        path: the file.
        inputs: as `layoutopt.backend.litert.runtime.run_tflite` takes them; random ones where it is None.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        An array for each output, by its name in the signature.

    Raises:
        LayoutoptError: as `layoutopt.backend.litert.runtime.run_tflite`; ConversionError too if the process dies.
    """
    give_back()  # the child needs memory too
    signature = signature_of(path)
    if inputs is None:
        arrays = random_arrays(signature.inputs, 0)
        inputs = {tensor.signature_name: array for tensor, array in zip(signature.inputs, arrays, strict=True)}
    check_inputs(path, signature.inputs, inputs)
    given = {tensor.index: np.asarray(inputs[tensor.signature_name], order="C") for tensor in signature.inputs}
    wanted = [tensor.index for tensor in signature.outputs]
    with scratch() as folder:
        for index, array in given.items():
            np.save(folder / f"{index}.npy", array)
        job: dict[str, Json] = {"path": str(path), "folder": str(folder), "verbose": verbose}
        for _ in run_alone(_CHILD, {**job, "inputs": [*given], "outputs": [*wanted]}, verbose=verbose):
            pass
        return {tensor.signature_name: np.load(folder / f"{tensor.index}.npy") for tensor in signature.outputs}
