"""Measurement of the memory that a .tflite file needs to run, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import Setting, Subject, check_threads, make_ready
from layoutopt.backend.process import Json, forget_peak_memory, peak_memory, run_alone

_INFERENCES = 3  # XNNPACK takes some of its memory in the first, the kernels' scratch memory in any


def memory_of(subject: Subject, *, seed: int = 0, verbose: bool = False) -> int:
    """Return the memory that loading and running a model adds to a process that has imported LiteRT and nothing else.

    The largest resident size while it is loaded and run, less that before: weights as the file has them as far as
    they are read, weights as XNNPACK has packed them, tensors, and LiteRT's own.

    Args:
        subject: the model and its setting.
        seed: of the random inputs.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        Bytes; 0 where the system does not tell.

    Raises:
        UsageError: there are no threads.
        ConversionError: LiteRT cannot run the file.
    """
    check_threads(subject.setting.threads)
    setting: dict[str, Json] = {"threads": subject.setting.threads, "xnnpack": subject.setting.xnnpack}
    (found,) = run_alone(__name__, {"path": str(subject.path), "setting": setting, "seed": seed}, verbose=verbose)
    assert isinstance(found, int)
    return found


def main(job: Mapping[str, Any]) -> None:
    """Print the bytes that a model needs.

    Args:
        job: ``path``, ``setting`` and ``seed``.
    """
    signature_of(Path(job["path"]))  # so that its reader is loaded too
    forget_peak_memory()
    before = peak_memory()
    invoke = make_ready(Subject(Path(job["path"]), Setting(**job["setting"])), seed=job["seed"], verbose=True)
    for _ in range(_INFERENCES):
        invoke()
    print(max(0, peak_memory() - before))
