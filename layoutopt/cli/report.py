"""``layoutopt report``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import LayoutArguments, RunArguments
from layoutopt.cli.boundary import PartArguments
from layoutopt.cli.console import BackendOption, SeedOption, TargetOption, ThreadsOption, beside, read_model
from layoutopt.cli.quantization import QuantizationArguments

EXAMPLES = """[bold]Examples[/]

layoutopt report model.onnx

layoutopt report model.onnx -o report.html --open

layoutopt report model.onnx --shape input=1,3,224,224 --no-benchmark

layoutopt report model.onnx --quantize int8 --calibration samples.npz

layoutopt report model.onnx --target gpu

layoutopt report model.onnx --model-explorer overlays
"""

ModelExplorerOption = Annotated[
    Path | None,
    typer.Option(
        "--model-explorer",
        metavar="DIRECTORY",
        help="Also write both models to this directory, with overlays for Google's Model Explorer.",
    ),
]


@dataclass(frozen=True, slots=True)
class ConversionArguments:
    """The options that say how the .tflite is made."""

    backend: BackendOption = None
    target: TargetOption = None


@dataclass(frozen=True, slots=True)
class TimingArguments:
    """The options that say what is timed."""

    benchmark: Annotated[bool, typer.Option(help="Measure the latency of both .tflite files and of operators.")] = True
    threads: ThreadsOption = 1


@dataclass(frozen=True, slots=True)
class PageArguments:
    """The options that say what is written, and what is done with it."""

    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. Default: MODEL.report.html next to MODEL.")
    ] = None
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False
    model_explorer: ModelExplorerOption = None


def report(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="The model. It is never changed. - reads standard input.")
    ],
    *,
    files: PageArguments,
    layouts: LayoutArguments,
    part: PartArguments,
    seed: SeedOption = 0,
    timing: TimingArguments,
    quantization: QuantizationArguments,
    conversion: ConversionArguments,
    session: RunArguments,
) -> None:
    """Write one page on a model: both graphs with their layouts, what moves and why, errors, times, and the proof."""
    with session.start([model, quantization.calibration, quantization.load_ranges]) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report.html.page import render
        from layoutopt.report.model_explorer import expect_overlays, write_overlays
        from layoutopt.report.terminal import tables

        page = files.output or beside(model, ".report.html")
        run.outputs.expect(page, "-o" if files.output else "", force=session.force)
        overlays = files.model_explorer
        if overlays is not None:
            run.outputs.make_directory(overlays, "--model-explorer")
            expect_overlays(run.outputs, overlays, force=session.force)
        found = api.report(
            read_model(model, complete=not part.cuts),
            **layouts.options(),
            boundary=part.boundary(),
            seed=seed,
            benchmark=timing.benchmark,
            threads=timing.threads,
            backend=conversion.backend,
            target=conversion.target,
            quantize=quantization.quantize,
            calibration=quantization.calibration,
            quantization=quantization.options(),
            models=overlays,
            force=session.force,
            verbose=session.verbose,
            progress=progress,
        )
        progress("page")
        run.outputs.write(page, render(found))
        commands = write_overlays(found, overlays, run.outputs) if overlays else ()
        run.write_json(found.to_json())
    run.show(*tables.of_report(found, page, commands))
    if files.open_page:
        typer.launch(str(page))
