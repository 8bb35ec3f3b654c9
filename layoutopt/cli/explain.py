"""``layoutopt explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.boundary import InputsOption, OutputsOption, PreprocessOption, parse_boundary
from layoutopt.cli.console import (
    ExactOption,
    ForceOption,
    IoOption,
    JsonOption,
    LayoutOption,
    ObjectiveOption,
    QuietOption,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
    parse_layouts,
    parse_shapes,
    read_model,
    session,
)

EXAMPLES = """[bold]Examples[/]

layoutopt explain model.onnx

layoutopt explain model.onnx --io keep --json -
"""


def explain(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="The model, as optimize takes it; - reads standard input.")
    ],
    io: IoOption = None,
    layout: LayoutOption = [],  # noqa: B006, typer copies it
    objective: ObjectiveOption = None,
    exact: ExactOption = False,
    threads: ThreadsOption = 1,
    shape: ShapeOption = [],  # noqa: B006, typer copies it
    inputs: InputsOption = [],  # noqa: B006, typer copies it
    outputs: OutputsOption = [],  # noqa: B006, typer copies it
    preprocess: PreprocessOption = [],  # noqa: B006, typer copies it
    force: ForceOption = False,
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Tell why each transpose that is left is left: who insists on it, the proof, and what more rules would buy."""
    with session(json, quiet=quiet, verbose=verbose, force=force, inputs=[model]) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report import trees

        report = api.explain(
            read_model(model, complete=not (inputs or outputs)),
            io=io,
            layouts=parse_layouts(layout),
            objective=objective,
            exact=exact,
            threads=threads,
            shapes=parse_shapes(shape),
            boundary=parse_boundary(inputs, outputs, preprocess),
            progress=progress,
        )
        run.write_json(report.to_json())
    run.show(*trees.of_explain(report))
