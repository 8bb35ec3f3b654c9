"""From a float graph and a recipe to an int8 graph."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.options import Int8, QuantizedIo, RangeMethod, WeightScales
from layoutopt.quantization.copying import copy_graph, drop_operands
from layoutopt.quantization.interface import integer_interface
from layoutopt.quantization.operators import is_real
from layoutopt.quantization.outcome import FloatOperator, OutputQuality, ValueRange
from layoutopt.quantization.plan import MOVING, QuantizationPlan, plan
from layoutopt.quantization.recipe import Recipe
from layoutopt.quantization.rewriting import rewrite_on_integers
from layoutopt.tfl.graph import Graph, Model, Operation, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid

_REFUSED = "no int8 kernel takes its operands or its weights"
_SENSITIVE = "sensitive: the outputs lose too much by it"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that a user asks for.

    Attributes:
        int8: which operators compute with integers.
        io: element type of inputs and outputs.
        ranges: how ranges are chosen.
        keep_float: codes of operators, or patterns of names of nodes, that stay float.
        min_sqnr: the least ratio of signal to noise, in dB, that each output should have, for which sensitive operators
            stay float; None where all compute with integers that can.
        weights: the scales of weights.
        float_outputs: positions of outputs that stay float whatever ``io`` says, as floats are computed from them.
    """

    int8: Int8 = Int8.FAST
    io: QuantizedIo = QuantizedIo.FLOAT
    ranges: RangeMethod = RangeMethod.AUTO
    keep_float: tuple[str, ...] = ()
    min_sqnr: float | None = None
    weights: WeightScales = WeightScales.CHANNEL
    float_outputs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class QuantizedGraph:
    """A quantized graph and what is known of it.

    Attributes:
        model: the graph on integers.
        recipe: what it was made by.
        floats: the operators that stayed float.
        quality: of each output, on samples that it was not calibrated with; empty where there were none.
        whole: the operations of the float graph that compute with integers.
        milliseconds: of the fastest inference on one of those; None where there were none.
        float_milliseconds: likewise, of the float graph.
        steps: of each value that an operation on integers takes or gives.
        values: what is told of these; empty where nothing was observed.
    """

    model: Model
    recipe: Recipe
    floats: tuple[FloatOperator, ...]
    quality: tuple[OutputQuality, ...] = ()
    whole: frozenset[Operation] = frozenset()
    milliseconds: float | None = None
    float_milliseconds: float | None = None
    steps: Mapping[Value, QuantizationGrid] = field(default_factory=dict)
    values: tuple[ValueRange, ...] = ()


def build(
    model: Model, recipe: Recipe, settings: Settings, *, sensitive: Collection[Operation] = frozenset()
) -> QuantizedGraph:
    """Quantize a float graph by a recipe.

    Args:
        model: of float operators; it stays as it is.
        recipe: ranges, and means where biases are corrected.
        settings: what the user asks for; how ranges are chosen has no say here.
        sensitive: operations that stay float because the outputs lose too much by them.

    Raises:
        UnsupportedOperatorError: all operators are to compute with integers, and some cannot.
        UsageError: one of ``keep_float`` matches no operator.
    """
    floats = {**dict.fromkeys(sensitive, _SENSITIVE), **dict(_kept(model.graph, settings.keep_float))}
    while True:
        chosen = plan(model.graph, recipe.ranges, int8=settings.int8, io=settings.io, floats=floats)
        graph, left = _rewritten(model.graph, chosen, recipe, settings.weights)
        if not (refused := left & chosen.whole):
            break
        floats.update(dict.fromkeys(refused, _REFUSED))
    listed = _listed(model.graph, chosen, left)
    computing = [each for each in listed if each.reason not in MOVING]
    if settings.int8 is Int8.FULL and computing:
        lines = "\n  ".join(f"{each.name}: {each.code}, {each.reason}" for each in computing)
        raise UnsupportedOperatorError(
            f"--int8 full: these operators cannot compute with integers:\n  {lines}",
            hint="Use --int8 fast, or rewrite these nodes in terms of other operators.",
        )
    quantized = replace(model, graph=graph)
    if settings.io is not QuantizedIo.FLOAT:
        steps = {value: found.steps for value, found in recipe.ranges.items()}
        outputs = [
            None if at in settings.float_outputs else chosen.steps.get(each) or steps.get(each)
            for at, each in enumerate(model.graph.outputs)
        ]
        integer_interface(graph, settings.io, outputs)
    return QuantizedGraph(quantized, recipe, listed, whole=frozenset(chosen.whole), steps=chosen.steps)


def _rewritten(
    graph: Graph, chosen: QuantizationPlan, recipe: Recipe, weights: WeightScales
) -> tuple[Graph, set[Operation]]:
    """Return the graph on integers, and the operations that are left as they are, perhaps in spite of the plan."""
    copy, copies = copy_graph(graph)
    twins = dict(zip(graph.operations, copy.operations, strict=True))
    ours = QuantizationPlan({twins[each] for each in chosen.whole}, {copies[v]: s for v, s in chosen.steps.items()}, {})
    means = None if recipe.means is None else {copies[value]: found for value, found in recipe.means.items()}
    rewrite_on_integers(copy, ours, means, weights)
    left = set(copy.operations)
    drop_operands(twin for twin in twins.values() if twin not in left)
    return copy, {each for each in graph.operations if twins[each] in left}


def _listed(graph: Graph, chosen: QuantizationPlan, left: Collection[Operation]) -> tuple[FloatOperator, ...]:
    return tuple(
        FloatOperator(each.scope, each.code, chosen.reasons[each])
        for each in graph.operations
        if each in chosen.reasons and each in left and any(map(is_real, each.results))
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
            raise UsageError(f"--keep-float {pattern}: matches no operator", hint=f"The model has {codes}.")
        yield from ((each, "asked for") for each in found)
