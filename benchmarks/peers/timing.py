"""Times all models of a network against each other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks import records
from benchmarks.peers.catalogue import OURS, PEERS
from benchmarks.peers.figures import TIMES, Times, right_files
from layoutopt.backend.litert.latency import Latency
from layoutopt.backend.litert.runtime import measure

LOADS, ROUNDS = 10, 2
"""The times that all models of a network are loaded, and the samples that each load gives of each.

Where a model comes to lie in memory makes some per cent of difference, even of a file that is loaded twice. More
samples of one load do not show that, so a load counts once, by its fastest sample.
"""


def time_all(names: Iterable[str], results: Path, *, again: bool) -> None:
    """Time the models of each network whose models changed since they were timed, or of all of them."""
    for name in names:
        paths, times = right_files(results / name, PEERS), results / name / TIMES
        if OURS not in paths or (times.exists() and not again):
            continue
        records.save(timed(paths), times)
        print(f"{name}: timed {', '.join(paths)}", flush=True)


def timed(paths: Mapping[str, Path], *, loads: int = LOADS, rounds: int = ROUNDS) -> Times:
    """Time .tflite files of one network, one XNNPACK thread each, interleaved, ours twice.

    By the clock of the thread, since that of the wall tells as much of the other processes as of the models. Each time
    another file is loaded first: the first one came out up to a tenth slower than its own copy, which was the last.

    Args:
        paths: by converter, with ours among them.
        loads: how often all of them are loaded.
        rounds: samples of each per load.
    """
    files = [*paths.values(), paths[OURS]]
    samples: list[list[float]] = [[] for _ in files]
    for load in range(loads):
        order = [(index + load) % len(files) for index in range(len(files))]
        latencies = measure([files[at] for at in order], rounds=rounds, warmup=2, clock=time.thread_time)
        for at, latency in zip(order, latencies, strict=True):
            samples[at].append(latency.minimum_ms)
    *fastest, control = (Latency(tuple(each)) for each in samples)
    return Times.today(dict(zip(paths, fastest, strict=True)), control)
