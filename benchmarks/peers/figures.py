"""The figures of one network from one converter, as they are kept on disk."""

from __future__ import annotations

import datetime
import enum
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import records
from benchmarks.peers.catalogue import NO_CONVERTERS, OURS, PEERS, WINOGRAD
from layoutopt.backend.litert.latency import Latency, Noise, Speedup, Verdict
from layoutopt.results.provenance import Provenance

FIGURES, TFLITE, TIMES = "figures.json", "model.tflite", "latencies.json"


class Outcome(enum.Enum):
    """The outcomes of a conversion."""

    RIGHT = "right"
    """The result computes what ONNX Runtime does on the original."""
    WRONG = "wrong"
    """The result runs, and computes something else."""
    FLEX = "needs TensorFlow"
    """The result has operators of TensorFlow, which LiteRT does not."""
    NOT_LOADED = "does not run"
    """LiteRT cannot load or run the result."""
    FAILED = "failed"
    """There is no result."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One network from one converter.

    Attributes:
        outcome: what became of it.
        error: why there is no result or none that runs; empty where there is.
        operators: in the .tflite.
        transposes: those of them that are TRANSPOSE.
        gathers: those of them that are GATHER.
        bytes_moved: bytes that its TRANSPOSEs write in one inference.
        max_abs_error: largest difference from ONNX Runtime on the original; None where it could not be compared.
        mse: mean squared difference, likewise.
        relative_error: largest difference over the largest absolute value of the output, likewise.
        seconds: of the conversion by the clock of the wall.
        processor: seconds that the processes of the conversion computed.
        memory: largest resident size of them together, in bytes.
    """

    outcome: Outcome
    error: str = ""
    operators: int = 0
    transposes: int = 0
    gathers: int = 0
    bytes_moved: int = 0
    max_abs_error: float | None = None
    mse: float | None = None
    relative_error: float | None = None
    seconds: float = 0.0
    processor: float = 0.0
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """One run of all models of a network.

    Attributes:
        date: the day, ISO 8601.
        latencies: by converter; one sample per load, the fastest of it.
        noise: what ours differed in from ours, loaded once more each time.
        speedups: by converter without ours, how many times as fast ours is.
    """

    date: str
    latencies: Mapping[str, Latency]
    noise: Noise
    speedups: Mapping[str, Speedup]

    @classmethod
    def today(cls, latencies: Mapping[str, Latency], control: Latency) -> Times:
        """Return the figures from the samples of all, and of ours once more."""
        ours = latencies[OURS]
        noise = Noise.between(ours, control)
        others = {name: latency for name, latency in latencies.items() if name != OURS}
        speedups = {name: ours.speedup_over(other, noise) for name, other in others.items()}
        return cls(str(datetime.date.today()), latencies, noise, speedups)


@dataclass(frozen=True, slots=True)
class Network:
    """All that is known of one network.

    Attributes:
        figures: by converter.
        times: of the last run of its models; None before the first.
    """

    figures: Mapping[str, Figures]
    times: Times | None

    @property
    def faster(self) -> Mapping[str, Speedup]:
        """The converters whose results are faster than ours, beyond noise."""
        found = self.times.speedups if self.times else {}
        return {
            name: speedup for name, speedup in found.items() if name != WINOGRAD and speedup.verdict is Verdict.SLOWER
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures, and what they were measured with.

    Attributes:
        measured: where, and when the last of them was.
        versions: of the packages, by converter.
        networks: by name.
    """

    PATH: ClassVar[Path] = records.committed("peers")

    measured: Provenance
    versions: Mapping[str, Mapping[str, str]]
    networks: Mapping[str, Network]

    @classmethod
    def committed(cls) -> Summary:
        """Return what was measured last."""
        return records.load(cls, cls.PATH)


def over_the_best(networks: Mapping[str, Network], ours: str = OURS) -> dict[str, Speedup]:
    """Return how many times as fast ours is as the fastest other converter, by network; Keras is no converter.

    Args:
        networks: by name.
        ours: which of ours.
    """
    return {
        name: min(found, key=lambda speedup: speedup.median_of_rounds)
        for name, network in networks.items()
        if network.times and (found := list(_over_others(network.times, ours)))
    }


def _over_others(times: Times, ours: str) -> Iterator[Speedup]:
    """Yield how many times as fast ours is as each other converter."""
    if ours in times.latencies:
        for name, latency in times.latencies.items():
            if name not in NO_CONVERTERS:
                yield times.latencies[ours].speedup_over(latency, times.noise)


def mean_speedup(speedups: Iterable[Speedup]) -> float:
    """Return the geometric mean of speedups, of which there is one at least."""
    return statistics.geometric_mean(speedup.median_of_rounds for speedup in speedups)


def lacking(found: Mapping[str, Network], before: Mapping[str, Network]) -> list[str]:
    """Return the networks of which ``before`` has more converters."""
    nothing = Network({}, None)
    return [name for name, each in before.items() if not {*each.figures} <= {*found.get(name, nothing).figures}]


def tell(found: Mapping[str, Network]) -> None:
    """Print how ours compares with the fastest of the others, and where it is slower."""
    best = over_the_best(found)
    if not best:
        return
    for name, speedup in best.items():
        print(
            f"{name}: {speedup.median_of_rounds:.2f} ({speedup.low:.2f} to {speedup.high:.2f}), {speedup.verdict.value}"
        )
    slower = ", ".join(name for name, each in best.items() if each.verdict is Verdict.SLOWER)
    mean = mean_speedup(best.values())
    print(f"over the best other converter: {mean:.2f}, geometric mean of {len(best)}; slower: {slower or 'none'}")
    if winograd := over_the_best(found, WINOGRAD):
        print(f"{WINOGRAD}: {mean_speedup(winograd.values()):.2f}, geometric mean of {len(winograd)}")


def kept_figures(directory: Path, labels: Iterable[str]) -> dict[str, Figures]:
    """Return what is known of a network, by converter, of those in ``labels`` of which something is."""
    paths = {label: directory / label / FIGURES for label in labels}
    return {label: records.load(Figures, path) for label, path in paths.items() if path.exists()}


def right_files(directory: Path, labels: Iterable[str]) -> dict[str, Path]:
    """Return the .tflite files of a network that compute what the original does, by converter."""
    found = kept_figures(directory, labels).items()
    return {label: directory / label / TFLITE for label, each in found if each.outcome is Outcome.RIGHT}


def networks(results: Path, names: Iterable[str]) -> dict[str, Network]:
    """Return all that is known of those networks of which something is, in the order of ``names``."""
    found = {}
    for name in names:
        figures = kept_figures(results / name, PEERS)
        times = results / name / TIMES
        if figures:
            found[name] = Network(figures, records.load(Times, times) if times.exists() else None)
    return found
