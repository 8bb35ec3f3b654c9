"""The figures of conversions, as they are kept."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import records
from benchmarks.conversion_cost.processes import Cost
from benchmarks.conversion_cost.ways import Way
from layoutopt.results.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Runs:
    """All conversions of one model one way.

    Attributes:
        costs: of each round.
        error: why there is none; empty where there is.
    """

    costs: tuple[Cost, ...]
    error: str = ""

    @property
    def processor(self) -> float:
        """The median of the seconds that were computed."""
        return statistics.median(cost.processor for cost in self.costs)

    @property
    def least_processor(self) -> float:
        """The least of them: what other processes disturbed least."""
        return min(cost.processor for cost in self.costs)

    @property
    def memory(self) -> float:
        """The median of the peaks of all processes together."""
        return statistics.median(cost.together for cost in self.costs)


@dataclass(frozen=True, slots=True)
class Subject:
    """One model.

    Attributes:
        size: bytes of its files.
        nodes: that it has.
        runs: by the value of the way.
        measured: where and when.
    """

    size: int
    nodes: int
    runs: Mapping[str, Runs]
    measured: Provenance

    def of(self, way: Way) -> Runs | None:
        """Return its conversions one way, if there are any."""
        runs = self.runs.get(way.value)
        return runs if runs is not None and runs.costs else None

    @property
    def more(self) -> tuple[str, ...]:
        """The resources of which the direct backend takes more than onnx2tf, where both have a result."""
        direct, other = self.of(Way.DIRECT), self.of(Way.ONNX2TF)
        if direct is None or other is None:
            return ()
        taken = {
            "processor": (direct.processor, other.processor),
            "memory": (direct.memory, other.memory),
        }
        return tuple(name for name, (ours, theirs) in taken.items() if ours > theirs)


@dataclass(frozen=True, slots=True)
class ConversionCost:
    """All models, by name.

    Attributes:
        subjects: the models.
        versions: of the packages of onnx2tf.
    """

    PATH: ClassVar[Path] = records.committed("conversion_cost")

    subjects: Mapping[str, Subject]
    versions: Mapping[str, str]

    @classmethod
    def committed(cls) -> ConversionCost:
        """Return what was measured last."""
        return records.load(cls, cls.PATH)
