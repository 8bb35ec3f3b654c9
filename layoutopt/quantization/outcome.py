"""The report on a quantized model. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from layoutopt.options import RangeMethod


@dataclass(frozen=True, slots=True)
class OutputQuality:
    """One output of a quantized model beside the float model's.

    Attributes:
        name: of the output, or of a part of one that joins values of different size.
        sqnr: ratio of signal to quantization noise, in dB: ``10 log10(sum y**2 / sum (y - q)**2)``.
        cosine: of the angle between both, over all samples.
        top1: the share of rows along the last axis whose largest element is the same; None for what are no scores.
        max_error: the largest absolute difference.
        largest: the largest absolute value of the float model's.
    """

    name: str
    sqnr: float
    cosine: float
    top1: float | None
    max_error: float
    largest: float


@dataclass(frozen=True, slots=True)
class FloatOperator:
    """An operator that computes with floats.

    Attributes:
        name: of the node that it comes from.
        code: of the operator.
        reason: why.
    """

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValueRange:
    """A value that is stored in int8, and the real numbers that it holds.

    Attributes:
        name: of the node that computes it, or of an input.
        code: of the operator; empty for an input.
        low: the least number that its integers stand for.
        high: the largest.
        least: the least number in the samples for calibration, of those that its readers tell apart.
        largest: the largest.
        outside: the share of the numbers that are less than ``low`` or more than ``high``.
        shares: of all numbers, in bins of equal width from ``least`` to ``largest``.
    """

    name: str
    code: str
    low: float
    high: float
    least: float
    largest: float
    outside: float
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """The quantization of a model, and its cost in exactness.

    Attributes:
        method: by which the ranges were chosen; ``auto`` where sections of the network have methods of their own.
        corrects_biases: whether biases make up for the rounding of weights.
        samples: how many took part in calibration; 0 where the ranges come from a file.
        choosing: how many others took part in the choice of ranges and operators.
        held_out: how many others the outputs were judged on; they took no part in anything else, but of fewer than 5
            samples all do all.
        outputs: each output, or part of one that joins values of different size, beside the float model's.
        whole: how many operators compute with integers, conversions apart.
        floats: the operators that compute with floats, and why.
        float_size: bytes of the float .tflite.
        float_milliseconds: of the fastest inference of the float .tflite on a held-out sample, on one XNNPACK thread;
            None where there were none.
        milliseconds: likewise, of the quantized one.
        warnings: what speaks against using it as it is; the most serious comes last.
        values: what is stored in int8, in the order of execution; empty where the ranges come from a file.
    """

    method: str
    corrects_biases: bool
    samples: int
    choosing: int
    held_out: int
    outputs: tuple[OutputQuality, ...]
    whole: int
    floats: tuple[FloatOperator, ...]
    float_size: int
    float_milliseconds: float | None
    milliseconds: float | None
    warnings: tuple[str, ...]
    values: tuple[ValueRange, ...] = ()

    @property
    def methods(self) -> str:
        """Return by what the ranges were chosen, in words."""
        return "different methods for sections" if self.method == RangeMethod.AUTO.value else self.method
