"""Charts of a report: places in percent of the plot, so that the page can make them as wide as it likes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from layoutopt.options import TOLERANCE
from layoutopt.quantization.outcome import ValueRange
from layoutopt.report.terminal.tables import format_size
from layoutopt.results.model_report import Layout, ModelGraph

ROUNDING = TOLERANCE
"""A relative error above this is no rounding of float32."""

_MAX_TICKS = 5
_MAX_DECADES = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: percent of the axis, from its beginning.
        label: what it says.
    """

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one set of dots.

    Attributes:
        name: for the legend.
        style: class that the page colours it by.
        path: as SVG has it, 100 wide and 100 high, y downwards.
    """

    name: str
    style: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over the order of execution.

    Attributes:
        title: what is shown.
        x: marks below, numbers of operators.
        y: marks on the left, from the bottom.
        series: what is drawn.
        operators: how many there are along the x axis.
        limit: height of a line that should not be crossed, in percent from the bottom; None where there is none.
    """

    title: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    series: tuple[Series, ...]
    operators: int
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Ribbon:
    """A graph as a strip with a stripe for each operator, in the order of execution.

    Attributes:
        operators: how many stripes, each 1 wide.
        layouts: the stripes of each layout as one path, without the transposes.
        transposes: theirs, higher than all others: 1.
    """

    operators: int
    layouts: tuple[tuple[Layout, str], ...]
    transposes: str


def ribbon(graph: ModelGraph) -> Ribbon:
    """Return the layouts of a graph at a glance."""
    kinds = [None if node.is_transpose else _layout(graph, node.outputs) for node in graph.nodes]
    return Ribbon(
        len(kinds), tuple((layout, _stripes(kinds, layout, 0.35)) for layout in Layout), _stripes(kinds, None, 0)
    )


def bytes_along(graphs: Iterable[tuple[str, ModelGraph]]) -> Chart:
    """Return bytes moved so far, over the order of execution.

    Args:
        graphs: each with its style.
    """
    sums = [(style, graph, list(accumulate(node.bytes_moved for node in graph.nodes))) for style, graph in graphs]
    operators = max((len(graph.nodes) for _, graph, _ in sums), default=0)
    ticks = linear(max((found[-1] for _, _, found in sums if found), default=0))
    series = [
        Series(f"{graph.title}: {format_size(found[-1] if found else 0)}", style, _steps(found, operators, ticks[-1]))
        for style, graph, found in sums
    ]
    y = tuple(Tick(100 * tick / ticks[-1], format_size(tick).replace(".00", "")) for tick in ticks)
    return Chart("Bytes moved so far", _numbers(operators), y, tuple(series), operators)


def errors_along(graph: ModelGraph) -> Chart | None:
    """Return the error of what each operator writes, over the order of execution; None where nothing was compared."""
    relative = list(_errors(graph, "relative_error"))
    own = list(_errors(graph, "own_error"))
    known = [error for _, error in (*relative, *own) if error > 0]
    if not relative and not own:
        return None
    low = math.floor(math.log10(min(known, default=1e-9)))
    high = max(math.ceil(math.log10(max(known, default=1e-9))), round(math.log10(ROUNDING)))
    base = low - 1  # exact results lie one decade below all others
    scale = _Decades(base, high)
    step = math.ceil((high - base) / _MAX_DECADES)
    y = (Tick(0, "0"), *(Tick(scale.at(10.0**power), f"1e{power}") for power in range(low, high + 1, step)))
    count = len(graph.nodes)
    series = (
        Series("relative error", "total", _dots(relative, count, scale)),
        Series("own error: added by the operator itself", "own", _dots(own, count, scale)),
    )
    return Chart("Relative error", _numbers(count), y, series, count, scale.at(ROUNDING))


@dataclass(frozen=True, slots=True)
class Histogram:
    """The numbers of a value from the least to the largest, 100 wide and 20 high, y downwards.

    Attributes:
        path: the bars, as SVG has it; their areas are roots of the shares, so that rare numbers can be seen.
        start: where the numbers begin that its integers stand for.
        width: how far they reach from there.
    """

    path: str
    start: float
    width: float


def histogram(value: ValueRange) -> Histogram:
    """Return what is drawn of the range of a value."""
    most, step = max((*value.shares, 1e-12)), 100 / len(value.shares)
    heights = [20 * math.sqrt(share / most) for share in value.shares]
    bars = "".join(f"M{step * at:.2f} 20v-{high:.2f}h{step:.2f}V20z" for at, high in enumerate(heights) if high)
    span = value.largest - value.least or 1.0
    start, end = (min(max(100 * (edge - value.least) / span, 0), 100) for edge in (value.low, value.high))
    return Histogram(bars, start, end - start)


def linear(most: int) -> list[int]:
    """Round numbers from 0 to one that is no smaller than ``most``, in even steps."""
    if most <= 0:
        return [0, 1]
    rough = most / (_MAX_TICKS - 1)
    power = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = next(round(power * factor) for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * count for count in range(math.ceil(most / step) + 1)]


@dataclass(frozen=True, slots=True)
class _Decades:
    """A logarithmic axis from one power of ten to another, with a place for 0 at its beginning."""

    low: int
    high: int

    def at(self, number: float) -> float:
        if number <= 0:
            return 0.0
        return max(0.0, 100 * (math.log10(number) - self.low) / (self.high - self.low))


def _stripes(kinds: Sequence[Layout | None], kind: Layout | None, top: float) -> str:
    return "".join(f"M{at} {top}h1V1h-1z" for at, each in enumerate(kinds) if each is kind)


def _layout(graph: ModelGraph, names: Sequence[str]) -> Layout:
    return next((graph.tensors[name].layout for name in names if name in graph.tensors), Layout.UNKNOWN)


def _errors(graph: ModelGraph, which: str) -> Iterable[tuple[int, float]]:
    """Yield numbers of operators, each with the largest error of what it writes."""
    for at, node in enumerate(graph.nodes):
        found = [getattr(graph.tensors[name], which) for name in node.outputs if name in graph.tensors]
        if known := [error for error in found if error is not None]:
            yield at, max(known)


def _numbers(operators: int) -> tuple[Tick, ...]:
    """Mark along the order of execution."""
    if not operators:
        return ()
    return tuple(Tick(100 * number / operators, f"{number:,}") for number in linear(operators) if number <= operators)


def _steps(sums: Sequence[int], operators: int, top: int) -> str:
    """Return a line that rises where bytes are moved, at the end of the operator that moves them."""
    path, height = ["M0 100"], 0
    for at, total in enumerate(sums, start=1):
        if total != height:
            path.append(f"H{100 * at / operators:.3f}V{100 - 100 * total / top:.3f}")
            height = total
    return "".join(path) + f"H{100 * len(sums) / operators:.3f}" if operators else ""


def _dots(errors: Iterable[tuple[int, float]], count: int, scale: _Decades) -> str:
    """Return lines of no length, which are drawn as dots whatever the plot is stretched by."""
    return "".join(f"M{100 * (at + 0.5) / count:.3f} {100 - scale.at(error):.3f}h0" for at, error in errors)
