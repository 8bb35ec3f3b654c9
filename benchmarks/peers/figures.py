"""What is known of one network from one converter, as it is kept on disk."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.catalogue import OURS, PEERS
from layoutopt.report.results import to_json

FIGURES, TFLITE, TIMES = "figures.json", "model.tflite", "times.json"
SUMMARY = Path(__file__).parents[1] / "results" / "peers.json"
"""The figures that the repository keeps."""


class Verdict(enum.Enum):
    """A latency beside ours."""

    FASTER = "faster"
    SLOWER = "slower"
    TIE = "tie"


class Outcome(enum.Enum):
    """What became of a conversion."""

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

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Figures:
        """From what `to_json` made of one."""
        return cls(**{**found, "outcome": Outcome(found["outcome"])})

    @classmethod
    def load(cls, path: Path) -> Figures:
        """From a file."""
        return cls.from_json(json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Into a file, which is there only once it is whole."""
        write_json(self, path)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a .tflite takes beside ours, both from one interleaved run.

    Attributes:
        median_ms: per inference, over the loads.
        ratio: to ours; above 1 is slower than ours.
        low: end of the 95 % interval of the ratio.
        high: the other end.
    """

    median_ms: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Times:
    """One run of all models of a network.

    Attributes:
        day: of the run.
        loads: how often every model was loaded and timed.
        timings: by converter; that of ours is of ours loaded once more, so that it tells what chance does.
    """

    day: str
    loads: int
    timings: Mapping[str, Timing] = field(default_factory=dict)

    def verdict(self, name: str) -> Verdict:
        """Whether a converter's result is faster or slower than ours by more than ours is than itself."""
        timing, chance = self.timings[name], self.timings[OURS]
        if timing.high < min(1.0, chance.low):
            return Verdict.FASTER
        return Verdict.SLOWER if timing.low > max(1.0, chance.high) else Verdict.TIE

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Times:
        """From what `to_json` made of one."""
        timings = {name: Timing(**each) for name, each in found["timings"].items()}
        return cls(**{**found, "timings": timings})

    @classmethod
    def load(cls, path: Path) -> Times:
        """From a file."""
        return cls.from_json(json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Into a file."""
        write_json(self, path)


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
    def faster(self) -> tuple[str, ...]:
        """The converters whose results are faster than ours, beyond noise."""
        times = self.times
        return () if times is None else tuple(name for name in times.timings if times.verdict(name) is Verdict.FASTER)


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures, and what they were measured with.

    Attributes:
        machine: processor, cores and system.
        versions: of the packages, by converter.
        networks: by name.
    """

    machine: str
    versions: Mapping[str, Mapping[str, str]]
    networks: Mapping[str, Network]

    @classmethod
    def load(cls, path: Path) -> Summary:
        """From a file."""
        found = json.loads(path.read_text())
        networks = {name: cls._network(each) for name, each in found["networks"].items()}
        return cls(found["machine"], found["versions"], networks)

    @staticmethod
    def _network(found: Mapping[str, Any]) -> Network:
        figures = {name: Figures.from_json(each) for name, each in found["figures"].items()}
        return Network(figures, Times.from_json(found["times"]) if found["times"] else None)

    def save(self, path: Path) -> None:
        """Into a file."""
        write_json(self, path)


def networks(results: Path, names: Iterable[str]) -> dict[str, Network]:
    """All that is known of those networks of which something is, in the order of ``names``."""
    found = {}
    for name in names:
        files = {peer: results / name / peer / FIGURES for peer in PEERS}
        figures = {peer: Figures.load(path) for peer, path in files.items() if path.exists()}
        times = results / name / TIMES
        if figures:
            found[name] = Network(figures, Times.load(times) if times.exists() else None)
    return found


def write_json(value: object, path: Path) -> None:
    """Writes frozen data to ``path``, which is never half there."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(to_json(value), indent=2) + "\n")
    partial.replace(path)
