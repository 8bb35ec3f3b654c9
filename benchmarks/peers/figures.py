"""What is known of one network from one converter, as it is kept on disk."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layoutopt.report.results import to_json

FIGURES, TFLITE, TIMES = "figures.json", "model.tflite", "times.json"


class Outcome(enum.Enum):
    """What became of a conversion."""

    RIGHT = "right"
    """The result computes what ONNX Runtime does on the original."""
    UNJUDGED = "unjudged"
    """The result runs; its weights are its own."""
    WRONG = "wrong"
    """The result runs, and computes something else."""
    FLEX = "needs TensorFlow"
    """The result has operators of TensorFlow, which LiteRT does not."""
    NOT_LOADED = "does not run"
    """LiteRT cannot load or run the result."""
    FAILED = "failed"
    """There is no result."""

    @property
    def timed(self) -> bool:
        """Whether the result is one to be timed."""
        return self in (Outcome.RIGHT, Outcome.UNJUDGED)


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
    def from_json(cls, found: Mapping[str, object]) -> Figures:
        """From what `to_json` made of one."""
        return cls(**{**found, "outcome": Outcome(found["outcome"])})  # type: ignore[arg-type]

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
        median_ms: per inference.
        ratio: to ours; above 1 is slower than ours.
        low: end of the 95 % interval of the ratio.
        high: the other end.
    """

    median_ms: float
    ratio: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Whether ours is faster, beyond noise."""
        return self.low > 1

    @property
    def faster(self) -> bool:
        """Whether ours is slower, beyond noise."""
        return self.high < 1


@dataclass(frozen=True, slots=True)
class Times:
    """One run of all models of a network.

    Attributes:
        day: of the run.
        rounds: samples per model.
        timings: by converter.
    """

    day: str
    rounds: int
    timings: Mapping[str, Timing] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Times:
        """From what `to_json` made of one."""
        timings = {name: Timing(**each) for name, each in found["timings"].items()}  # type: ignore[attr-defined]
        return cls(**{**found, "timings": timings})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Times:
        """From a file."""
        return cls.from_json(json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Into a file."""
        write_json(self, path)


def write_json(value: object, path: Path) -> None:
    """Writes frozen data to ``path``, which is never half there."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(to_json(value), indent=2) + "\n")
    partial.replace(path)
