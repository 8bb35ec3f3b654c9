"""The request of a user for quantization, and what is made ready for it before a model is rewritten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layoutopt.errors import UsageError
from layoutopt.options import Color, Int8, QuantizedIo, RangeMethod, Resize, SampleLayout, WeightScales, choose
from layoutopt.outputs import scratch
from layoutopt.quantization.building import Settings
from layoutopt.quantization.images import ImageSettings
from layoutopt.quantization.inputs import Input
from layoutopt.quantization.quantizer import Quantizer
from layoutopt.quantization.samples import MAX_SAMPLES, Given, Reading, read_samples

MIN_SQNR = 20.0
"""The ratio of signal to noise in dB that mixed precision reaches where nobody says another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationOptions:
    """The options of quantization by samples.

    Attributes:
        int8: which operators compute with integers.
        io: element type of inputs and outputs.
        weights: whether each output channel has a scale for its weights, or all have one.
        ranges: how the range that the integers of a value cover is taken from samples.
        keep_float: codes of LiteRT's operators, or regular expressions for names, that stay float.
        min_sqnr: for mixed precision, the least ratio of signal to noise of each output, in dB.
        samples: at most so many take part; a fifth of them is held back to choose by, and another to judge by.
        layout: of samples that are pictures in arrays.
        mean: of images: subtracted from what ``scale`` gives; one number, or one for each channel.
        std: of images: what that is divided by.
        scale: of images: what pixels from 0 to 255 are multiplied by; None for 1/255, or 1 for integers.
        color: of images: the order of the channels.
        resize: of images: how they get the size of the input.
        save_ranges: where to write the ranges, as JSON, so that a build needs no samples.
        load_ranges: a file of such ranges, instead of samples.
    """

    int8: Int8 | str = Int8.FAST
    io: QuantizedIo | str = QuantizedIo.FLOAT
    weights: WeightScales | str = WeightScales.CHANNEL
    ranges: RangeMethod | str = RangeMethod.AUTO
    keep_float: Sequence[str] = ()
    min_sqnr: float = MIN_SQNR
    samples: int = MAX_SAMPLES
    layout: SampleLayout | str = SampleLayout.MODEL
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    scale: float | None = None
    color: Color | str = Color.RGB
    resize: Resize | str = Resize.STRETCH
    save_ranges: Path | str | None = None
    load_ranges: Path | str | None = None

    def settings(self, *, mixed: bool) -> Settings:
        """Return what concerns the graph.

        Raises:
            UsageError: a choice that does not exist, or two that contradict each other.
        """
        int8 = choose(Int8, self.int8, "int8")
        if mixed and (int8 is Int8.FULL or self.load_ranges is not None):
            other = "--int8 full" if int8 is Int8.FULL else "--load-ranges"
            raise UsageError(f"--quantize mixed and {other} contradict each other", hint="Use --quantize int8.")
        return Settings(
            int8,
            choose(QuantizedIo, self.io, "io"),
            choose(RangeMethod, self.ranges, "ranges"),
            tuple(self.keep_float),
            self.min_sqnr if mixed else None,
            choose(WeightScales, self.weights, "weights"),
        )

    def of_pixels(self) -> QuantizationOptions:
        """Return the same request for a model that normalizes pixels itself.

        Raises:
            UsageError: they say how to normalize images.
        """
        default = QuantizationOptions()
        for option in ("mean", "std", "scale", "color"):
            if getattr(self, option) != getattr(default, option):
                raise UsageError(
                    f"--{option} and --preprocess contradict each other",
                    hint="Use --preprocess alone: the model then normalizes the samples too.",
                )
        return dataclasses.replace(self, scale=1.0)

    def reading(self) -> Reading:
        """Return what concerns the samples.

        Raises:
            UsageError: a choice that does not exist.
        """
        images = ImageSettings(
            tuple(self.mean),
            tuple(self.std),
            self.scale,
            choose(Color, self.color, "color"),
            choose(Resize, self.resize, "resize"),
        )
        return Reading(self.samples, choose(SampleLayout, self.layout, "layout"), images)


@contextmanager
def quantizing(
    calibration: Given | str | None,
    options: QuantizationOptions,
    inputs: Sequence[Input],
    *,
    mixed: bool,
    say: Callable[[str], None],
    verbose: bool = False,
) -> Iterator[Quantizer]:
    """Give what quantizes the graph of a model; samples are read and checked before.

    Args:
        calibration: samples, or a path to them; None where there are ranges.
        options: what is asked for.
        inputs: what the model takes.
        mixed: whether sensitive operators stay float.
        say: called with what starts now.
        verbose: let through what LiteRT writes to stderr.

    Raises:
        UsageError: there are neither samples nor ranges, or they do not fit the model.
        MissingExtraError: the samples are images, and Pillow is not installed.
    """
    settings, reading = options.settings(mixed=mixed), options.reading()
    if (calibration is None) == (options.load_ranges is None):
        what = "needs samples" if calibration is None else "takes --calibration or --load-ranges, not both"
        raise UsageError(
            f"--quantize {'mixed' if mixed else 'int8'} {what}",
            hint="Give --calibration FOLDER of images, or .npy or .npz files of what the model will see.",
        )
    with scratch() as folder:
        if calibration is None:
            assert options.load_ranges is not None
            yield Quantizer(Path(options.load_ranges), inputs, settings, folder, say, verbose)
            return
        say("samples")
        given = Path(calibration) if isinstance(calibration, str) else calibration
        yield Quantizer(read_samples(given, inputs, folder, reading), inputs, settings, folder, say, verbose)
