"""Modes: pieces of a row-major flat index, as in CuTe. How a tensor stores them in order belongs to ``physical``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, order=True)
class Digit:
    """One digit of a row-major flat index: it counts ``size`` steps of ``stride`` elements."""

    stride: int
    size: int

    @property
    def top(self) -> int:
        """The stride of the next digit."""
        return self.stride * self.size


def split_digits(digits: Iterable[Digit], borders: Collection[int]) -> list[Digit] | None:
    """The digits, cut at every border that lies inside one of them; None where one does not divide there."""
    pieces: list[Digit] = []
    for digit in digits:
        inside = sorted((border for border in borders if digit.stride < border < digit.top), reverse=True)
        for high, low in pairwise((digit.top, *inside, digit.stride)):
            if high % low:
                return None
            pieces.append(Digit(low, high // low))
    return pieces


def merge_digits(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """The digits, two neighbours that are one digit as one."""
    merged: list[Digit] = []
    for digit in digits:
        if merged and merged[-1].stride == digit.top:
            merged[-1] = Digit(digit.stride, merged[-1].size * digit.size)
        else:
            merged.append(digit)
    return tuple(merged)
