"""Options of quantization by samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutopt.errors import UsageError
from layoutopt.options import Color, Int8, QuantizedIo, RangeMethod, Resize, SampleLayout

if TYPE_CHECKING:
    from layoutopt.quantization.request import QuantizationOptions

_PANEL = "Quantization by samples"

CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FOLDER|FILE",
        rich_help_panel=_PANEL,
        help="Samples for --quantize int8 and mixed: a folder of images, a .npy, or an .npz with an array for each "
        "input, by the names and in the layout of MODEL.",
    ),
]
SamplesOption = Annotated[
    int,
    typer.Option(
        "--calibration-samples",
        min=1,
        rich_help_panel=_PANEL,
        help="Use so many at most. A quarter is held back to choose and to judge.",
    ),
]
SampleLayoutOption = Annotated[
    SampleLayout,
    typer.Option("--calibration-layout", rich_help_panel=_PANEL, help="Of pictures in arrays: MODEL's, or nhwc."),
]
MeanOption = Annotated[
    str,
    typer.Option("--mean", metavar="R,G,B", rich_help_panel=_PANEL, help="Images become (pixel * scale - mean) / std."),
]
StdOption = Annotated[str, typer.Option("--std", metavar="R,G,B", rich_help_panel=_PANEL, help="See --mean.")]
ScaleOption = Annotated[
    str, typer.Option("--scale", rich_help_panel=_PANEL, help="See --mean. Default: 1/255; 1 for inputs of integers.")
]
ColorOption = Annotated[
    Color, typer.Option("--color", rich_help_panel=_PANEL, help="The order of the channels of images.")
]
ResizeOption = Annotated[
    Resize, typer.Option("--resize", rich_help_panel=_PANEL, help="How images get the size of the input.")
]
QuantizedIoOption = Annotated[
    QuantizedIo, typer.Option("--quantized-io", rich_help_panel=_PANEL, help="Type of inputs and outputs.")
]
Int8Option = Annotated[
    Int8,
    typer.Option(
        "--int8",
        rich_help_panel=_PANEL,
        help="fast: operators stay float that are slower on integers, or would spoil an output. full: none does, or "
        "it is an error, for accelerators and microcontrollers.",
    ),
]
RangesOption = Annotated[
    RangeMethod,
    typer.Option("--ranges", rich_help_panel=_PANEL, help="How ranges are taken; auto tries all on held-out samples."),
]
MinSqnrOption = Annotated[
    float | None,
    typer.Option(
        "--min-sqnr",
        rich_help_panel=_PANEL,
        help="For --quantize mixed: the ratio of signal to noise that each output shall have, in dB. "
        "[dim]\\[default: 20][/]",
    ),
]
KeepFloatOption = Annotated[
    list[str],
    typer.Option(
        "--keep-float",
        metavar="OPERATOR|REGEX",
        rich_help_panel=_PANEL,
        help="Operators that stay float: by LiteRT's name, such as SOFTMAX, or by the names of tensors. Repeatable.",
    ),
]
SaveRangesOption = Annotated[
    Path | None,
    typer.Option("--save-ranges", rich_help_panel=_PANEL, help="Write the ranges here, for builds without samples."),
]
LoadRangesOption = Annotated[
    Path | None, typer.Option("--load-ranges", rich_help_panel=_PANEL, help="Ranges of --save-ranges, not samples.")
]


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Return numbers that commas separate, each of which may be a fraction such as 1/255.

    Raises:
        UsageError: one cannot be read.
    """
    try:
        return tuple(float(Fraction(each.strip())) for each in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{option} {text}: not numbers", hint=f"For example: {option} 0.485,0.456,0.406") from None


def quantization_options(
    *,
    mean: str,
    std: str,
    scale: str,
    min_sqnr: float | None,
    **others: object,
) -> QuantizationOptions:
    """Return the options as the API takes them.

    Raises:
        UsageError: a number cannot be read.
    """
    from layoutopt.quantization.request import MIN_SQNR, QuantizationOptions

    return QuantizationOptions(
        mean=numbers("--mean", mean),
        std=numbers("--std", std),
        scale=numbers("--scale", scale)[0] if scale else None,
        min_sqnr=MIN_SQNR if min_sqnr is None else min_sqnr,
        **others,  # type: ignore[arg-type]
    )
