"""The figures of the networks: what is kept of them, their page, and what the README shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import records
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.ir.counts import OTHER_MOVEMENT, PADS, RESHAPES, TRANSPOSES
from layoutopt.results.optimize import ModelKind, ModelStats
from layoutopt.results.provenance import Provenance

OPSET = 17


@dataclass(frozen=True, slots=True)
class Copies:
    """The Transposes of an ONNX graph.

    Attributes:
        count: how many.
        size: bytes that they write.
    """

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Row:
    """One network.

    Attributes:
        forms: the .tflite files, each once: plain onnx-tf where it can convert the network, our handlers with the
            transposes around every operator left in, and the layouts chosen.
        stripes: the operators of each in the order in which they run, by the value of its kind, a letter each.
        left_in: copies of the second.
        chosen: copies of the third.
        kept: copies where inputs and outputs keep their layouts.
        proved: whether no other layouts cost fewer bytes.
        measured: where and when the latencies were.
    """

    forms: tuple[ModelStats, ...]
    stripes: Mapping[str, str]
    left_in: Copies
    chosen: Copies
    kept: Copies
    proved: bool
    measured: Provenance

    def form(self, kind: ModelKind) -> ModelStats | None:
        """Return the form of that kind, if it could be had."""
        return next((form for form in self.forms if form.kind is kind), None)

    @property
    def before(self) -> ModelStats:
        """The form without layoutopt: plain onnx-tf, or where it fails the per-operator layout."""
        return self.forms[0]

    @property
    def after(self) -> ModelStats:
        """The form with layoutopt."""
        return self.forms[-1]

    @property
    def speedup(self) -> float:
        """Of the medians."""
        return ratio(self.before.latency_ms, self.after.latency_ms)


def ratio(before: float | None, after: float | None) -> float:
    """Return the ratio of two latencies that were measured."""
    assert before is not None
    assert after is not None
    return before / after


@dataclass(frozen=True, slots=True)
class Networks:
    """All networks, by name."""

    PATH: ClassVar[Path] = records.committed("networks")

    rows: Mapping[str, Row]

    @classmethod
    def committed(cls) -> Networks:
        """Return those that were measured last."""
        return records.load(cls, cls.PATH)


LETTERS = {
    **dict.fromkeys(TRANSPOSES, "T"),
    **dict.fromkeys((*PADS, *RESHAPES, *OTHER_MOVEMENT), "m"),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"), "C"),
}
"""Operators that are told from the rest: transposes, what else only moves data, and products."""


def stripes(tflite: Path) -> str:
    """Return a letter for each operator of a .tflite, in the order in which they run; a dot for what has none."""
    return "".join(LETTERS.get(operator.name, ".") for operator in operators_of(tflite))
