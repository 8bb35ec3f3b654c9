"""``layoutopt explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import LayoutArguments, RunArguments
from layoutopt.cli.boundary import PartArguments
from layoutopt.cli.console import ThreadsOption, read_model

EXAMPLES = """[bold]Examples[/]

layoutopt explain model.onnx

layoutopt explain model.onnx --io keep --json -
"""


def explain(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="The model, as optimize takes it; - reads standard input.")
    ],
    *,
    layouts: LayoutArguments,
    part: PartArguments,
    threads: ThreadsOption = 1,
    session: RunArguments,
) -> None:
    """Show why each remaining transpose is needed, the proof, and what more layout rules could save."""
    with session.start([model]) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report.terminal import trees

        report = api.explain(
            read_model(model, complete=not part.cuts),
            **layouts.options(),
            threads=threads,
            boundary=part.boundary(),
            progress=progress,
        )
        run.write_json(report.to_json())
    run.show(*trees.of_explain(report))
