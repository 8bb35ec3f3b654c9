"""The steps of `optimize` around `layoutopt.quantization`: it checks options, reads samples and writes ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir

from layoutopt.backend.conversion import Quantize
from layoutopt.errors import UsageError
from layoutopt.outputs import Outputs
from layoutopt.quantization.inputs import Input
from layoutopt.quantization.quantizer import Quantizer
from layoutopt.quantization.request import QuantizationOptions, quantizing
from layoutopt.quantization.samples import Given
from layoutopt.workflows.options import RunContext


def check_quantization(
    quantize: Quantize,
    calibration: Given | str | None,
    options: QuantizationOptions | None,
    dynamic: Sequence[str],
    *,
    convert: bool,
) -> None:
    """Refuse options of quantization where what they are given for does not fit them.

    Args:
        quantize: what happens to weights and activations.
        calibration: samples; None for none.
        options: how samples are read, and what is made of them; None for the defaults.
        dynamic: names of dimensions that stay symbolic.
        convert: whether a .tflite is made.

    Raises:
        UsageError: they do not fit.
    """
    given = options is not None and options != QuantizationOptions()
    if not quantize.takes_samples and (calibration is not None or given):
        raise UsageError("samples and ranges are for --quantize int8 and mixed", hint="Add --quantize int8.")
    if quantize.takes_samples and (dynamic or not convert):
        other = "--dynamic" if dynamic else "--no-tflite"
        raise UsageError(f"--quantize {quantize.value} makes a .tflite of static shapes", hint=f"Go without {other}.")


@contextmanager
def prepared_quantizer(
    original: ir.Model,
    quantize: Quantize,
    calibration: Given | str | None,
    options: QuantizationOptions,
    context: RunContext,
) -> Iterator[Quantizer | None]:
    """Give what quantizes the .tflite of a model, with its samples read and checked; None where it takes no samples.

    Args:
        original: of static shapes.
        quantize: what happens to weights and activations.
        calibration: samples, or a path to them; None where there are ranges.
        options: how samples are read, and what is made of them.
        context: of the run.

    Raises:
        UsageError: there are neither samples nor ranges, or they do not fit the model.
        MissingExtraError: the samples are images, and Pillow is not installed.
    """
    if not quantize.takes_samples:
        yield None
        return
    mixed = quantize is Quantize.MIXED
    with quantizing(
        calibration, options, _inputs(original), mixed=mixed, say=context.say, verbose=context.verbose
    ) as quantizer:
        yield quantizer


def write_ranges(quantizer: Quantizer | None, path: Path | str | None, outputs: Outputs) -> None:
    """Write the ranges that a model was quantized by to ``path``, if they are wanted."""
    if quantizer is not None and path is not None:
        with outputs.filling(Path(path)) as staged:
            staged.write_text(quantizer.recipe)


def _inputs(model: ir.Model) -> list[Input]:
    """Return what a model of static shapes takes."""
    return [
        Input(str(value.name), value.shape.numpy(), value.dtype.numpy())
        for value in model.graph.inputs
        if not value.is_initializer() and value.shape is not None and value.dtype is not None
    ]
