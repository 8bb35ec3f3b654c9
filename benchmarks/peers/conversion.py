"""Converts networks with each converter, and keeps what became of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import records
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.figures import FIGURES, TFLITE, TIMES, Figures, Outcome
from benchmarks.zoo.processes import ROOT, run
from layoutopt.outputs import make_directory

_TIMEOUT = 1800.0  # seconds
MODEL = "model.onnx"
_MESSAGE = 300  # characters


def convert_all(peer: Peer, python: Path, names: Iterable[str], results: Path, *, again: bool) -> None:
    """Convert what was not converted yet.

    Args:
        peer: the converter.
        python: the interpreter of its environment.
        names: of the networks.
        results: where models and figures stay.
        again: whether what was converted before is due, too.
    """
    for name in names:
        figures = results / name / peer.name / FIGURES
        if figures.exists() and not again:
            continue
        made = converted(peer, python, name, results)
        records.save(made, figures)
        (results / name / TIMES).unlink(missing_ok=True)  # a run of all models of the network
        print(f"{name}, {peer.name}: {made.outcome.value} {made.error}, {made.processor:.0f} s", flush=True)


def converted(peer: Peer, python: Path, name: str, results: Path) -> Figures:
    """Convert a network, and compare the result with the original."""
    directory = results / name / peer.name
    make_directory(directory)
    model, tflite = exported(name, results), directory / TFLITE
    tflite.unlink(missing_ok=True)
    program = f"benchmarks.peers.converters.{peer.program}"
    finished = run([python, "-m", program, name, model, tflite], log=directory / "convert.log", timeout=_TIMEOUT)
    cost: dict[str, Any] = {
        "seconds": finished.seconds,
        "processor": finished.processor,
        "memory": finished.memory.together,
    }
    if finished.error or not tflite.exists():
        return Figures(Outcome.FAILED, _told(finished.error) or "ended without a result", **cost)
    return replace(_judged(model, tflite), **cost)


def _told(error: str) -> str:
    """Return the beginning of a message, with files called as they are from the root of the repository."""
    return error.replace(f"{ROOT}{os.sep}", "")[:_MESSAGE]


def exported(name: str, results: Path) -> Path:
    """Return the ONNX file of a network, exported once."""
    path = results / name / MODEL
    if not path.exists():
        export: list[str | Path] = [sys.executable, "-m", "benchmarks.models", name, "-o", path]
        finished = run(export, log=path.with_name("export.log"), timeout=_TIMEOUT)
        if finished.error:
            path.unlink(missing_ok=True)
            raise RuntimeError(f"{name} cannot be exported: {finished.error}")
    return path


def _judged(model: Path, tflite: Path) -> Figures:
    figures = tflite.with_name("judged.json")
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.peers.judge", model, tflite, figures]
    finished = run(command, log=tflite.with_name("judge.log"), timeout=_TIMEOUT)
    if finished.error:
        return Figures(Outcome.NOT_LOADED, _told(finished.error))
    try:
        return records.load(Figures, figures)
    finally:
        figures.unlink()
