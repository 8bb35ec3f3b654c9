"""Modes: pieces of a row-major flat index, as in CuTe. How a tensor stores them in order belongs to ``physical``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, order=True)
class Mode:
    """One mode of a row-major flat index: it counts ``size`` steps of ``stride`` elements."""

    stride: int
    size: int

    @property
    def top(self) -> int:
        """Return the stride of the next mode."""
        return self.stride * self.size


def split_modes(modes: Iterable[Mode], borders: Collection[int]) -> list[Mode] | None:
    """Return the modes, cut at every border that lies inside one of them; None where one does not divide there."""
    pieces: list[Mode] = []
    for mode in modes:
        inside = sorted((border for border in borders if mode.stride < border < mode.top), reverse=True)
        for high, low in pairwise((mode.top, *inside, mode.stride)):
            if high % low:
                return None
            pieces.append(Mode(low, high // low))
    return pieces


def merge_modes(modes: Iterable[Mode]) -> tuple[Mode, ...]:
    """Return the modes, two neighbours that are one mode as one."""
    merged: list[Mode] = []
    for mode in modes:
        if merged and merged[-1].stride == mode.top:
            merged[-1] = Mode(mode.stride, merged[-1].size * mode.size)
        else:
            merged.append(mode)
    return tuple(merged)
