"""``layoutopt demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import BackendOption, ThreadsOption
from layoutopt.options import Io

EXAMPLES = """[bold]Examples[/]

layoutopt demo

layoutopt demo --directory out --resolution 96 --width 0.5 --force
"""


def demo(
    *,
    directory: Annotated[Path, typer.Option("--directory", "-d", help="Directory for the models.")] = Path(
        "layoutopt-demo"
    ),
    resolution: Annotated[int, typer.Option("--resolution", min=32, help="Height and width of the input.")] = 224,
    width: Annotated[float, typer.Option("--width", min=0.1, help="Multiplier for the number of channels.")] = 1.0,
    io: Annotated[Io, typer.Option("--io", help="Layout of the image input.")] = Io.FREE,
    benchmark: Annotated[bool, typer.Option(help="Also measure the latency.")] = True,
    threads: ThreadsOption = 1,
    backend: BackendOption = None,
    session: RunArguments,
) -> None:
    """Do the main job on a MobileNetV2 with random weights that layoutopt builds by itself: no PyTorch, no download."""
    with session.start() as run, run.progress() as progress:
        progress("building MobileNetV2")
        from layoutopt.report.terminal import tables
        from layoutopt.workflows.demo import run_demo
        from layoutopt.workflows.optimize import OptimizeOptions
        from layoutopt.workflows.options import RunContext

        options = OptimizeOptions(io=io, benchmark=benchmark, threads=threads, backend=backend, force=session.force)
        context = RunContext.of(progress, verbose=session.verbose)
        report = run_demo(directory, options, context, resolution=resolution, width=width)
        run.write_json(report.to_json())
    run.show(*tables.of_optimize(report, verbose=session.verbose))
