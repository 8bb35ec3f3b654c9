"""Runs a .tflite file once in a process of its own, which a fault in native code cannot take the caller along with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import Array, random_inputs, require_litert, run
from layoutopt.backend.process import Json, run_alone
from layoutopt.outputs import scratch


def run_in_child(path: Path, inputs: Mapping[str, Array] | None = None, *, verbose: bool = False) -> dict[str, Array]:
    """Run a .tflite file once, in a child process.

    Args:
        path: the file.
        inputs: as `layoutopt.backend.litert.runtime.run` takes them; random ones where it is None.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        An array for each output, by its name in the signature.

    Raises:
        LayoutoptError: as `layoutopt.backend.litert.runtime.run`; ConversionError too if the process dies.
    """
    require_litert()
    signature = signature_of(path)
    if inputs is None:
        arrays = random_inputs(signature.inputs, 0)
        inputs = {tensor.signature_name: array for tensor, array in zip(signature.inputs, arrays, strict=True)}
    with scratch() as folder:
        # Names may hold any character, so files are numbered.
        for number, array in enumerate(inputs.values()):
            np.save(folder / f"input{number}.npy", array)
        job: dict[str, Json] = {"path": str(path), "inputs": list(inputs), "folder": str(folder), "verbose": verbose}
        (names,) = run_alone(__name__, job, verbose=verbose)
        assert isinstance(names, list)
        return {str(name): np.load(folder / f"output{number}.npy") for number, name in enumerate(names)}


def main(job: Mapping[str, Any]) -> None:
    """Run a file and print the names of its outputs, whose arrays are then in the folder.

    Args:
        job: ``path``, the names of ``inputs``, the ``folder`` of their arrays, ``verbose``.
    """
    folder = Path(job["folder"])
    inputs = {name: np.load(folder / f"input{number}.npy") for number, name in enumerate(job["inputs"])}
    outputs = run(Path(job["path"]), inputs, verbose=job["verbose"])
    for number, array in enumerate(outputs.values()):
        np.save(folder / f"output{number}.npy", array)
    print(json.dumps(list(outputs)))
