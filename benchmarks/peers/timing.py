"""Times all models of a network against each other, and says how sure the ratios are."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from benchmarks.peers.catalogue import OURS, PEERS
from benchmarks.peers.figures import FIGURES, TFLITE, TIMES, Figures, Outcome, Times, Timing
from layoutopt.backend.litert.runtime import measure

LOADS, ROUNDS = 7, 2
"""How often all models of a network are loaded, and how many samples each load gives of each.

Where a model comes to lie in memory makes some per cent of difference, even of a file that is loaded twice. More
samples of one load do not show that, so a load counts once, by its fastest sample.
"""


def models(directory: Path) -> dict[str, Path]:
    """The .tflite files in the directory of a network that are right, by converter, ours first."""
    found = {name: directory / name for name in PEERS}
    return {
        name: path / TFLITE
        for name, path in found.items()
        if (path / FIGURES).exists() and Figures.load(path / FIGURES).outcome is Outcome.RIGHT
    }


def time_all(names: Iterable[str], results: Path, *, again: bool) -> None:
    """Times the models of each network whose models changed since they were timed, or of all of them."""
    for name in names:
        paths, times = models(results / name), results / name / TIMES
        if OURS not in paths or (times.exists() and not again):
            continue
        timed(paths).save(times)
        print(f"{name}: timed {', '.join(paths)}", flush=True)


def timed(paths: Mapping[str, Path], *, loads: int = LOADS, rounds: int = ROUNDS) -> Times:
    """Times .tflite files of one network, one XNNPACK thread each, interleaved, ours twice.

    By the clock of the thread, since that of the wall tells as much of the other processes as of the models.

    Args:
        paths: by converter, with ours among them.
        loads: how often all of them are loaded.
        rounds: samples of each per load.
    """
    names, files = list(paths), [paths[OURS], *paths.values()]
    runs = [measure(files, rounds=rounds, warmup=2, clock=time.thread_time) for _ in range(loads)]
    fastest = np.array([[run[index].minimum_ms for run in runs] for index in range(len(files))])
    timings = {name: _compared(theirs, fastest[0]) for name, theirs in zip(names, fastest[1:], strict=True)}
    return Times(str(datetime.date.today()), loads, timings)


def _compared(theirs: npt.NDArray[np.float64], ours: npt.NDArray[np.float64]) -> Timing:
    """The ratio of medians over the loads, with the interval that resampling the loads gives it."""
    interval = bootstrap(
        (theirs, ours), _ratio, paired=True, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return Timing(float(np.median(theirs)), float(_ratio(theirs, ours)), float(interval.low), float(interval.high))


def _ratio(theirs: npt.NDArray[np.float64], ours: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
    ratio: npt.NDArray[np.float64] = np.median(theirs, axis=axis) / np.median(ours, axis=axis)
    return ratio
