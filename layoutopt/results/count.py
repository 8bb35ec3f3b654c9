"""The result of `layoutopt.count`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt.ir.counts import Counts
from layoutopt.ir.perm import Perm
from layoutopt.results.result import Result


@dataclass(frozen=True, slots=True)
class CountReport(Result):
    """The counts of one file.

    Attributes:
        file: which; None for a model in memory.
        counts: what is in it.
        layouts: graph inputs and outputs that are stored in another order than the original's, with that order.
        metadata: what a .tflite says of itself, in words.
    """

    file: Path | None
    counts: Counts
    layouts: Mapping[str, Perm]
    metadata: tuple[str, ...] = ()
