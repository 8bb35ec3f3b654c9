"""An `adb` that speaks the command line of the real one, with phones that are folders here.

`install` puts it into a directory for the path. What its phones are like is in ``phones.json`` there. Commands run in a
real shell, with the phone's `/data/local/tmp` a folder of its own; `getprop` and LiteRT's `benchmark_model` are played,
with the words that their sources have.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

STORE = "/data/local/tmp"
KNOWN = {
    *("graph", "num_threads", "use_xnnpack", "use_gpu", "min_secs", "max_secs"),
    *("warmup_runs", "warmup_min_secs", "num_runs"),
}
"""Options of `benchmark_model` that it is played with."""


@dataclass
class FakePhone:
    """What a phone is like.

    Attributes:
        state: as ``adb devices`` shows it.
        abis: processors whose programs it runs, the best first.
        space: bytes that fit on it.
        gpu: what of a model the GPU runs, in `benchmark_model`'s words; None where there is no GPU.
        unknown: options that its `benchmark_model` does not know.
        ends: what its `benchmark_model` does instead of telling times: ``crash``, ``fail`` or ``lost``.
        microseconds: what a model takes, by its size in bytes; 10,000 where nothing is said.
    """

    state: str = "device"
    abis: str = "arm64-v8a,armeabi-v7a,armeabi"
    space: int = 10**9
    gpu: str | None = "will be completely executed by the delegate."
    unknown: tuple[str, ...] = ()
    ends: str = ""
    microseconds: dict[str, float] = field(default_factory=dict)


def install(directory: Path, **phones: FakePhone) -> Path:
    """Put `adb` and its phones into a directory, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "phones.json").write_text(json.dumps({name: asdict(phone) for name, phone in phones.items()}))
    for name in phones:
        (directory / "store" / name).mkdir(parents=True, exist_ok=True)
    program = directory / "adb"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {directory} "$@"\n')
    program.chmod(0o755)
    return directory


def program_for(path: Path, machine: int = 183) -> Path:
    """Write a file that begins like a program for Android: by default, for arm64-v8a."""
    path.write_bytes(b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\x00" + machine.to_bytes(2, "little") + b"\0" * 40)
    return path


def left_on(directory: Path) -> list[Path]:
    """Return what is on the phones."""
    return list((directory / "store").glob("*/*"))


def say(*lines: str) -> None:
    print(*(f"INFO: {line}" for line in lines), sep="\n")


def fail(*lines: str, code: int = 1) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return code


def main(directory: Path, arguments: list[str]) -> int:
    """Do what a command line of adb says."""
    phones = json.loads((directory / "phones.json").read_text())
    if arguments == ["devices"]:
        print(
            "List of devices attached", *(f"{name}\t{phone['state']}" for name, phone in phones.items()), "", sep="\n"
        )
        return 0
    serial = None
    if arguments[:1] == ["-s"]:
        serial, arguments = arguments[1], arguments[2:]
    serial = serial or os.environ.get("ANDROID_SERIAL")
    if serial is None and len(phones) > 1:
        return fail("adb: more than one device/emulator")
    if serial is None and not phones:
        return fail("adb: no devices/emulators found")
    name = serial or next(iter(phones))
    if name not in phones:
        return fail(f"adb: device '{name}' not found")
    phone = FakePhone(**phones[name])
    if phone.state == "unauthorized":
        return fail("adb: device unauthorized.", "This adb server's $ADB_VENDOR_KEYS is not set")
    if phone.state != "device":
        return fail(f"adb: device {phone.state}")
    store = directory / "store" / name
    match arguments:
        case ["push", *files, remote] if files:
            return max(push(phone, store, Path(each), remote) for each in files)
        case ["shell", *words]:
            return shell(phone, store, " ".join(words))
    return fail(f"adb: unknown command {' '.join(arguments)}")


def push(phone: FakePhone, store: Path, local: Path, remote: str) -> int:
    target, size = Path(remote.replace(STORE, str(store))), local.stat().st_size
    begin = f"adb: error: failed to copy '{local}' to '{remote}':"
    if remote.endswith("/"):
        target = target / local.name
    if not target.parent.is_dir():
        return fail(f"{begin} remote couldn't create file: No such file or directory")
    if sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) + size > phone.space:
        return fail(f"{begin} remote write failed: No space left on device")
    target.write_bytes(local.read_bytes())
    print(f"{local}: 1 file pushed, 0 skipped. 38.1 MB/s ({size} bytes in 0.012s)")
    return 0


def shell(phone: FakePhone, store: Path, command: str) -> int:
    here = command.replace(STORE, str(store))
    words = shlex.split(here)
    if words[0] == "getprop":
        properties = {
            "ro.product.cpu.abilist": phone.abis,
            "ro.product.cpu.abi": phone.abis.partition(",")[0],
            "ro.product.manufacturer": "Acme",
            "ro.product.model": "Rocket 7",
            "ro.build.version.release": "16",
        }
        print(properties[words[1]])
        return 0
    if not words[0].endswith("/benchmark_model"):
        return subprocess.run(["/bin/sh", "-c", here], stderr=subprocess.STDOUT, check=False).returncode
    program = Path(words[0])
    if not program.is_file():
        return fail(f"/system/bin/sh: {program}: inaccessible or not found", code=127)
    if not os.access(program, os.X_OK):
        return fail(f"/system/bin/sh: {program}: can't execute: Permission denied", code=126)
    return benchmark(phone, store, words[1:])


def benchmark(phone: FakePhone, store: Path, words: list[str]) -> int:
    """Tell what `benchmark_model` would, with times that follow from the model's size and the options."""
    options = {name: value for name, _, value in (word.removeprefix("--").partition("=") for word in words)}
    say("STARTING!")
    if ignored := options.keys() - KNOWN.difference(phone.unknown):
        print("WARN: Unconsumed cmdline flags:", *(f"--{name}={options[name]}" for name in sorted(ignored)))
    if phone.ends == "crash":
        return fail("Segmentation fault", code=139)
    if phone.ends == "lost":
        return fail("error: closed")
    model = Path(options["graph"])
    if not model.is_file():
        return fail(f"ERROR: Failed to load model {model}", "ERROR: Benchmarking failed.")
    say(f"Graph: [{model}]", f"#threads used for CPU inference: [{options.get('num_threads', '-1')}]")
    say(f"Loaded model {model}")
    if phone.ends == "fail":
        print("ERROR: Node number 3 (TRANSPOSE) failed to prepare.", "ERROR: Failed to allocate tensors!", sep="\n")
        return fail("ERROR: Benchmarking failed.")
    time = phone.microseconds.get(str(model.stat().st_size), 10_000.0) / float(options.get("num_threads", 1))
    if options.get("use_gpu") == "true" and phone.gpu is None:
        print("WARN: GPU acceleration is unsupported on this platform.")
    elif options.get("use_gpu") == "true":
        though = phone.gpu.startswith("will not")  # type: ignore[union-attr]
        begin = "Though GPU delegate is explicitly applied," if though else "Explicitly applied GPU delegate, and"
        say(f"{begin} the model graph {phone.gpu}")
        time /= 1 if though else 4
    if options.get("use_xnnpack") == "false":
        time *= 3
    else:
        partly = "will be partially executed by the delegate w/ 2 delegate kernels."
        say(f"Explicitly applied XNNPACK delegate, and the model graph {partly}")
    say(f"The input model file size (MB): {model.stat().st_size / 1e6:g}", "Initialized session in 3.21ms.")
    calls = store.parent / f"{store.name}.calls"
    jitter = 1 + 0.004 * (len(calls.read_text()) * 7 % 5 if calls.exists() else 0)
    with calls.open("a") as file:
        file.write(".")
    for runs, seconds, mean in (
        (int(options.get("warmup_runs", 1)), options.get("warmup_min_secs", "0.5"), 2 * time),
        (int(options.get("num_runs", 50)), options.get("min_secs", "1"), jitter * time),
    ):
        say(f"Running benchmark for at least {runs} iterations and at least {seconds} seconds but terminate if ...")
        count = max(runs, int(float(seconds) * 1e6 / mean))
        spread = f"first={mean + 9:g} curr={mean:g} min={mean - 2:g} max={mean + 9:g} avg={mean:g} std=1"
        single = f"curr={mean:g}"
        say(f"count={count} {spread if count > 1 else single} p5={mean:g} median={mean:g} p95={mean:g}", "")
    say(
        f"Inference timings in us: Init: 3210, First inference: {mean}, Inference (avg): {mean}",
        "Memory footprint delta from the start of the tool (MB): init=1.5 overall=4.25",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
