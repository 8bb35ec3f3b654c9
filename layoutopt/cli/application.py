"""The sub-commands, put together to one application."""

from __future__ import annotations

from typing import Annotated

import typer

import layoutopt.cli.benchmark as benchmark
import layoutopt.cli.calibrate as calibrate
import layoutopt.cli.check as check
import layoutopt.cli.compare as compare
import layoutopt.cli.count as count
import layoutopt.cli.demo as demo
import layoutopt.cli.diff as diff
import layoutopt.cli.explain as explain
import layoutopt.cli.optimize as optimize
import layoutopt.cli.passes as passes
import layoutopt.cli.report as report
import layoutopt.cli.tensors as tensors
from layoutopt.cli.arguments import expanded

_EXIT_CODES = (
    "Exit codes: 0 done, 1 internal error, 2 usage, 3 no such file, 4 not a model, 5 unknown operator or opset, "
    "6 dynamic shape, 7 output not writable, 8 output exists, 9 missing extra, 10 conversion failed, "
    "11 result differs, 12 pass failed, 13 not calibrated, 14 limit of memory or time, 15 native code crashed, "
    "16 some models failed, 17 worse than before, 18 not for this target, 19 phone or its program failed, "
    "129, 130 or 143 ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM. The glossary, docs/glossary.md, explains the words."
)

app = typer.Typer(
    name="layoutopt",
    help="Whole-graph layout optimization for ONNX: NCHW to NHWC with the fastest layouts, and on to TFLite.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=optimize.EXAMPLES)(expanded(optimize.optimize))
app.command(epilog=explain.EXAMPLES)(expanded(explain.explain))
app.command(epilog=report.EXAMPLES)(expanded(report.report))
app.command(epilog=count.EXAMPLES)(expanded(count.count))
app.command(epilog=check.EXAMPLES)(expanded(check.check))
app.command(epilog=diff.EXAMPLES)(expanded(diff.diff))
app.command(epilog=tensors.EXAMPLES)(expanded(tensors.tensors))
app.command(epilog=compare.EXAMPLES)(expanded(compare.compare))
app.command(epilog=benchmark.EXAMPLES)(expanded(benchmark.benchmark))
app.command(epilog=calibrate.EXAMPLES)(expanded(calibrate.calibrate))
app.command(epilog=passes.EXAMPLES)(expanded(passes.passes))
app.command(epilog=demo.EXAMPLES)(expanded(demo.demo))


def _version(wanted: bool) -> None:
    if wanted:
        from layoutopt import __version__

        typer.echo(f"layoutopt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version
