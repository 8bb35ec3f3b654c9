"""The process of `layoutopt.backend.litert.trial`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.backend.litert.invocation import run_once


def main(job: Mapping[str, Any]) -> None:
    """Run a file, from and to arrays in a folder that are named by the indices of their tensors.

    Args:
        job: ``path``, ``inputs`` and ``outputs`` (indices), ``folder``, ``verbose``.
    """
    folder = Path(job["folder"])
    inputs = {index: np.load(folder / f"{index}.npy") for index in job["inputs"]}
    outputs = run_once(Path(job["path"]), inputs, job["outputs"], verbose=job["verbose"])
    for index, array in zip(job["outputs"], outputs, strict=True):
        np.save(folder / f"{index}.npy", array)
