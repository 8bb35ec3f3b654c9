"""From a float graph and samples to an int8 graph: the ranges and corrections that serve held-out samples best."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.options import Int8, QuantizedIo, RangeMethod
from layoutopt.quantization.copying import copy_graph
from layoutopt.quantization.interface import integer_interface
from layoutopt.quantization.judging import OutputQuality, Part, judge, mean_sqnr
from layoutopt.quantization.observing import Samples, observe
from layoutopt.quantization.operators import is_real, positions
from layoutopt.quantization.plan import Plan, plan
from layoutopt.quantization.ranges import range_of
from layoutopt.quantization.recipe import Recipe
from layoutopt.quantization.rewriting import rewrite_on_integers
from layoutopt.quantization.running import Runner
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Graph, Model, Operation, Value

_REFUSED = "no int8 kernel takes its operands or its weights"
_JOINED_RATIO = 4.0
"""How much narrower the range of a part of an output is than that of another for both to be judged by themselves."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user asks for.

    Attributes:
        int8: which operators compute with integers.
        io: element type of inputs and outputs.
        ranges: how ranges are chosen.
        keep_float: codes of operators, or patterns of names of nodes, that stay float.
    """

    int8: Int8 = Int8.FAST
    io: QuantizedIo = QuantizedIo.FLOAT
    ranges: RangeMethod = RangeMethod.AUTO
    keep_float: tuple[str, ...] = ()


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
class Quantized:
    """A quantized graph and what is known of it.

    Attributes:
        model: the graph on integers.
        recipe: what it was made by.
        floats: the operators that stayed float.
        quality: of each output, on held-out samples; empty where there were none.
    """

    model: Model
    recipe: Recipe
    floats: tuple[FloatOperator, ...]
    quality: tuple[OutputQuality, ...] = ()


def build(model: Model, recipe: Recipe, settings: Settings) -> Quantized:
    """Quantize a float graph by a recipe.

    Args:
        model: of float operators; it stays as it is.
        recipe: ranges, and means where biases are corrected.
        settings: what the user asks for; how ranges are chosen has no say here.

    Raises:
        UnsupportedOperatorError: all operators shall compute with integers, and some cannot.
        UsageError: no operator is meant by one of ``keep_float``.
    """
    floats = dict(_kept(model.graph, settings.keep_float))
    while True:
        chosen = plan(model.graph, recipe.ranges, int8=settings.int8, floats=floats)
        graph, refused = _rewritten(model.graph, chosen, recipe)
        if not refused:
            break
        floats.update(dict.fromkeys(refused, _REFUSED))
    listed = _listed(model.graph, chosen)
    if settings.int8 is Int8.FULL and listed:
        lines = "\n  ".join(f"{each.name}: {each.code}, {each.reason}" for each in listed)
        raise UnsupportedOperatorError(
            f"--int8 full: these operators cannot compute with integers:\n  {lines}",
            hint="Use --int8 fast, or rewrite these nodes in terms of other operators.",
        )
    quantized = replace(model, graph=graph)
    if settings.io is not QuantizedIo.FLOAT:
        steps = {value: found.steps for value, found in recipe.ranges.items()}
        outputs = [chosen.steps.get(each) or steps.get(each) for each in model.graph.outputs]
        integer_interface(graph, settings.io, outputs)
    return Quantized(quantized, recipe, listed)


def _rewritten(graph: Graph, chosen: Plan, recipe: Recipe) -> tuple[Graph, list[Operation]]:
    """Return the graph on integers, and the operations that the rewrite has left on floats in spite of the plan."""
    copy, copies = copy_graph(graph)
    twins = dict(zip(graph.operations, copy.operations, strict=True))
    ours = Plan({twins[each] for each in chosen.whole}, {copies[v]: s for v, s in chosen.steps.items()}, {})
    means = None if recipe.means is None else {copies[value]: found for value, found in recipe.means.items()}
    rewrite_on_integers(copy, ours, means)
    left = set(copy.operations)
    return copy, [each for each in graph.operations if twins[each] in left and each in chosen.whole]


def _listed(graph: Graph, chosen: Plan) -> tuple[FloatOperator, ...]:
    return tuple(
        FloatOperator(each.scope, each.code, chosen.reasons[each])
        for each in graph.operations
        if each in chosen.reasons and any(map(is_real, each.results))
    )


def _kept(graph: Graph, patterns: Sequence[str]) -> Iterator[tuple[Operation, str]]:
    for pattern in patterns:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--keep-float {pattern}: not a regular expression ({error})") from None
        found = [each for each in graph.operations if each.code == pattern.upper() or expression.search(each.scope)]
        if not found:
            codes = ", ".join(sorted({each.code for each in graph.operations}))
            raise UsageError(f"--keep-float {pattern}: no operator is meant", hint=f"The model has {codes}.")
        yield from ((each, "asked for") for each in found)


# --- the search ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Chooses how a graph is quantized.

    Attributes:
        model: of float operators.
        settings: what the user asks for.
        calibration: the samples that ranges are taken from.
        held_out: other samples, by which the choice is made.
        scratch: directory for .tflite files.
        say: called with what starts now.
        verbose: let through what LiteRT writes to stderr.
    """

    model: Model
    settings: Settings
    calibration: Samples
    held_out: Samples
    scratch: Path
    say: Callable[[str], None] = lambda _: None
    verbose: bool = False

    def run(self) -> Quantized:
        """Return the best of all ways that the settings allow.

        Raises:
            UsageError: the model gives NaN or infinity on the samples.
            UnsupportedOperatorError: as `build`.
        """
        graph = self.model.graph
        self.say("observing the float model")
        statistics = observe(graph, self.calibration, self.scratch, verbose=self.verbose)
        if wrong := [value for value in statistics if not statistics[value].finite]:
            where = next((each.scope for each in graph.operations if wrong[0] in each.results), wrong[0].name)
            raise UsageError(f"--calibration: NaN or infinity in {where}", hint="Look at the samples and their scale.")
        expected = list(self._outputs(self.model, "float"))
        parts = list(self._parts(statistics))
        best: Quantized | None = None
        for recipe in self._recipes(statistics):
            corrected = "with" if recipe.means is not None else "without"
            self.say(f"ranges by {recipe.method.value}, {corrected} bias correction")
            made = build(self.model, recipe, replace(self.settings, io=QuantizedIo.FLOAT))
            quality = judge(parts, expected, self._outputs(made.model, "int8"))
            if best is None or mean_sqnr(quality) > mean_sqnr(best.quality):
                best = replace(made, quality=quality)
        assert best is not None
        return replace(build(self.model, best.recipe, self.settings), quality=best.quality)

    def _recipes(self, statistics: Mapping[Value, Statistics]) -> Iterator[Recipe]:
        weighted = [
            operation[where.x]
            for operation in self.model.graph.operations
            if (where := positions(operation)) is not None
        ]
        means = {value: statistics[value].means for value in weighted if value in statistics}
        wanted = self.settings.ranges
        for method in [each for each in RangeMethod if each is not RangeMethod.AUTO]:
            if wanted in (method, RangeMethod.AUTO):
                ranges = {value: range_of(found, method) for value, found in statistics.items()}
                yield Recipe(method, ranges, None)
                yield Recipe(method, ranges, means)

    def _outputs(self, model: Model, name: str) -> Iterator[list[Array]]:
        path = self.scratch / f"{name}.tflite"
        write_tflite(model, path)
        runner = Runner(path, next(self.held_out()), verbose=self.verbose)
        return runner.outputs(self.held_out())

    def _parts(self, statistics: Mapping[Value, Statistics]) -> Iterator[Part]:
        """Iterate over the outputs, or over the parts of one that joins values of different size."""
        for at, (output, name) in enumerate(zip(self.model.graph.outputs, self.model.output_names, strict=True)):
            joined = output.producer if output.producer and output.producer.code == "CONCATENATION" else None
            widths = [
                statistics[part].high - statistics[part].low
                for part in (joined.operands if joined else [])
                if part is not None and part in statistics and statistics[part].samples
            ]
            if joined is None or len(widths) < 2 or max(widths) <= _JOINED_RATIO * min(widths):
                yield Part(name, at)
                continue
            axis, start = joined.options["axis"] % output.rank, 0
            for part in joined.operands:
                assert part is not None
                stop = start + part.sizes[axis]
                yield Part(f"{name}[{start}:{stop}]", at, axis, start, stop)
                start = stop
