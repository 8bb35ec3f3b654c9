"""The report of a model as one page of HTML that needs nothing else."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup, escape

from layoutopt.backend.litert.latency import CONFIDENCE
from layoutopt.report.html.charts import ROUNDING, Ribbon, bytes_along, errors_along, histogram, ribbon
from layoutopt.report.html.drawing import BOX_HEIGHT, BOX_WIDTH, ROW, Box, BoxRole, Drawing, draw
from layoutopt.report.html.target import refusals
from layoutopt.report.terminal.check import runs
from layoutopt.report.terminal.tables import amount, format_size, proof, winograd_gain
from layoutopt.results.model_report import PER_OPERATOR, GraphNode, GraphTensor, Layout, ModelGraph, ModelReport, Stage
from layoutopt.results.optimize import ModelKind, ModelStats, OptimizeReport
from layoutopt.results.result import Json, to_json
from layoutopt.text import printable

_MAX_ROWS = 15
_MAX_LETTERS = 28
_TEXT_WIDTH = BOX_WIDTH - 36 - 8
_MAX_FIGURES = 24
_GAP = 10
"""Pixels between the columns of a graph that is seen whole."""

_PER_OPERATOR = (
    "your model with transposes around every layout-sensitive operator, as in the file of a converter that looks at "
    "one operator at a time"
)
MEANINGS = {
    ModelKind.PLAIN.value: "your model through onnxsim, onnx-tf and TensorFlow's converter, each as it is",
    ModelKind.PER_OPERATOR.value: _PER_OPERATOR,
    PER_OPERATOR: f"{_PER_OPERATOR}; ONNX, since there is no .tflite",
    ModelKind.LAYOUTOPT.value: "your model with layouts chosen for the whole graph at once",
    ModelKind.ONNX.value: "your model with layouts chosen for the whole graph at once; ONNX, since there is no .tflite",
}
"""The meanings of the titles of graphs."""

LETTERS = {Layout.NATURAL: "N", Layout.CHANNELS_LAST: "L", Layout.OTHER: "O", Layout.UNKNOWN: "?"}
"""Layouts are told by more than their colours."""


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """A graph and all that is drawn of it.

    Attributes:
        key: ``before`` or ``after``.
        graph: which.
        drawing: of the graph.
        ribbon: of the graph.
        transposes: numbers of the boxes that are transposes, in the order of execution.
    """

    key: str
    graph: ModelGraph
    drawing: Drawing
    ribbon: Ribbon
    transposes: tuple[int, ...]

    @classmethod
    def of(cls, key: str, graph: ModelGraph) -> DrawnGraph:
        """Draw a graph."""
        drawing = draw(graph)
        transposes = tuple(box.index for box in drawing.boxes if box.node.is_transpose)
        return cls(key, graph, drawing, ribbon(graph), transposes)

    @property
    def meaning(self) -> str:
        """Return what the title of the graph means; empty if that is not known."""
        return MEANINGS.get(self.graph.title, "")

    @property
    def operators(self) -> tuple[Box, ...]:
        """Return the boxes of the operators, in the order of execution."""
        return tuple(box for box in self.drawing.boxes if box.role is BoxRole.OPERATOR)

    def at(self, position: int) -> Box | None:
        """Return the box of the operator at a position in the file; None for one in the body of another."""
        return next((box for box in self.operators if box.node.id == str(position)), None)

    def largest(self) -> list[Box]:
        """Return the transposes that move the most bytes."""
        found = [box for box in self.operators if box.node.is_transpose]
        return sorted(found, key=lambda box: -box.node.bytes_moved)[:_MAX_ROWS]

    def slowest(self) -> list[Box]:
        """Return the operators that take the longest, where times were measured."""
        found = [box for box in self.operators if box.node.microseconds is not None]
        return sorted(found, key=lambda box: -(box.node.microseconds or 0))[:_MAX_ROWS]

    def worst(self) -> list[tuple[Box, GraphTensor]]:
        """Return the tensors whose operators add the most error by themselves."""
        written = [(box, self.graph.tensors[name]) for box in self.operators for name in box.node.outputs]
        found = [pair for pair in written if pair[1].own_error is not None]
        return sorted(found, key=lambda pair: -(pair[1].own_error or 0))[:_MAX_ROWS]

    def most_sensitive(self) -> list[tuple[Box, GraphTensor]]:
        """Return the tensors whose operators add the most noise by themselves, in terms of the signal."""
        written = [(box, self.graph.tensors[name]) for box in self.operators for name in box.node.outputs]
        found = [pair for pair in written if pair[1].own_sqnr is not None and math.isfinite(pair[1].own_sqnr)]
        return sorted(found, key=lambda pair: pair[1].own_sqnr or 0)[:_MAX_ROWS]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the headline.

    Attributes:
        name: what it is.
        before: what it was; empty where that is not known.
        after: what it is.
        remark: what it means.
    """

    name: str
    before: str
    after: str
    remark: str


@dataclass(frozen=True, slots=True)
class Step:
    """A pass in the waterfall.

    Attributes:
        stage: the model after it.
        nodes: by how many operators it changed the model.
        transposes: by how many transposes.
        rest: percent of the largest figure that were there before and after it.
        change: percent of the largest figure by which it changed the bytes moved.
        grew: whether it made them more.
    """

    stage: Stage
    nodes: int
    transposes: int
    rest: float
    change: float
    grew: bool


@dataclass(frozen=True, slots=True)
class TimeOf:
    """The time of all operators of one type.

    Attributes:
        operator: the type.
        before: microseconds in the graph before; None where there is none of it.
        after: likewise.
        count_before: how many there are.
        count_after: likewise.
        percent_before: of the longest of all.
        percent_after: likewise.
    """

    operator: str
    before: float | None
    after: float | None
    count_before: int
    count_after: int
    percent_before: float
    percent_after: float


def render(report: ModelReport) -> str:
    """Return the page: HTML with its style, its script and its data in it; nothing is loaded from anywhere."""
    sides = [DrawnGraph.of(key, graph) for key, graph in (("before", report.before), ("after", report.after)) if graph]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            sides=sides,
            layouts=list(Layout),
            letters=LETTERS,
            tiles=list(_tiles(report)),
            moved=bytes_along([(side.key, side.graph) for side in sides]),
            steps=list(_steps(report.stages)),
            times=_times(report),
            errors=errors_along(report.after),
            rounding=ROUNDING,
            box=(BOX_WIDTH, BOX_HEIGHT, ROW),
            gap=_GAP,
            data={side.key: _shown(_data(side)) for side in sides},
        )
    )


def _shown(data: Json) -> Json:
    """Return data with escapes for all text that would not show as itself."""
    if isinstance(data, dict):
        return {printable(key): _shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_shown(value) for value in data]
    return printable(data) if isinstance(data, str) else data


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("layoutopt.report.html"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": prose,
        "size": format_size,
        "shape": format_shape,
        "duration": duration,
        "error": error,
        "decibels": decibels,
        "histogram": histogram,
        "short": lambda text: text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…",
        "signed": lambda number: f"{number:+,}".replace("-", "−") if number else "0",
    }
    environment.globals |= {"amount": amount, "proof": proof, "second_line": _second_line, "text_width": _TEXT_WIDTH}
    environment.globals |= {"refusals": refusals, "runs": runs, "winograd_gain": winograd_gain}
    environment.tests["wider_than"] = _is_long
    return environment


def _is_long(text: str, letter: float) -> bool:
    """Return whether text may be too wide for a box, of small letters of so many pixels and others that are wider."""
    return letter * sum(1 if each.islower() else 1.15 for each in text) > _TEXT_WIDTH


def prose(text: str) -> Markup:
    """Return text as HTML, in which `names` between backticks are code, and options are not broken."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(printable(text))))
    return Markup(re.sub(r"(?<![\w-])--[a-z][a-z-]*", r'<span class="nowrap">\g<0></span>', marked))


def format_shape(sizes: Sequence[int]) -> str:
    """Return a shape for people."""
    return "×".join("any" if each < 0 else str(each) for each in sizes) or "scalar"


def duration(microseconds: float | None) -> str:
    """Return a time for people, in three digits."""
    if microseconds is None:
        return "–"
    number, unit = (microseconds / 1000, "ms") if microseconds >= 1000 else (microseconds, "µs")
    decimals = max(0, 2 - math.floor(math.log10(number))) if number >= 0.01 else 2
    return f"{number:,.{decimals}f} {unit}"


def error(number: float | None) -> str:
    """Return an error for people."""
    return "–" if number is None else "0" if number == 0 else f"{number:.1e}"


def decibels(number: float | None) -> str:
    """Return a ratio of signal to noise for people."""
    return "–" if number is None else "exact" if math.isinf(number) else f"{number:.1f} dB"


def _data(side: DrawnGraph) -> Json:
    """Return a graph for the script of the page: nodes in the order of the boxes, tensors, and positions."""
    boxes = side.drawing.boxes
    nodes = [to_json(box.node) for box in boxes]
    return {
        "title": side.graph.title,
        "nodes": nodes,
        "roles": [box.role.value for box in boxes],
        "places": [[box.x, box.y] for box in boxes],
        "tensors": to_json(side.graph.tensors),
        "transposes": list(side.transposes),
        "width": side.drawing.width,
        "height": side.drawing.height,
    }


def _second_line(side: DrawnGraph, box: Box) -> str:
    """Return the second line of a box: for a transpose its bytes, and the two layouts."""
    if box.role is not BoxRole.OPERATOR:
        return box.node.name
    if not box.node.is_transpose:
        return format_shape(box.shape)
    moved = format_size(box.node.bytes_moved) if box.node.bytes_moved else "moves nothing"
    orders = [_order(side.graph, names) for names in (box.node.inputs, box.node.outputs)]
    way = "→".join(orders) if all(orders) else ""
    return f"{moved} {way}" if len(moved) + len(way) < _MAX_FIGURES else moved


def _order(graph: ModelGraph, names: Sequence[str]) -> str:
    tensor = next((graph.tensors[name] for name in names if name in graph.tensors), None)
    if tensor is None:
        return ""
    return tensor.layout.value if tensor.layout is Layout.NATURAL else tensor.order


# --- headline ---


def _tiles(report: ModelReport) -> Iterable[Tile]:
    before, after = report.optimize.baseline, report.optimize.optimized
    yield Tile("Transposes", f"{before.transposes:,}" if before else "", f"{after.transposes:,}", _left(before, after))
    moved = format_size(before.bytes_moved) if before else ""
    yield Tile("Bytes moved by them", moved, format_size(after.bytes_moved), "in one inference")
    fewer = f"{before.operators - after.operators:,} fewer" if before and before.operators > after.operators else ""
    yield Tile("Operators", f"{before.operators:,}" if before else "", f"{after.operators:,}", fewer)
    if after.latency_ms is not None:
        latency = "" if before is None or before.latency_ms is None else f"{before.latency_ms:.3g}"
        yield Tile("Latency, median", latency, f"{after.latency_ms:.3g} ms", _speedup(report.optimize))
    if after.max_abs_error is not None:
        yield from _error_tile(report, before, after)


def _error_tile(report: ModelReport, before: ModelStats | None, after: ModelStats) -> Iterable[Tile]:
    """Yield the error relative to the size of the outputs where it is known: a large output may be off by much."""
    absolute, mse = f"largest difference {error(after.max_abs_error)}", f"MSE {error(after.mse)}"
    relative = _error_of_outputs(report.after)
    if relative is None:
        was = "" if before is None else error(before.max_abs_error)
        yield Tile("Max abs error", was, error(after.max_abs_error), mse)
        return
    was = "" if report.before is None else error(_error_of_outputs(report.before))
    yield Tile("Relative error", was, error(relative), f"{absolute}, {mse}, against ONNX Runtime")


def _error_of_outputs(graph: ModelGraph) -> float | None:
    found = [graph.tensors[name].relative_error for name in graph.outputs if name in graph.tensors]
    return max((each for each in found if each is not None), default=None)


def _left(before: ModelStats | None, after: ModelStats) -> str:
    if not after.transposes:
        return "none is left"
    return "" if before is None or not before.transposes else f"{after.transposes / before.transposes:.0%} are left"


def _speedup(report: OptimizeReport) -> str:
    if report.speedup is None:
        return ""
    found = report.speedup
    interval = f"{CONFIDENCE:.0%} interval {found.low:.2f} to {found.high:.2f}"
    return f"{found.median_of_rounds:.2f}× as fast, {interval}: {found.verdict.value}"


# --- passes ---


def _steps(stages: Sequence[Stage]) -> Iterable[Step]:
    most = max((stage.bytes_moved for stage in stages), default=0) or 1
    for last, stage in zip((None, *stages), stages, strict=False):
        was = stage if last is None else last
        low, high = sorted((was.bytes_moved, stage.bytes_moved))
        yield Step(
            stage,
            stage.nodes - was.nodes,
            stage.transposes - was.transposes,
            100 * low / most,
            100 * (high - low) / most,
            stage.bytes_moved > was.bytes_moved,
        )


# --- times ---


def _times(report: ModelReport) -> list[TimeOf]:
    """Return a row per type of operator, the longest first; none where no time was measured."""
    before, after = _by_type(report.before.nodes if report.before else ()), _by_type(report.after.nodes)
    longest = max([sum(times) for times in (*before.values(), *after.values())], default=0) or 1
    rows = [_time_of(name, before.get(name, []), after.get(name, []), longest) for name in {**before, **after}]
    return sorted(rows, key=lambda row: -max(row.before or 0, row.after or 0))


def _time_of(name: str, before: Sequence[float], after: Sequence[float], longest: float) -> TimeOf:
    return TimeOf(
        name,
        sum(before) if before else None,
        sum(after) if after else None,
        len(before),
        len(after),
        100 * sum(before) / longest,
        100 * sum(after) / longest,
    )


def _by_type(nodes: Iterable[GraphNode]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for node in nodes:
        if node.microseconds is not None:
            found[node.operator].append(node.microseconds)
    return found
