"""``layoutopt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.boundary import InputsOption, OutputsOption, PreprocessOption, parse_boundary
from layoutopt.cli.console import (
    BackendOption,
    ExactOption,
    ForceOption,
    IoOption,
    JsonOption,
    LayoutOption,
    ObjectiveOption,
    QuietOption,
    SeedOption,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
    beside,
    parse_layouts,
    parse_shapes,
    read_model,
    session,
)

EXAMPLES = """[bold]Examples[/]

layoutopt report model.onnx

layoutopt report model.onnx -o report.html --open

layoutopt report model.onnx --shape input=1,3,224,224 --no-benchmark

layoutopt report model.onnx --model-explorer overlays
"""


def report(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="The model. It is never changed. - reads standard input.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. Default: MODEL.report.html beside the model.")
    ] = None,
    io: IoOption = None,
    layout: LayoutOption = [],  # noqa: B006, typer copies it
    objective: ObjectiveOption = None,
    exact: ExactOption = False,
    shape: ShapeOption = [],  # noqa: B006, typer copies it
    inputs: InputsOption = [],  # noqa: B006, typer copies it
    outputs: OutputsOption = [],  # noqa: B006, typer copies it
    preprocess: PreprocessOption = [],  # noqa: B006, typer copies it
    seed: SeedOption = 0,
    benchmark: Annotated[bool, typer.Option(help="Measure the latency of both .tflite files and of operators.")] = True,
    threads: ThreadsOption = 1,
    model_explorer: Annotated[
        Path | None,
        typer.Option(
            "--model-explorer",
            metavar="DIRECTORY",
            help="Write both models here, and overlays for them that Google's Model Explorer shows.",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    backend: BackendOption = None,
    force: ForceOption = False,
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write one page on a model: both graphs with their layouts, what moves and why, errors, times, and the proof."""
    with session(json, quiet=quiet, verbose=verbose, force=force, inputs=[model]) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report import tables
        from layoutopt.report.model_explorer import expect_overlays, write_overlays
        from layoutopt.report.page import render

        page = output or beside(model, ".report.html")
        run.outputs.expect(page, "-o" if output else "", force=force)
        if model_explorer is not None:
            run.outputs.make_directory(model_explorer, "--model-explorer")
            expect_overlays(run.outputs, model_explorer, force=force)
        found = api.report(
            read_model(model, complete=not (inputs or outputs)),
            io=io,
            layouts=parse_layouts(layout),
            objective=objective,
            exact=exact,
            shapes=parse_shapes(shape),
            boundary=parse_boundary(inputs, outputs, preprocess),
            seed=seed,
            benchmark=benchmark,
            threads=threads,
            backend=backend,
            models=model_explorer,
            force=force,
            verbose=verbose,
            progress=progress,
        )
        progress("page")
        run.outputs.write(page, render(found))
        commands = write_overlays(found, model_explorer, run.outputs) if model_explorer else ()
        run.write_json(found.to_json())
    run.show(*tables.of_report(found, page, commands))
    if open_page:
        typer.launch(str(page))
