"""Quantizes the graph of a model on its way to a .tflite, and tells what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.options import Int8, QuantizedIo
from layoutopt.quantization.building import QuantizedGraph, Settings, build
from layoutopt.quantization.calibrator import Calibrator
from layoutopt.quantization.inputs import Input
from layoutopt.quantization.outcome import QuantizationReport
from layoutopt.quantization.recipe import Recipe
from layoutopt.quantization.samples import Samples
from layoutopt.quantization.tail import Tail, split_tail
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Model

_LOW_SQNR = 15.0
"""Outputs with less than this, in dB, are a sixth of their size off."""
_LOW_AGREEMENT = 0.9
"""The least share of samples whose largest score should stay the largest."""

_SLOWER = 1.05
"""The factor of the latency of float beyond which a difference is more than noise."""

Orders = Mapping[str, Sequence[int]]
"""In which order a .tflite stores the axes of each input of the original; those in place may be left out."""


@dataclass(slots=True)
class Quantizer:
    """Quantize a graph by samples, or by ranges that were kept.

    Attributes:
        source: checked samples, or the file of ranges.
        inputs: what the original takes.
        settings: what the user asks for.
        scratch: directory for .tflite files.
        say: called with what starts now.
        verbose: let through what LiteRT writes to stderr.
        report: what became of it; None before.
        recipe: what it was quantized by, as the text of a file; empty before.
    """

    source: Samples | Path
    inputs: Sequence[Input]
    settings: Settings
    scratch: Path
    say: Callable[[str], None] = lambda _: None
    verbose: bool = False
    report: QuantizationReport | None = field(default=None, init=False)
    recipe: str = field(default="", init=False)

    def quantize(self, model: Model, orders: Orders) -> Model:
        """Return the quantized graph of a float one.

        Args:
            model: of float operators; it stays as it is.
            orders: of the axes of its inputs.

        Raises:
            UsageError: it is quantized already, or samples or ranges do not fit it.
            UnsupportedOperatorError: all operators are to compute with integers, and some cannot.
        """
        if any(each.code in ("QUANTIZE", "DEQUANTIZE") for each in model.graph.all_operations()):
            raise UsageError(
                "--quantize int8: the model is quantized already",
                hint="Go without --quantize: its own scales are kept, to the last bit.",
            )
        head, tail = split_tail(model)
        settings = self.settings
        if tail is not None:
            if settings.int8 is Int8.FULL:
                _refuse_floats(tail)
            settings = replace(settings, float_outputs=tail.read)
        if isinstance(self.source, Path):
            made = build(head, Recipe.load(head.graph, self.source), settings)
            samples = choosing = held_out = 0
            doubts: Sequence[str] = ("nothing was judged: there were no samples",)
        else:
            made = self._calibrated(head, self.source, orders, settings)
            parts = self.source.calibration, self.source.choosing, self.source.judging
            samples, choosing, held_out = (sum(1 for _ in part()) for part in parts)
            doubts = self.source.warnings
        self.recipe = made.recipe.to_json(head.graph)
        self.report = QuantizationReport(
            made.recipe.method.value,
            made.recipe.means is not None,
            samples,
            choosing,
            held_out,
            made.quality,
            len(made.whole),
            (*made.floats, *(() if tail is None else tail.floats)),
            _size(model, self.scratch),
            made.float_milliseconds,
            made.milliseconds,
            (*doubts, *_warnings(made, self.settings)),
            made.values,
        )
        return made.model if tail is None else tail.after(made.model)

    def _calibrated(self, model: Model, samples: Samples, orders: Orders, settings: Settings) -> QuantizedGraph:
        places = [[each.name for each in self.inputs].index(name) for name in model.input_names]

        def stored(given: Iterator[Sequence[Array]]) -> Iterator[Sequence[Array]]:
            for sample in given:
                yield [
                    _stored(sample[place], orders.get(name), value.dtype.numpy)
                    for place, name, value in zip(places, model.input_names, model.graph.inputs, strict=True)
                ]

        return Calibrator(
            model,
            settings,
            lambda: stored(samples.calibration()),
            lambda: stored(samples.choosing()),
            lambda: stored(samples.comparing()),
            lambda: stored(samples.judging()),
            self.scratch,
            self.say,
            self.verbose,
        ).run()


def _refuse_floats(tail: Tail) -> None:
    """Refuse a tail where all operators are to compute with integers.

    Raises:
        UnsupportedOperatorError: names the nodes.
    """
    nodes = tail.selecting
    raise UnsupportedOperatorError(
        f"--int8 full: from {nodes[0]} on, which elements there are depends on the data, and there are no integer "
        "kernels",
        hint="Take the part before it (--outputs), and convert the rest with floats as a second model (--inputs).",
        nodes=nodes,
    )


def _stored(array: Array, order: Sequence[int] | None, dtype: type[np.generic] | np.dtype[np.generic]) -> Array:
    moved = array if order is None else array.transpose(order)
    return np.ascontiguousarray(moved.astype(dtype, copy=False)).reshape(moved.shape)


def _size(model: Model, scratch: Path) -> int:
    path = scratch / "float.tflite"
    write_tflite(model, path)
    return path.stat().st_size


def _warnings(made: QuantizedGraph, settings: Settings) -> Iterator[str]:
    """Iterate over what is wrong with the result, the most serious last."""
    if not made.whole:
        yield "no operator computes with integers"
    if any(each.bodies for each in made.model.graph.operations):
        yield "the bodies of control flow (IF, WHILE) stay float"
    whole, real = made.milliseconds, made.float_milliseconds
    if whole is not None and real is not None and whole > _SLOWER * real:
        yield f"slower here than float: {whole:.2f} against {real:.2f} ms"
    for output in made.quality:
        if settings.min_sqnr is not None and output.sqnr < settings.min_sqnr:
            yield f"{output.name}: {output.sqnr:.1f} dB, less than the {settings.min_sqnr:g} that are asked for"
        if output.top1 is not None and output.top1 < _LOW_AGREEMENT:
            yield f"{output.name}: the largest score is another one in {1 - output.top1:.0%} of the held-out samples"
    low = [output for output in made.quality if output.sqnr < _LOW_SQNR]
    listed = ", ".join(f"{output.name} ({output.sqnr:.1f} dB)" for output in low)
    are_parts = not {output.name for output in low} & set(made.model.output_names)
    if low and are_parts and settings.io is not QuantizedIo.FLOAT:
        yield (
            f"one int8 tensor is too coarse for parts of different size: {listed}; make them outputs of their own "
            "(--outputs), or go without --quantized-io"
        )
    elif low:
        yield (
            f"int8 does not suit this model: {listed}; try --quantize mixed --min-sqnr 20, or --quantize weights, "
            "where only the file is smaller"
        )
