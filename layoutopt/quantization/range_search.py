"""Chooses the ranges of a network: by one method for all values, and then by other methods for sections of it.

No method suits all layers. In the first layers of a detector, a few pixels reach far beyond all others, and steps that
are spent on them are lost; in its last layers, the few numbers that reach far are the detections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from layoutopt.options import RangeMethod
from layoutopt.quantization.building import QuantizedGraph
from layoutopt.quantization.judging import noise_of, total_noise
from layoutopt.quantization.operators import positions
from layoutopt.quantization.ranges import Range, range_of
from layoutopt.quantization.recipe import Recipe
from layoutopt.quantization.rewriting import Means
from layoutopt.quantization.sections import sections
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl.graph import Graph, Value

Judged = Callable[[Recipe], QuantizedGraph]
"""Builds and judges the graph by a recipe; need not keep the graph itself."""
Ranges = Mapping[Value, Range]

_MAX_SECTIONS = 16
"""The sections that get a method of their own."""
_GOOD = (1e-3, 1e-2)
"""The noise of the least exact output, over its signal, above which the sections are gone through: for the first time,
30 dB, and for the second, 20 dB."""
_GAIN = 0.99
"""The factor of the noise by which another method for a section is better, and not just better for these samples."""


@dataclass(frozen=True, slots=True)
class RangeSearch:
    """Search for the recipe whose outputs have the least noise.

    Attributes:
        graph: of float operators.
        statistics: of its values.
        wanted: the method; ``RangeMethod.AUTO`` for the best of all.
        judged: builds and judges the graph by a recipe.
        say: called with what starts now.
    """

    graph: Graph
    statistics: Mapping[Value, Statistics]
    wanted: RangeMethod
    judged: Judged
    say: Callable[[str], None]

    def best(self) -> Recipe:
        """Return the best recipe."""
        found = min((self._tried(recipe) for recipe in self._recipes()), key=_noise)
        for good in _GOOD if self.wanted is RangeMethod.AUTO else ():
            if max(map(noise_of, found.quality)) > good:
                found = self._refined(found)
        return found.recipe

    def _recipes(self) -> Iterator[Recipe]:
        means = self._means()
        for method in _METHODS:
            if self.wanted in (method, RangeMethod.AUTO):
                ranges = self._ranges(method)
                yield Recipe(method, ranges, None)
                yield Recipe(method, ranges, means)

    def _tried(self, recipe: Recipe) -> QuantizedGraph:
        corrected = "with" if recipe.means is not None else "without"
        self.say(f"ranges by {recipe.method.value}, {corrected} bias correction")
        return self.judged(recipe)

    def _refined(self, found: QuantizedGraph) -> QuantizedGraph:
        """Return the best of what is found by going through the sections once, with all methods for each."""
        by_method = [self._ranges(method) for method in _METHODS]
        parts = self._sections(found)
        for at, section in enumerate(parts, start=1):
            self.say(f"ranges of section {at} of {len(parts)}")
            for other in by_method:
                found = self._better(found, {value: other[value] for value in section})
        means = self._means() if found.recipe.means is None else None
        return min(found, self.judged(replace(found.recipe, means=means)), key=_noise)

    def _better(self, found: QuantizedGraph, ranges: Ranges) -> QuantizedGraph:
        """Return what is found, or the same with other ranges of some values if that has less noise."""
        if all(found.recipe.ranges[value] == each for value, each in ranges.items()):
            return found
        recipe = replace(found.recipe, method=RangeMethod.AUTO, ranges={**found.recipe.ranges, **ranges})
        tried = self.judged(recipe)
        return tried if _noise(tried) < _GAIN * _noise(found) else found

    def _sections(self, found: QuantizedGraph) -> list[Sequence[Value]]:
        """Return the values of each section that are on integers; inputs belong to the first one."""
        results = [
            [result for operation in self.graph.operations if operation in section for result in operation.results]
            for section in sections(self.graph.operations, _MAX_SECTIONS)
        ]
        results[0] = [*self.graph.inputs, *results[0]]
        rounded = ([each for each in part if each in found.steps and each in self.statistics] for part in results)
        return [part for part in rounded if part]

    def _ranges(self, method: RangeMethod) -> Ranges:
        return {value: range_of(found, method) for value, found in self.statistics.items()}

    def _means(self) -> Means:
        """Return the means of channels by which biases are corrected."""
        weighted = (
            operation[where.x] for operation in self.graph.operations if (where := positions(operation)) is not None
        )
        return {value: self.statistics[value].means for value in weighted if value in self.statistics}


_METHODS = tuple(method for method in RangeMethod if method is not RangeMethod.AUTO)


def _noise(found: QuantizedGraph) -> float:
    return total_noise(found.quality)
