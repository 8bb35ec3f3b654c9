"""The options of quantization."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutopt.backend.conversion import Quantize
from layoutopt.cli.parsing import parse_fractions
from layoutopt.errors import UsageError
from layoutopt.options import Color, Int8, QuantizedIo, RangeMethod, Resize, SampleLayout, WeightScales

if TYPE_CHECKING:
    from layoutopt.quantization.request import QuantizationOptions

_PANEL = "Quantization by samples"


@dataclass(frozen=True, slots=True)
class QuantizationArguments:
    """The options that say what happens to weights and activations, by which samples."""

    quantize: Annotated[
        Quantize,
        typer.Option(
            "--quantize",
            help="int8: weights and activations, with --calibration. mixed: the same, with as many float layers as "
            "--min-sqnr needs. weights: int8 in the file, float arithmetic. dynamic: int8 weights, as by "
            "tf.lite.Optimize.DEFAULT. int4: the same, with int4 weights in large linear layers. float16: weights of "
            "half the size.",
        ),
    ] = Quantize.NONE
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="FOLDER|FILE",
            rich_help_panel=_PANEL,
            help="Samples for --quantize int8 and mixed: a folder of images, a .npy, or an .npz with an array for each "
            "input, by the names and in the layout of MODEL.",
        ),
    ] = None
    calibration_samples: Annotated[
        int,
        typer.Option(
            "--calibration-samples",
            min=1,
            rich_help_panel=_PANEL,
            help="Number of samples to use at most. A fifth is held out to choose by, another to judge the result.",
        ),
    ] = 100
    calibration_layout: Annotated[
        SampleLayout,
        typer.Option(
            "--calibration-layout", rich_help_panel=_PANEL, help="Layout of images in arrays: that of MODEL, or nhwc."
        ),
    ] = SampleLayout.MODEL
    mean: Annotated[
        str,
        typer.Option(
            "--mean", metavar="R,G,B", rich_help_panel=_PANEL, help="Images become (pixel * scale - mean) / std."
        ),
    ] = "0"
    std: Annotated[str, typer.Option("--std", metavar="R,G,B", rich_help_panel=_PANEL, help="See --mean.")] = "1"
    scale: Annotated[
        str,
        typer.Option("--scale", rich_help_panel=_PANEL, help="See --mean. Default: 1/255; 1 for inputs of integers."),
    ] = ""
    color: Annotated[
        Color, typer.Option("--color", rich_help_panel=_PANEL, help="The order of the channels of images.")
    ] = Color.RGB
    resize: Annotated[
        Resize, typer.Option("--resize", rich_help_panel=_PANEL, help="How to resize images to the size of the input.")
    ] = Resize.STRETCH
    quantized_io: Annotated[
        QuantizedIo, typer.Option("--quantized-io", rich_help_panel=_PANEL, help="Type of inputs and outputs.")
    ] = QuantizedIo.FLOAT
    int8: Annotated[
        Int8,
        typer.Option(
            "--int8",
            rich_help_panel=_PANEL,
            help="fast: operators stay float if they are slower on integers or would spoil an output. full: none may "
            "stay float, for accelerators and microcontrollers.",
        ),
    ] = Int8.FAST
    weight_scales: Annotated[
        WeightScales,
        typer.Option(
            "--weight-scales",
            rich_help_panel=_PANEL,
            help="channel: a scale for the weights of each output channel, which is more exact. tensor: one for all of "
            "an operator, which compresses better and takes fewer cycles on Ethos-U.",
        ),
    ] = WeightScales.CHANNEL
    ranges: Annotated[
        RangeMethod,
        typer.Option(
            "--ranges",
            rich_help_panel=_PANEL,
            help="How to compute ranges; auto tries all methods, for the network and for sections of it.",
        ),
    ] = RangeMethod.AUTO
    min_sqnr: Annotated[
        float | None,
        typer.Option(
            "--min-sqnr",
            rich_help_panel=_PANEL,
            help="For --quantize mixed: the signal-to-noise ratio that each output must have, in dB. "
            "[dim]\\[default: 20][/]",
        ),
    ] = None
    keep_float: Annotated[
        list[str],
        typer.Option(
            "--keep-float",
            metavar="OPERATOR|REGEX",
            rich_help_panel=_PANEL,
            help="Operators that stay float: by LiteRT's name, such as SOFTMAX, or by the names of tensors. "
            "Repeatable.",
        ),
    ] = field(default_factory=list)
    load_ranges: Annotated[
        Path | None,
        typer.Option("--load-ranges", rich_help_panel=_PANEL, help="Read ranges from this file instead of samples."),
    ] = None

    def options(self) -> QuantizationOptions:
        """Return the options as the API takes them.

        Raises:
            UsageError: a number cannot be read, or is for another choice of ``quantize``.
        """
        from layoutopt.quantization.request import MIN_SQNR, QuantizationOptions

        if self.min_sqnr is not None and self.quantize is not Quantize.MIXED:
            raise UsageError("--min-sqnr is for --quantize mixed")
        return QuantizationOptions(
            int8=self.int8,
            io=self.quantized_io,
            weights=self.weight_scales,
            ranges=self.ranges,
            keep_float=tuple(self.keep_float),
            min_sqnr=MIN_SQNR if self.min_sqnr is None else self.min_sqnr,
            samples=self.calibration_samples,
            layout=self.calibration_layout,
            mean=parse_fractions("--mean", self.mean),
            std=parse_fractions("--std", self.std),
            scale=parse_fractions("--scale", self.scale)[0] if self.scale else None,
            color=self.color,
            resize=self.resize,
            load_ranges=self.load_ranges,
        )


@dataclass(frozen=True, slots=True)
class SavingQuantizationArguments(QuantizationArguments):
    """The same, where the ranges can be kept."""

    save_ranges: Annotated[
        Path | None,
        typer.Option(
            "--save-ranges", rich_help_panel=_PANEL, help="Write the ranges to this file, for runs without samples."
        ),
    ] = None

    def options(self) -> QuantizationOptions:
        """Return the options as the API takes them, like `QuantizationArguments.options`."""
        return replace(QuantizationArguments.options(self), save_ranges=self.save_ranges)
