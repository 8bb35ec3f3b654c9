"""Results as HTML, for notebooks: each as the command line prints it, and the report on a model as its page."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from layoutopt.results.benchmark import BenchmarkReport
from layoutopt.results.calibrate import CalibrationReport
from layoutopt.results.comparison import ComparisonReport
from layoutopt.results.count import CountReport
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import ModelReport
from layoutopt.results.optimize import OptimizeReport
from layoutopt.results.result import show_in_notebooks

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 120
_FORMAT = '<pre style="line-height:normal;overflow-x:auto;font-family:monospace">{code}</pre>'


def register() -> None:
    """Let notebooks show all results; what draws them is loaded when one is shown."""
    show_in_notebooks(OptimizeReport, _of_optimize)
    show_in_notebooks(ExplainReport, _of_explain)
    show_in_notebooks(CountReport, _of_count)
    show_in_notebooks(CalibrationReport, _of_calibration)
    show_in_notebooks(ComparisonReport, _of_comparison)
    show_in_notebooks(BenchmarkReport, _of_benchmark)
    show_in_notebooks(ModelReport, _of_model)


def _of_optimize(report: OptimizeReport) -> str:
    from layoutopt.report.terminal import tables

    return _html_of(tables.of_optimize(report, verbose=False))


def _of_explain(report: ExplainReport) -> str:
    from layoutopt.report.terminal import trees

    return _html_of(trees.of_explain(report))


def _of_count(report: CountReport) -> str:
    from layoutopt.report.terminal import tables

    return _html_of(tables.of_counts([report]))


def _of_calibration(report: CalibrationReport) -> str:
    from layoutopt.report.terminal import calibration

    return _html_of(calibration.of_calibration(report))


def _of_comparison(report: ComparisonReport) -> str:
    from layoutopt.report.terminal import layers

    return _html_of(layers.of_compare(report, top=5, every=False))


def _of_benchmark(report: BenchmarkReport) -> str:
    from layoutopt.report.terminal import tables

    return _html_of(tables.of_benchmark(report))


def _of_model(report: ModelReport) -> str:
    from layoutopt.report.html import page

    return f'<iframe srcdoc="{escape(page.render(report))}" style="width:100%;height:800px;border:0"></iframe>'


def _html_of(renderables: Iterable[RenderableType]) -> str:
    """Return what would be printed to a terminal as HTML."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=_WIDTH, file=io.StringIO(), highlight=False)
    for renderable in renderables:
        console.print(renderable, soft_wrap=isinstance(renderable, Text))
    return console.export_html(inline_styles=True, code_format=_FORMAT)
