"""Times .tflite files on an Android phone, with the `benchmark_model` that the user has for it.

`benchmark_model` is LiteRT's own program for this. Its options and what it writes are those of
https://github.com/google-ai-edge/LiteRT/tree/main/tflite/tools/benchmark
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from layoutopt.backend.android.adb import FOLDERS, CommandResult, Device
from layoutopt.backend.litert.latency import Latency
from layoutopt.backend.litert.runtime import Setting, Subject, check_threads, take_turns
from layoutopt.backend.process import how_ended
from layoutopt.errors import DeviceError
from layoutopt.files import content_digest, require_file
from layoutopt.options import Phone

SAMPLE_SECONDS = 0.5
"""Time for which `benchmark_model` repeats a model for one sample, at least; starting it takes about as long."""

_PROGRAM = "benchmark_model"
_MACHINES: Mapping[int, str] = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a", 243: "riscv64"}
"""Android's name of a processor by the number in the header of an ELF file (``e_machine``)."""

_IGNORED = re.compile(r"Unconsumed cmdline flags: (.*)")
_ON_GPU = re.compile(r"\bGPU delegate\b.*?(completely|partially|will not be) executed by the delegate(?: w/ (\d+))?")
_MEMORY = re.compile(r"\boverall=([\d.]+)")


@dataclass(slots=True)
class Bench:
    """A phone with the program and the models on it.

    Attributes:
        device: the phone.
        folder: on it, where they are.
        machine: the phone in words.
        files: path there of each model.
        names: of each model, for messages.
        warmup: inferences before each sample.
        memory: bytes that each model needed at most, by what the program told.
        notes: what the user should know of how the models ran.
    """

    device: Device
    folder: str
    machine: str
    files: Mapping[Path, str]
    names: Mapping[Path, str]
    warmup: int
    memory: dict[Subject, int] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def measure(
        self,
        subjects: Sequence[Subject],
        *,
        rounds: int,
        more: Callable[[tuple[Latency, ...]], bool],
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Latency, ...]:
        """Time models in turns, as `layoutopt.backend.litert.runtime.measure` does here.

        A sample is the mean over the inferences of one run of the program.

        Raises:
            DeviceError: one of them cannot be run, or the phone has gone.
        """
        samplers = [partial(self._sample, subject) for subject in subjects]
        return take_turns(samplers, rounds=rounds, step=1, more=more, progress=progress)

    def _sample(self, subject: Subject) -> float:
        """Return milliseconds per inference."""
        options = " ".join(_options(self.files[subject.path], subject.setting, self.warmup))
        answer = self.device.run(f"{self.folder}/{_PROGRAM} {options}")
        if ignored := _IGNORED.search(answer.text):
            raise DeviceError(
                f"this {_PROGRAM} does not know {ignored[1]}",
                hint="Build it from tflite/tools/benchmark of LiteRT, which has all of these options.",
            )
        averages = [float(each.get("avg", each.get("curr", "nan"))) for each in _statistics(answer.text)]
        if answer.code or len(averages) < 2:  # the first are those of the warm-up
            raise DeviceError(f"phone {self.device.serial}: {self.names[subject.path]}: {_why(answer)}")
        if subject.setting.gpu:
            self._note_share(subject, answer)
        if memory := _MEMORY.search(answer.text):
            needed = int(float(memory[1]) * 2**20)
            self.memory[subject] = max(needed, self.memory.get(subject, 0))
        return averages[-1] / 1e3

    def _note_share(self, subject: Subject, answer: CommandResult) -> None:
        """Note how much of a model the GPU ran, if not all.

        Raises:
            DeviceError: there was no GPU.
        """
        found = _ON_GPU.search(answer.text)
        if found is None:
            raise DeviceError(
                f"phone {self.device.serial}: {_PROGRAM} did not use the GPU", hint="Time it without --gpu."
            )
        name = self.names[subject.path]
        if found[1] == "partially":
            self.notes[f"{name}: the GPU runs a part of it, cut into {found[2]}, and the CPU the rest."] = None
        elif found[1] != "completely":
            self.notes[f"{name}: the GPU runs nothing of it."] = None


@contextlib.contextmanager
def installed(phone: Phone, models: Mapping[Path, str], *, warmup: int, say: Callable[[str], None]) -> Iterator[Bench]:
    """Put the program and models on a phone, and remove them after use.

    Args:
        phone: which.
        models: .tflite files here, with their names for messages.
        warmup: inferences before each sample.
        say: called with what starts now.

    Raises:
        ModelNotFoundError: there is no such model.
        DeviceError: see `Device`; or the program is not for this phone.
    """
    for model in models:
        require_file(model)
    device = Device.find(phone.serial)
    _check_program(phone.program, device)
    folder = f"{FOLDERS}{secrets.token_hex(4)}"
    files = {model: f"{folder}/{at}.tflite" for at, model in enumerate(models)}
    try:
        device.tell(f"mkdir {folder}")
        for file, target in {phone.program: f"{folder}/{_PROGRAM}", **files}.items():
            say(f"{device.serial}: pushing {file.name}")
            device.push(file, target)
        device.tell(f"chmod 755 {folder}/{_PROGRAM}")
        yield Bench(device, folder, _machine_of(device), files, models, warmup)
    finally:
        with contextlib.suppress(DeviceError):  # where the phone has gone, the error of that says what to do
            device.run(f"rm -rf {folder}")


def build_of(program: Path) -> str:
    """Return the first digits of a program's SHA-256, which tell one build of it from another."""
    return content_digest(program)[:12]


def _check_program(program: Path, device: Device) -> None:
    """Refuse a program that is none, or for another processor."""
    try:
        with program.open("rb") as opened:
            header = opened.read(20)
    except OSError as error:
        raise DeviceError(
            f"{program} cannot be read: {error.strerror}", hint=f"Name a {_PROGRAM} for Android."
        ) from error
    if header[:4] != b"\x7fELF" or len(header) < 20:
        raise DeviceError(f"{program} is not a program for Android", hint=f"Name a {_PROGRAM} for Android.")
    number = int.from_bytes(header[18:20], "little")
    made_for, runs = _MACHINES.get(number, f"processor {number}"), device.tell("getprop ro.product.cpu.abilist")
    if made_for not in runs.split(","):
        raise DeviceError(
            f"{program} is for {made_for}, and phone {device.serial} runs {runs}",
            hint=f"Name a {_PROGRAM} for {runs.split(',')[0]}.",
        )


def _machine_of(device: Device) -> str:
    maker, model, version, processor = (
        device.tell(f"getprop ro.{name}")
        for name in ("product.manufacturer", "product.model", "build.version.release", "product.cpu.abi")
    )
    return f"{maker} {model}, {processor}, Android {version}"


def _options(model: str, setting: Setting, warmup: int) -> list[str]:
    """Return the options of the program for one sample."""
    check_threads(setting.threads)
    return [
        f"--graph={model}",
        f"--num_threads={setting.threads}",
        f"--use_xnnpack={str(setting.xnnpack).lower()}",
        *(["--use_gpu=true"] if setting.gpu else []),
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",
        "--num_runs=1",
        f"--min_secs={SAMPLE_SECONDS}",
    ]


def _statistics(text: str) -> list[dict[str, str]]:
    """Return what the program tells of the warm-up and of the inferences, in microseconds: ``count=50 avg=11300``."""
    return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in text.splitlines() if re.search(r"\bcount=\d", line)]


def _why(answer: CommandResult) -> str:
    """Return why the program told no times."""
    if answer.code > 128:
        return f"{_PROGRAM} {how_ended(128 - answer.code)}"
    errors = [line.partition("ERROR:")[2].strip() for line in answer.text.splitlines() if "ERROR:" in line]
    return f"{_PROGRAM} failed: {errors[0] if errors else answer.last_line}"
