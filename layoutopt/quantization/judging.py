"""The error of a quantized graph against the float one, on samples that it was not made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layoutopt.quantization.outcome import OutputQuality
from layoutopt.tfl.dtypes import Array

_EXACT = 99.0
"""The ratio in dB of outputs that are equal; the least is as far below 0, for all noise where there is no signal."""
_LEAST_CLASSES = 2


@dataclass(slots=True)
class _Sums:
    """The sums over the samples, of one output."""

    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    quantized: float = 0.0
    agreeing: int = 0
    rows: int = 0
    max_error: float = 0.0
    largest: float = 0.0

    def add(self, real: Array, whole: Array) -> None:
        expected, found = real.astype(np.float64), whole.astype(np.float64)
        off = expected - found
        self.signal += float(np.vdot(expected, expected))
        self.quantized += float(np.vdot(found, found))
        self.product += float(np.vdot(expected, found))
        self.noise += float(np.vdot(off, off))
        self.max_error = max(self.max_error, float(np.abs(off).max(initial=0.0)))
        self.largest = max(self.largest, float(np.abs(expected).max(initial=0.0)))
        if _has_scores(real):
            same = expected.argmax(-1) == found.argmax(-1)
            self.agreeing, self.rows = self.agreeing + int(same.sum()), self.rows + same.size

    def quality(self, name: str) -> OutputQuality:
        lengths = (self.signal * self.quantized) ** 0.5
        return OutputQuality(
            name,
            _decibels(self.signal, self.noise),
            self.product / lengths if lengths else float(self.noise == 0),
            self.agreeing / self.rows if self.rows else None,
            self.max_error,
            self.largest,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OutputPart:
    """A part that is judged by itself: an output, or some elements of one.

    Attributes:
        name: of the output, with the elements where it is not all of them.
        output: position of the output.
        mask: which elements; None for all.
    """

    name: str
    output: int
    mask: npt.NDArray[np.bool_] | None = None

    def of(self, outputs: Sequence[Array]) -> Array:
        """Return the part of these outputs."""
        whole = outputs[self.output]
        return whole if self.mask is None else whole[self.mask]


def judge(
    parts: Sequence[OutputPart], real: Iterable[Sequence[Array]], whole: Iterable[Sequence[Array]]
) -> tuple[OutputQuality, ...]:
    """Return the quality of each part of the outputs.

    Args:
        parts: of the outputs.
        real: the float model's outputs of each sample.
        whole: the quantized model's, as real numbers.
    """
    sums = [_Sums() for _ in parts]
    for expected, found in zip(real, whole, strict=True):
        for each, part in zip(sums, parts, strict=True):
            each.add(part.of(expected), part.of(found))
    return tuple(each.quality(part.name) for each, part in zip(sums, parts, strict=True))


def noise_of(output: OutputQuality) -> float:
    """Return the noise of an output over its signal."""
    return float(10 ** (-output.sqnr / 10))


def total_noise(outputs: Sequence[OutputQuality]) -> float:
    """Return the mean noise of all outputs, each over its signal, so that the least exact one counts most."""
    return float(np.mean([noise_of(output) for output in outputs]))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return _EXACT
    ratio = 10 * (math.log10(max(signal, 1e-300)) - math.log10(noise))
    return max(-_EXACT, min(_EXACT, ratio))


def _has_scores(output: Array) -> bool:
    """Return whether an output looks like one score for each class: of two axes, or sequences that add up to 1."""
    if output.ndim < 2 or output.shape[-1] < _LEAST_CLASSES:
        return False
    return output.ndim == 2 or (output.ndim == 3 and bool(np.allclose(output.sum(-1), 1, atol=1e-3)))
