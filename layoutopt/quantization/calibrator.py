"""Chooses how a graph is quantized: the ranges, corrections and operators that serve other samples best."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.errors import UsageError
from layoutopt.quantization.building import QuantizedGraph, Settings, build
from layoutopt.quantization.copying import drop_operands
from layoutopt.quantization.judging import OutputPart, judge
from layoutopt.quantization.mixing import mix
from layoutopt.quantization.observing import Samples, observe
from layoutopt.quantization.parts import output_parts
from layoutopt.quantization.range_search import RangeSearch
from layoutopt.quantization.ranges import ranges_of
from layoutopt.quantization.recipe import Recipe
from layoutopt.quantization.running import TfliteSession
from layoutopt.tfl.graph import Model, Operation

Judged = Callable[[Recipe, Collection[Operation]], QuantizedGraph]
"""Builds and judges the graph by a recipe, with these operations on floats; does not keep the graph itself."""


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Choose how a graph is quantized.

    Attributes:
        model: of float operators.
        settings: what the user asks for.
        calibration: the samples that ranges are taken from.
        choosing: other samples, by which sensitive operators are found.
        comparing: those of both kinds that recipes are compared on, dozens of times.
        judging: other samples again, by which the result is judged.
        scratch: directory for .tflite files.
        say: called with what starts now.
        verbose: let through what LiteRT writes to stderr.
    """

    model: Model
    settings: Settings
    calibration: Samples
    choosing: Samples
    comparing: Samples
    judging: Samples
    scratch: Path
    say: Callable[[str], None] = lambda _: None
    verbose: bool = False

    def run(self) -> QuantizedGraph:
        """Return the best of all ways that the settings allow.

        Raises:
            UsageError: the model gives NaN or infinity on the samples.
            UnsupportedOperatorError: as `build`.
        """
        graph = self.model.graph
        self.say("ranges of the float model")
        statistics = observe(graph, self.calibration, self.scratch, verbose=self.verbose)
        if wrong := [value for value in statistics if not statistics[value].finite]:
            where = next((each.scope for each in graph.operations if wrong[0] in each.results), wrong[0].name)
            raise UsageError(f"--calibration: NaN or infinity in {where}", hint="Look at the samples and their scale.")
        widths = {value: found.high - found.low for value, found in statistics.items() if found.samples}
        parts = [
            part for at, name in enumerate(self.model.output_names) for part in output_parts(graph, at, name, widths)
        ]
        judged = self._judged_on(self.comparing, parts)
        recipe = RangeSearch(graph, statistics, self.settings.ranges, lambda each: judged(each, ()), self.say).best()
        sensitive = frozenset[Operation]()
        if self.settings.min_sqnr is not None:
            alone = self._judged_on(self.choosing, parts)
            trials = (lambda floats: judged(recipe, floats)), (lambda floats: alone(recipe, floats))
            sensitive = mix(*trials, graph, self.settings.min_sqnr, self.say)
        self.say("judging")
        final = self._judged_on(self.judging, parts)(recipe, sensitive)
        made = build(self.model, recipe, self.settings, sensitive=sensitive)
        return replace(final, model=made.model, values=tuple(ranges_of(graph, made.steps, statistics)))

    def _judged_on(self, samples: Samples, parts: Sequence[OutputPart]) -> Judged:
        """Return what quantizes by a recipe, with operations that stay float, and judges the result on samples."""
        real = self._runner(self.model, "float")
        expected = list(real.outputs(samples()))

        def judged(recipe: Recipe, sensitive: Collection[Operation]) -> QuantizedGraph:
            made = build(self.model, recipe, self.settings, sensitive=sensitive)
            whole = self._runner(made.model, "int8")
            quality = judge(parts, expected, whole.outputs(samples()))
            drop_operands(made.model.graph.operations)
            return replace(made, quality=quality, milliseconds=whole.fastest, float_milliseconds=real.fastest)

        return judged

    def _runner(self, model: Model, name: str) -> TfliteSession:
        path = self.scratch / f"{name}.tflite"
        write_tflite(model, path)
        return TfliteSession(path, next(self.choosing()), verbose=self.verbose)
