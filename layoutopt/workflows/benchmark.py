"""Time models against each other: .tflite files as they are, and what .onnx files become.

How long they are timed, and what is told from noise, is in `layoutopt.workflows.latencies`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from layoutopt.backend.android.phone import Bench, build_of, installed
from layoutopt.backend.conversion import Backend, Quantize, choose_backend
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.litert.memory import memory_of
from layoutopt.backend.litert.profile import profile_subject
from layoutopt.backend.litert.runtime import Setting, Subject
from layoutopt.errors import ConversionError, UsageError
from layoutopt.ir import io as modelio
from layoutopt.ir.protos import model_size
from layoutopt.options import Clock, Io, Phone
from layoutopt.progress import Progress
from layoutopt.results.benchmark import BenchmarkReport, BenchmarkRow, Control
from layoutopt.results.provenance import Provenance
from layoutopt.workflows.conversion import Converter, make_baseline, make_optimized
from layoutopt.workflows.latencies import Effort, SettingLatencies, time_together
from layoutopt.workflows.options import RunContext

ROUNDS, ROUNDS_ON_PHONE = 60, 10
"""Samples of each model unless an option says otherwise; on a phone, each is a run of a program."""

_Choice = TypeVar("_Choice", int, bool, Quantize)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """The options of `layoutopt.benchmark`.

    Attributes:
        shapes: a static shape for each input of an .onnx file that has a symbolic dimension.
        io: what may happen to the layout of image inputs and outputs of .onnx files.
        threads: that LiteRT may use; of several, one after the other.
        xnnpack: whether XNNPACK runs what it can; or both.
        quantize: what the TFLite converter does to the weights of .onnx files; of several, each.
        rounds: samples per model, at least; None for 60, or for 10 on a phone.
        seconds: how long the run may take, where it goes on until all intervals are narrow; 0 for ``rounds`` alone.
        warmup: inferences of each model before the first sample.
        clock: what is counted; None for that of the thread where there is one, and of the wall where there are more.
        profile: whether each operator is timed too.
        memory: whether it is measured how much memory each model needs.
        phone: where the models run; None for this machine.
        backend: who makes the .tflite files of .onnx files; as of `optimize`.
        seed: of the random inputs.
        verbose: let TensorFlow's and LiteRT's messages through.
        progress: called with what starts now.
    """

    shapes: Mapping[str, tuple[int, ...]] | None = None
    io: Io = Io.FREE
    threads: int | Sequence[int] = 1
    xnnpack: bool | Sequence[bool] = True
    quantize: Quantize | Sequence[Quantize] = Quantize.NONE
    rounds: int | None = None
    seconds: float = 30.0
    warmup: int = 5
    clock: Clock | None = None
    profile: bool = False
    memory: bool = False
    phone: Phone | None = None
    backend: Backend | None = None
    seed: int = 0
    verbose: bool = False
    progress: Progress | None = None

    @property
    def settings(self) -> list[Setting]:
        """Return the settings in which LiteRT runs each model."""
        gpu = self.phone is not None and self.phone.gpu
        return [Setting(each, kernels, gpu) for kernels in _several(self.xnnpack) for each in _several(self.threads)]

    @property
    def effort(self) -> Effort:
        """Return how carefully models are timed.

        Raises:
            UsageError: something is asked for that cannot be measured there.
        """
        if self.phone is None:
            return Effort(self.rounds or ROUNDS, self.seconds, self.warmup, self.seed, self.clock)
        if self.clock is Clock.CPU:
            raise UsageError("--clock cpu is of this machine; a phone is timed by the wall clock.")
        if self.profile:
            raise UsageError("--profile is of this machine, not of a phone.", hint="Leave out --profile or --adb.")
        return Effort(self.rounds or ROUNDS_ON_PHONE, self.seconds, self.warmup, self.seed, Clock.WALL)


def benchmark_models(models: Sequence[Path | str], options: BenchmarkOptions, context: RunContext) -> BenchmarkReport:
    """Time models against each other in one interleaved run on LiteRT, with the first of them twice as a control.

    Args:
        models: .tflite files as they are; an .onnx file stands for two, its baseline and its optimized model.
        options: what is asked for.
        context: of the run.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    options.effort.clock_for(options.settings)  # before any work is done
    with context.directory() as folder:
        candidates, notes = make_candidates([Path(model) for model in models], options, context, folder)
        return time_candidates(
            candidates,
            options.settings,
            effort=options.effort,
            operators=options.profile,
            memory=options.memory,
            phone=options.phone,
            notes=notes,
            context=context,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model to time: a .tflite file and what it is called."""

    name: str
    path: Path


def make_candidates(
    models: Sequence[Path], options: BenchmarkOptions, context: RunContext, folder: Path
) -> tuple[list[Candidate], list[str]]:
    """Make .tflite files of models.

    Args:
        models: .tflite files, which stay as they are; an .onnx file gives its baseline and its optimized model.
        options: what is asked for.
        context: of the run.
        folder: directory for what is made.

    Returns:
        The files, and what the user should know of them.

    Raises:
        LayoutoptError: a model cannot be read or converted.
    """
    size = max((model_size(path) for path in models if path.suffix == ".onnx"), default=0)
    backend = choose_backend(options.backend, size=size)
    candidates, notes = [], []
    for index, path in enumerate(models):
        if path.suffix == ".tflite":
            candidates.append(Candidate(str(path), path))
            continue
        original = modelio.load(path)
        modelio.make_static(original, options.shapes or {})
        for kind in _several(options.quantize):
            converter = Converter(folder / f"{index}-{kind.value}", context, None, 0.0, kind, False, backend)
            weights = "" if kind is Quantize.NONE else f", {kind.value}"
            for artifact in (make_baseline(original, converter), make_optimized(original, options.io, converter)):
                candidates.append(Candidate(f"{path} ({artifact.stats.kind.value}{weights})", artifact.path))
                notes += [f"{path}: {artifact.stats.error}"] if artifact.stats.error else []
    return candidates, list(dict.fromkeys(notes))


def time_candidates(
    candidates: Sequence[Candidate],
    settings: Sequence[Setting],
    *,
    effort: Effort,
    operators: bool = False,
    memory: bool = False,
    phone: Phone | None = None,
    notes: Sequence[str] = (),
    context: RunContext,
) -> BenchmarkReport:
    """Time .tflite files against each other, and measure what else is asked for.

    Args:
        candidates: the files; the others are compared with the first.
        settings: how LiteRT runs them.
        effort: how carefully they are timed.
        operators: whether each operator is timed too.
        memory: whether it is measured what each needs.
        phone: where they run; None for this machine.
        notes: what the user should know.
        context: of the run.

    Raises:
        LayoutoptError: as `measure`, `profile` and `memory_of`; on a phone, as `installed` and its `Bench`.
    """
    groups, bench = _time(candidates, settings, effort, phone, context)
    rows, said = [], [*notes, *(bench.notes if bench else ())]
    for group in groups:
        said += _warnings(candidates[0], group)
        for candidate, latency, speedup in zip(candidates, group.latencies, group.speedups, strict=True):
            subject, counts = Subject(candidate.path, group.setting), count_tflite(candidate.path)
            size = candidate.path.stat().st_size
            row = BenchmarkRow(candidate.name, group.setting, latency, speedup, counts, size)
            if memory:
                row = replace(row, memory=_memory_of(subject, bench, effort, context))
            if operators:
                context.say(f"{candidate.name}: operators")
                try:
                    row = replace(row, operators=profile_subject(subject, seed=effort.seed, verbose=context.verbose))
                except ConversionError as error:  # what was timed until here is worth keeping
                    said.append(f"{candidate.name} ({group.setting}) has no profile: {error.message}")
            rows.append(row)
    machine, versions = _provenance(phone, bench)
    return BenchmarkReport(
        rows=tuple(rows),
        controls=tuple(Control(group.setting, group.noise) for group in groups),
        clock=effort.clock_for(settings),
        rounds=len(rows[0].latency.samples),
        machine=machine,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        notes=tuple(said),
        versions=versions,
    )


def _time(
    candidates: Sequence[Candidate],
    settings: Sequence[Setting],
    effort: Effort,
    phone: Phone | None,
    context: RunContext,
) -> tuple[list[SettingLatencies], Bench | None]:
    """Time .tflite files here, or on a phone, which is then described too."""
    names = {candidate.path: candidate.name for candidate in candidates}
    place = nullcontext() if phone is None else installed(phone, names, warmup=effort.warmup, say=context.say)
    with place as bench:
        groups = time_together(
            [candidate.path for candidate in candidates],
            settings,
            effort=effort,
            verbose=context.verbose,
            timer=None if bench is None else bench.measure,
            progress=lambda done, total: context.say(f"round {done} of {total}"),
        )
    return groups, bench


def _memory_of(subject: Subject, bench: Bench | None, effort: Effort, context: RunContext) -> int | None:
    """Return the bytes that a model needs, where they are known."""
    if bench is not None:
        return bench.memory.get(subject)
    context.say(f"{subject.path}: memory")
    return memory_of(subject, seed=effort.seed, verbose=context.verbose) or None


def _provenance(phone: Phone | None, bench: Bench | None) -> tuple[str, Mapping[str, str]]:
    """Return the machine in words, and the versions of what took part."""
    here = Provenance.here()
    if phone is None or bench is None:
        return here.machine, here.versions
    versions = {name: version for name, version in here.versions.items() if name != "ai-edge-litert"}
    return bench.machine, versions | {"benchmark_model": build_of(phone.program)}


def _several(choice: _Choice | Sequence[_Choice]) -> Sequence[_Choice]:
    """Return one choice as a list of one; several without repetitions."""
    return list(dict.fromkeys(choice)) if isinstance(choice, Sequence) else [choice]


def _warnings(first: Candidate, group: SettingLatencies) -> list[str]:
    """Return the reasons not to trust the figures of a setting."""
    if group.noise.is_quiet and all(speedup.is_sharp for speedup in group.speedups):
        return []
    widest = max(group.noise.width, *(speedup.width for speedup in group.speedups)) - 1
    return [
        f"The machine is too noisy ({group.setting}): two copies of {first.name} seem to differ by up to "
        f"{group.noise.floor:.1%}, and intervals are up to {widest:.1%} wide: the ratios may be off by as much. "
        "Stop what else runs, or let it go on for longer: --seconds."
    ]
