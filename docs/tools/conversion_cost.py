"""The page of what conversions cost, and what the README says of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from benchmarks.conversion_cost.figures import ConversionCost, Runs, Subject
from benchmarks.conversion_cost.ways import Way
from docs.tools.markdown import table
from docs.tools.reasons.conversion_cost import REASONS
from layoutopt.report.terminal.tables import format_size

_INTRODUCTION = """\
# What a conversion costs

The time and the memory from an .onnx to a .tflite, in a new process: for `layoutopt optimize --no-baseline` with both
backends, which includes running the original, the optimized .onnx and the .tflite to compare them, and for `onnx2tf`
with its default options, which verifies nothing and also writes a float16 file. The networks are the benchmark networks
at full size, and larger ones, with random weights.

The converters of a model run in turns. *Processor* is the median of the processor seconds of all processes of a
conversion, with the minimum in brackets. *Memory* is the median of the peak of all of them together.
"""
_COLUMNS = {Way.DIRECT: "direct", Way.ONNX_TF: "onnx-tf", Way.ONNX2TF: "onnx2tf"}
_TITLES = ("model", "size", "nodes")

_Told: TypeAlias = "Callable[[Runs], str]"


def committed_page() -> str:
    """Return the page of the committed figures."""
    return "\n".join(page(ConversionCost.committed())) + "\n"


def page(figures: ConversionCost) -> Iterator[str]:
    """Yield the lines of the page."""
    subjects = figures.subjects
    yield _INTRODUCTION
    yield "## Processor\n"
    yield table((*_TITLES, *_COLUMNS.values()), (_row(name, each, _seconds) for name, each in subjects.items()))
    yield "\n## Memory\n"
    yield table((*_TITLES, *_COLUMNS.values()), (_row(name, each, _memory) for name, each in subjects.items()))
    yield ""
    yield from _more(subjects)
    yield from _failures(subjects)
    versions = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    yield f"Measured by `python -m benchmarks.conversion_cost`; onnx2tf runs in an environment of its own ({versions})."
    for measured in dict.fromkeys(str(each.measured) for each in subjects.values()):
        names = [name for name, each in subjects.items() if str(each.measured) == measured]
        yield ""
        yield f"{measured}." if len(names) == len(subjects) else f"{', '.join(names)}: {measured}."


def _row(name: str, subject: Subject, told: _Told) -> tuple[str, ...]:
    cells = (told(runs) if (runs := subject.of(way)) else "-" for way in _COLUMNS)
    return (name, format_size(subject.size), f"{subject.nodes:,}", *cells)


def _seconds(runs: Runs) -> str:
    return f"{runs.processor:.1f} s ({runs.least_processor:.1f} s)"


def _memory(runs: Runs) -> str:
    return format_size(round(runs.memory))


def _more(subjects: Mapping[str, Subject]) -> Iterator[str]:
    """Yield where the direct backend takes more than onnx2tf, and why."""
    found = {name: each.more for name, each in subjects.items() if each.more}
    if found:
        yield "The direct backend, with its verification, takes more than onnx2tf here:\n"
        for name, more in found.items():
            yield f"- **{name}**: {' and '.join(more)}. {REASONS.get(name, 'The cause is not known.')}"
        yield ""


def _failures(subjects: Mapping[str, Subject]) -> Iterator[str]:
    """Yield what was said where there is no result."""
    failed = [
        f"- {name}, {_COLUMNS[way]}: `{subject.runs[way.value].error.replace('`', chr(39))}`"
        for name, subject in subjects.items()
        for way in _COLUMNS
        if way.value in subject.runs and subject.of(way) is None
    ]
    if failed:
        yield "Without a result:\n"
        yield from failed
        yield ""


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    if not ConversionCost.PATH.exists():
        return {}
    subjects = ConversionCost.committed().subjects
    smallest = next(iter(subjects.values()))
    direct = smallest.of(Way.DIRECT)
    assert direct is not None
    return {
        "conversion-cost-smallest": f"{direct.processor:.1f} s and {_memory(direct)}",
        "conversion-cost-ratio": _ratio(subjects),
    }


def _ratio(subjects: Mapping[str, Subject]) -> str:
    """Return how many times as much the other ways take, over the models that they convert."""
    told = []
    for way in (Way.ONNX_TF, Way.ONNX2TF):
        pairs = [
            (other, direct)
            for each in subjects.values()
            if (other := each.of(way)) is not None and (direct := each.of(Way.DIRECT)) is not None
        ]
        if pairs:
            times = statistics.geometric_mean(other.processor / direct.processor for other, direct in pairs)
            memory = statistics.geometric_mean(other.memory / direct.memory for other, direct in pairs)
            told.append(f"{_COLUMNS[way]} takes {times:.1f} times the processor time and {memory:.1f} times the memory")
    return ", ".join(told)
