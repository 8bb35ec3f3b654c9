"""``layoutopt benchmark``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from layoutopt.backend.conversion import Quantize
from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import BackendOption, SeedOption, ShapeOption
from layoutopt.cli.parsing import parse_choices, parse_numbers, parse_shapes
from layoutopt.errors import UsageError
from layoutopt.options import Clock, Io, Phone

EXAMPLES = """[bold]Examples[/]

layoutopt benchmark model.onnx

layoutopt benchmark before.tflite after.tflite --threads 1,2 --xnnpack both

layoutopt benchmark model.onnx --quantize none,dynamic --profile --memory --csv results.csv

layoutopt benchmark before.tflite after.tflite --adb android_aarch64_benchmark_model --threads 1,4
"""


class Xnnpack(Enum):
    """The runners of operators."""

    ON = "on"
    """XNNPACK what it can."""
    OFF = "off"
    """LiteRT's own kernels everything."""
    BOTH = "both"
    """One after the other."""


_KERNELS = {Xnnpack.ON: (True,), Xnnpack.OFF: (False,), Xnnpack.BOTH: (True, False)}


@dataclass(frozen=True, slots=True)
class OnnxArguments:
    """The options by which .onnx models are made into .tflite files."""

    io: Annotated[Io, typer.Option("--io", help="Layout of image inputs and outputs of .onnx models.")] = Io.FREE
    shape: ShapeOption = field(default_factory=list)
    quantize: Annotated[
        list[str],
        typer.Option(
            "--quantize",
            metavar="|".join(each.value for each in Quantize),
            help="Types of weights, for .onnx models. Repeatable, or separated by commas.",
        ),
    ] = field(default_factory=lambda: [Quantize.NONE.value])
    backend: BackendOption = None


@dataclass(frozen=True, slots=True)
class SettingArguments:
    """The options by which LiteRT runs each model."""

    threads: Annotated[
        list[str],
        typer.Option("--threads", metavar="N", help="Threads of LiteRT. Repeatable, or separated by commas."),
    ] = field(default_factory=lambda: ["1"])
    xnnpack: Annotated[
        Xnnpack, typer.Option("--xnnpack", help="Run with XNNPACK, or with LiteRT's own kernels only.")
    ] = Xnnpack.ON


@dataclass(frozen=True, slots=True)
class EffortArguments:
    """The options that say how carefully models are timed."""

    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            min=1,
            help="Minimum number of samples per model. [dim]\\[default: 60, or 10 on a phone][/]",
        ),
    ] = None
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.0, help="How long to go on at most while the intervals are still wide."),
    ] = 30.0
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Inferences before the first sample.")] = 5
    clock: Annotated[
        Clock | None,
        typer.Option(
            "--clock",
            help="cpu: processor time of the thread, which other processes disturb less. wall: elapsed time. "
            "[dim]\\[default: cpu for one thread][/]",
        ),
    ] = None
    seed: SeedOption = 0


@dataclass(frozen=True, slots=True)
class PhoneArguments:
    """A phone on which models run instead of here."""

    adb: Annotated[
        Path | None,
        typer.Option(
            "--adb",
            metavar="PROGRAM",
            help="Time on the Android phone that adb reaches, with this benchmark_model of LiteRT for its processor. "
            "It is pushed to the phone with the models, and both are removed after use.",
        ),
    ] = None
    serial: Annotated[
        str | None,
        typer.Option(
            "--serial",
            metavar="SERIAL",
            help="Which of several phones, as 'adb devices' lists them. [dim]\\[default: $ANDROID_SERIAL][/]",
        ),
    ] = None
    gpu: Annotated[bool, typer.Option("--gpu", help="Let the phone's GPU run what it can.")] = False

    @property
    def phone(self) -> Phone | None:
        """Return the phone.

        Raises:
            UsageError: it is described and not asked for.
        """
        if self.adb is not None:
            return Phone(self.adb, self.serial, self.gpu)
        if self.serial is not None or self.gpu:
            raise UsageError("--serial and --gpu are for phones.", hint="Add --adb PROGRAM.")
        return None


def benchmark(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...", help=".tflite files; an .onnx stands for its baseline and the optimized model."
        ),
    ],
    *,
    onnx: OnnxArguments,
    settings: SettingArguments,
    effort: EffortArguments,
    phone: PhoneArguments,
    profile: Annotated[bool, typer.Option("--profile", help="Show the time by type of operator.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Show how much memory each model needs.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.")] = None,
    session: RunArguments,
) -> None:
    """Measure TFLite latency: all models in turns on LiteRT, and which differences are more than noise."""
    with session.start([*models, phone.adb]) as run, run.progress() as progress:
        progress("loading")
        if csv is not None:
            run.outputs.expect(csv, "--csv", force=session.force)
        from layoutopt import api
        from layoutopt.report.terminal import tables

        report = api.benchmark(
            models,
            shapes=parse_shapes(onnx.shape),
            io=onnx.io,
            threads=parse_numbers("--threads", settings.threads),
            xnnpack=_KERNELS[settings.xnnpack],
            quantize=parse_choices("--quantize", onnx.quantize, Quantize),
            rounds=effort.rounds,
            seconds=effort.seconds,
            warmup=effort.warmup,
            clock=effort.clock,
            profile=profile,
            memory=memory,
            phone=phone.phone,
            backend=onnx.backend,
            seed=effort.seed,
            verbose=session.verbose,
            progress=progress,
        )
        run.write_json(report.to_json())
        if csv is not None:
            run.outputs.write(csv, report.to_csv())
    run.show(*tables.of_benchmark(report))
