"""Time .tflite files against each other, with a control, for as long as it takes to tell a difference from noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from layoutopt.backend.litert.latency import Latency, Noise, Speedup
from layoutopt.backend.litert.runtime import Setting, Subject, measure
from layoutopt.errors import UsageError
from layoutopt.options import Clock

NARROW = 1.03
"""Upper over lower end of an interval from which on more rounds would tell nothing new."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The care with which models are timed.

    Attributes:
        rounds: samples of each model, at least.
        seconds: how long the run may take, where it goes on until all intervals are narrow; 0 for ``rounds`` alone.
        warmup: inferences of each model before the first sample.
        seed: of the random inputs and of the resamples.
        clock: what is counted; None for that of the thread where there is one, and of the wall where there are more.
    """

    rounds: int = 60
    seconds: float = 30.0
    warmup: int = 5
    seed: int = 0
    clock: Clock | None = None

    def clock_for(self, settings: Sequence[Setting]) -> Clock:
        """Return the clock for such settings.

        Raises:
            UsageError: the clock of the thread is wanted, and there are several.
        """
        alone = all(setting.threads == 1 for setting in settings)
        if self.clock is Clock.CPU and not alone:
            raise UsageError("--clock cpu counts one thread only.", hint="Say --clock wall, or --threads 1.")
        return self.clock or (Clock.CPU if alone else Clock.WALL)


@dataclass(frozen=True, slots=True)
class SettingLatencies:
    """All models under one setting, each compared with the first.

    Attributes:
        setting: which.
        noise: what two copies of the first seemed to differ in.
        latencies: of each model.
        speedups: of each over the first.
    """

    setting: Setting
    noise: Noise
    latencies: tuple[Latency, ...]
    speedups: tuple[Speedup, ...]

    @classmethod
    def of(cls, setting: Setting, latencies: Sequence[Latency], *, seed: int) -> SettingLatencies:
        """Return the group of the latencies of the models, which end in that of the second copy of the first."""
        *models, copy = latencies
        noise = Noise.between(models[0], copy, seed=seed)
        speedups = tuple(latency.speedup_over(models[0], noise, seed=seed) for latency in models)
        return cls(setting, noise, tuple(models), speedups)

    @property
    def is_settled(self) -> bool:
        """Return whether more rounds would tell nothing new."""
        return max(self.noise.width, *(speedup.width for speedup in self.speedups)) <= NARROW


class Timer(Protocol):
    """A function that takes samples of models in turns."""

    def __call__(
        self,
        subjects: Sequence[Subject],
        *,
        rounds: int,
        more: Callable[[tuple[Latency, ...]], bool],
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Latency, ...]:
        """Take the samples; see `layoutopt.backend.litert.runtime.measure`."""


def time_together(
    paths: Sequence[Path],
    settings: Sequence[Setting],
    *,
    effort: Effort,
    verbose: bool = False,
    timer: Timer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[SettingLatencies]:
    """Time .tflite files under all settings in one interleaved run; the first of each setting twice, as a control.

    Args:
        paths: the files; the others are compared with the first.
        settings: how LiteRT runs them.
        effort: how carefully.
        verbose: let LiteRT's messages through.
        timer: takes the samples; None for `measure`, which does so on this machine.
        progress: called after each round with how many are done and how many there are at least.

    Raises:
        LayoutoptError: as ``timer``.
    """
    if not paths or not settings:
        raise UsageError("Nothing to measure.", hint="Give at least one model and one setting.")
    size = len(paths) + 1

    def group(latencies: Sequence[Latency]) -> list[SettingLatencies]:
        return [
            SettingLatencies.of(setting, latencies[at * size : (at + 1) * size], seed=effort.seed)
            for at, setting in enumerate(settings)
        ]

    clock = time.thread_time if effort.clock_for(settings) is Clock.CPU else time.perf_counter
    started = time.monotonic()
    latencies = (timer or partial(measure, warmup=effort.warmup, seed=effort.seed, clock=clock, verbose=verbose))(
        [Subject(path, setting) for setting in settings for path in (*paths, paths[0])],
        rounds=effort.rounds,
        more=lambda taken: (
            time.monotonic() - started < effort.seconds and not all(each.is_settled for each in group(taken))
        ),
        progress=progress,
    )
    return group(latencies)
