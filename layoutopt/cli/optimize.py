"""``layoutopt optimize``."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutopt.cli.arguments import LayoutArguments, RunArguments
from layoutopt.cli.boundary import BoundaryArguments
from layoutopt.cli.console import BackendOption, SeedOption, TargetOption, ThreadsOption, beside, read_model
from layoutopt.cli.fleet import FleetArguments, optimize_several
from layoutopt.cli.parsing import parse_size
from layoutopt.cli.quantization import SavingQuantizationArguments
from layoutopt.errors import ModelsFailedError, OutputExistsError, UsageError
from layoutopt.options import TOLERANCE, Verify
from layoutopt.outputs import Outputs

if TYPE_CHECKING:
    from layoutopt.workflows.optimize import OptimizeOptions
    from layoutopt.workflows.pipelines import Dump

EXAMPLES = """[bold]Examples[/]

layoutopt optimize model.onnx

layoutopt optimize first.onnx second.onnx --output-dir out

layoutopt optimize a.onnx b.onnx c.onnx --output-dir out --jobs 2 --results results.jsonl

layoutopt optimize model.onnx --no-tflite

layoutopt optimize model.onnx -o fast.onnx --tflite fast.tflite --benchmark

layoutopt optimize model.onnx --io keep --shape input=1,3,224,224

layoutopt optimize model.onnx --dynamic batch

layoutopt optimize model.onnx --outputs features

layoutopt optimize model.onnx --preprocess input:mean=0.485,0.456,0.406,std=0.229,0.224,0.225,scale=1/255

layoutopt optimize model.onnx --postprocess output:softmax --labels classes.txt

layoutopt optimize model.onnx --layout image=nhwc --layout mask=nchw

layoutopt optimize model.onnx --input photo.jpg

layoutopt optimize model.onnx --objective bytes

layoutopt optimize model.onnx --target gpu

layoutopt optimize model.onnx --quantize int8 --calibration photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

layoutopt optimize model.onnx --quantize mixed --calibration samples.npz --min-sqnr 25

layoutopt optimize model.onnx --passes 'fold-constants,propagate-layout{io=keep},cancel-transposes'
"""


@dataclass(frozen=True, slots=True)
class OutputArguments:
    """The options that say where results go, and how the .tflite is made."""

    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The optimized .onnx. Default: MODEL.nhwc.onnx next to MODEL.")
    ] = None
    tflite: Annotated[
        Path | None,
        typer.Option("--tflite", help="The .tflite. Default: MODEL.tflite next to MODEL, or next to the file of -o."),
    ] = None
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", help="Directory for outputs without a path of their own. Default: that of MODEL."),
    ] = None
    no_tflite: Annotated[bool, typer.Option("--no-tflite", help="Write the optimized .onnx only, no .tflite.")] = False
    saved_model: Annotated[Path | None, typer.Option("--saved-model", help="Write a SavedModel here.")] = None
    allow_flex: Annotated[
        bool, typer.Option("--allow-flex", help="Allow operators in the .tflite that need TensorFlow at run time.")
    ] = False
    backend: BackendOption = None
    winograd: Annotated[
        bool,
        typer.Option(
            "--winograd",
            help="Compute the .tflite's convolutions by Winograd's algorithms where that is faster on a CPU: fewer "
            "multiplications, a larger file. For floats, fixed sizes and the direct backend.",
        ),
    ] = False
    target: TargetOption = None

    def of(self, models: Sequence[Path]) -> list[tuple[Path, Path | None]]:
        """Return where the .onnx and the .tflite of each model go.

        Raises:
            UsageError: several models would share one place, or a .tflite has a place and is not to be made.
        """
        for option, path in (("--output", self.output), ("--tflite", self.tflite)):
            if path is not None and len(models) > 1:
                raise UsageError(f"{option} {path}: is one file for {len(models)} models", hint="Use --output-dir.")
        if self.tflite is not None and self.no_tflite:
            raise UsageError("--tflite and --no-tflite contradict each other")
        found = []
        for model in models:
            onnx = self.output or beside(model, ".nhwc.onnx", self.output_dir)
            lite = beside(model, ".tflite", self.output_dir)
            if self.output is not None and self.output_dir is None:
                stem = self.output.name.removesuffix(".onnx").removesuffix(".nhwc")
                lite = self.output.with_name(f"{stem}.tflite")
            found.append((onnx, None if self.no_tflite else (self.tflite or lite)))
        return found


@dataclass(frozen=True, slots=True)
class VerifyArguments:
    """The options of the comparison with the original and the baseline, and of timing."""

    verify: Annotated[
        Verify,
        typer.Option(
            "--verify",
            help="What to compare with the original in ONNX Runtime: the result, or the model after each pass.",
        ),
    ] = Verify.RESULT
    input: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Inputs for the verification: an .npz with an array for each input by its name, or an image. "
            "Default: random numbers.",
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0.0, help="Largest allowed error, divided by the largest value of the output."),
    ] = TOLERANCE
    seed: SeedOption = 0
    baseline: Annotated[
        bool,
        typer.Option(help="Also build the baseline: what you would have without layoutopt."),
    ] = True
    benchmark: Annotated[bool, typer.Option("--benchmark", help="Measure the latency of both .tflite files.")] = False
    threads: ThreadsOption = 1


@dataclass(frozen=True, slots=True)
class PipelineArguments:
    """The options that say which passes run, and what is kept of the way from pass to pass."""

    passes: Annotated[
        str | None, typer.Option("--passes", help="The pipeline, in the form that 'layoutopt passes' prints.")
    ] = None
    fold_limit: Annotated[
        str | None,
        typer.Option(
            "--fold-limit",
            metavar="SIZE",
            help="Largest constant that may be made by repeating a smaller one: 64kB, 1GB, 0 for none. Larger ones are "
            "computed when the model runs. [dim]\\[default: 1 MiB][/]",
        ),
    ] = None
    dump_after: Annotated[
        list[str],
        typer.Option("--dump-after", metavar="PASS|all", help="Write the graph after this pass. Repeatable."),
    ] = field(default_factory=list)
    dump_dir: Annotated[Path, typer.Option("--dump-dir", help="Where --dump-after writes.")] = Path("dump")

    def largest_folded(self) -> int | None:
        """Return the limit of folded constants in bytes; None without the option.

        Raises:
            UsageError: it does not read like a size.
        """
        try:
            return parse_size(self.fold_limit, "--fold-limit")
        except typer.BadParameter as error:
            raise UsageError(f"--fold-limit: {error.message}") from error

    def dump(self) -> Dump | None:
        """Return what is to be kept; None for nothing."""
        from layoutopt.workflows.pipelines import Dump

        return Dump(self.dump_dir, frozenset(self.dump_after) - {"all"}) if self.dump_after else None


def optimize(
    context: typer.Context,
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL.onnx...", help="The models. They are never changed. - reads standard input."),
    ],
    *,
    output: OutputArguments,
    layouts: LayoutArguments,
    boundary: BoundaryArguments,
    pipeline: PipelineArguments,
    check: VerifyArguments,
    quantization: SavingQuantizationArguments,
    fleet: FleetArguments,
    session: RunArguments,
) -> None:
    """Rewrite models to NHWC with the fastest layouts, convert them, and compare them with the baseline.

    NCHW stores an image channel by channel, as PyTorch does; NHWC pixel by pixel, as TensorFlow Lite needs it. Either
    both MODEL.nhwc.onnx and MODEL.tflite are written, or neither. Each of several models is optimized in a process of
    its own, and one that fails does not stop the others.
    """
    read = [check.input, quantization.calibration, quantization.load_ranges, *boundary.sources]
    with session.start([*models, *read, fleet.results]) as run:
        several = fleet.takes(models, timed=check.benchmark)
        if several and (output.saved_model or pipeline.dump_after or quantization.save_ranges):
            raise UsageError("--saved-model, --save-ranges and --dump-after are for one model")
        if fleet.upload and (output.output or output.tflite or output.output_dir):
            raise UsageError("--upload and a place for results contradict each other", hint="Go without one of them.")
        places = output.of(models)
        if output.output_dir is not None:
            run.outputs.make_directory(output.output_dir, "--output-dir")
        refuse = functools.partial(_refuse_early, run.outputs, force=session.force)
        asked = (output, layouts, boundary, pipeline, check, quantization, session)
        if several:
            _options(*asked)  # refuses once what is wrong for all
            all_done = optimize_several(run, context, models, places, read, fleet, refuse)
        else:
            refuse([path for path in places[0] if path is not None])
            from layoutopt.report.terminal import tables
            from layoutopt.results.result import to_json
            from layoutopt.workflows.optimize import optimize_model
            from layoutopt.workflows.options import RunContext

            with run.progress() as progress:
                wanted = replace(_options(*asked), output=places[0][0], tflite=places[0][1])
                how = RunContext.of(progress, verbose=session.verbose)
                report = optimize_model(read_model(models[0], complete=not boundary.cuts), wanted, how).report
            run.write_json(to_json(report))
    if several:
        raise typer.Exit(0 if all_done else ModelsFailedError.exit_code)
    run.show(*tables.of_optimize(report, verbose=session.verbose))


def _options(
    output: OutputArguments,
    layouts: LayoutArguments,
    boundary: BoundaryArguments,
    pipeline: PipelineArguments,
    check: VerifyArguments,
    quantization: SavingQuantizationArguments,
    session: RunArguments,
) -> OptimizeOptions:
    """Return what is asked for of every model."""
    from layoutopt.workflows.optimize import OptimizeOptions

    return OptimizeOptions(
        saved_model=output.saved_model,
        convert=not output.no_tflite,
        **layouts.options(),
        boundary=boundary.boundary(),
        description=boundary.description(),
        passes=pipeline.passes,
        dump=pipeline.dump(),
        verify=check.verify,
        input=check.input,
        tolerance=check.tolerance,
        seed=check.seed,
        baseline=check.baseline,
        benchmark=check.benchmark,
        threads=check.threads,
        quantize=quantization.quantize,
        calibration=quantization.calibration,
        quantization=quantization.options(),
        allow_flex=output.allow_flex,
        backend=output.backend,
        target=output.target,
        fold_limit=pipeline.largest_folded(),
        winograd=output.winograd,
        force=session.force,
    )


def _refuse_early(outputs: Outputs, paths: Sequence[Path], *, force: bool) -> None:
    """Refuse what is known to be wrong with the places of the outputs of all models, before anything heavy is loaded.

    Raises:
        OutputExistsError: names all that exist, and the option that overwrites them, in one line.
        OutputError: one of them cannot be written.
    """
    try:
        for path in paths:
            outputs.expect(path, force=force)
    except OutputExistsError:
        there = [str(path) for path in paths if os.path.lexists(path)]
        what = "exists already: --force overwrites it" if len(there) == 1 else "exist already: --force overwrites them"
        raise OutputExistsError(f"{', '.join(there)} {what}") from None
    for path in paths:
        outputs.withdraw(path)
