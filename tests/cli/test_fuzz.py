"""Models with bytes changed at random, and models made to break native code: documented exit codes, bounded cost."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import layoutopt
from layoutopt import errors
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir import io
from tests.hostile import HOSTILE, convolutions, everything

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="limits of memory need /proc")]

CASES, BATCHES = 300, 12
GIGABYTES, SECONDS = 3, 30
SLACK = 1.2
"""By how much the memory may be over the limit when it is looked at."""

BUGS = {errors.LayoutoptError.exit_code, errors.PassFailedError.exit_code}
"""Exit codes for faults of our own."""

DOCUMENTED = {0} | {
    each.exit_code
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.LayoutoptError)
} - BUGS


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Small networks as .onnx, and what becomes of them as .tflite."""
    home = tmp_path_factory.mktemp("originals")
    models = {"mobilenet": mobilenet_v2(resolution=32, width=0.1), "conv": convolutions(), "mixed": everything()}
    for name, model in models.items():
        io.save(model, home / f"{name}.onnx")
        layoutopt.optimize(
            home / f"{name}.onnx", tflite=home / f"{name}.tflite", output=home / f"{name}.nhwc.onnx", backend="direct"
        )
    return {suffix: [home / f"{name}.{suffix}" for name in models] for suffix in ("onnx", "tflite")}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with a few bytes changed, a piece cut out or copied to elsewhere, or its end cut off."""
    kind, made = chance.random(), bytearray(data)
    if kind < 0.6:
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            made[chance.randrange(len(made))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    elif kind < 0.8:  # where the structure is: weights are most of a file
        text = [at for at, byte in enumerate(data) if 0x20 <= byte < 0x7F]
        for at in chance.sample(text, min(len(text), 4)):
            made[max(0, at - chance.randrange(3))] = chance.randrange(256)
    elif kind < 0.9:
        start, length, target = (chance.randrange(len(made)), chance.randrange(1, 64), chance.randrange(len(made)))
        piece = made[start : start + length]
        if chance.random() < 0.5:
            del made[start : start + length]
        made[target:target] = piece
    else:
        del made[chance.randrange(len(made)) :]
    return bytes(made)


def cases(originals: list[Path], batch: int) -> Iterator[tuple[str, Path, bytes]]:
    for number in range(batch, CASES, BATCHES):
        original = originals[number % len(originals)]
        yield f"{original.name} {number}", original, mutated(original.read_bytes(), random.Random(number))


def judge(name: str, home: Path, *arguments: str) -> str:
    """What is wrong with how the command line ends; empty where nothing is."""
    before = sorted(path.name for path in home.iterdir())
    (home.parent / "tmp").mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "layoutopt", *arguments, "-q", "--memory-limit", f"{GIGABYTES}GB"],
            capture_output=True,
            check=False,
            cwd=home,
            timeout=4 * SECONDS,  # of a machine that does other things too
            env={
                **os.environ,
                "LAYOUTOPT_TIME_LIMIT": str(SECONDS),
                "TMPDIR": str(home.parent / "tmp"),
                "PYTHONPATH": str(Path(layoutopt.__file__).parent.parent),
            },
        )
    except subprocess.TimeoutExpired:
        return f"{name}: {arguments[0]} does not end"
    said = done.stderr.decode(errors="replace")
    if done.returncode not in DOCUMENTED or "Traceback" in said or bool(said) != bool(done.returncode):
        return f"{name}: {arguments[0]} ends with {done.returncode}: {said[-600:]}"
    left = sorted(path.name for path in home.iterdir())
    if (done.returncode and left != before) or any((home.parent / "tmp").iterdir()):
        return f"{name}: {arguments[0]} ends with {done.returncode} and leaves {left}"
    return ""


def require_nothing(wrong: list[str]) -> None:
    assert not [each for each in wrong if each]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert largest < GIGABYTES * 1e9 * SLACK


def write(home: Path, name: str, content: bytes) -> str:
    home.mkdir(exist_ok=True)
    (home / name).write_bytes(content)
    return name


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_onnx(originals: dict[str, list[Path]], tmp_path: Path, batch: int) -> None:
    wrong = []
    for name, _, content in cases(originals["onnx"], batch):
        model = write(tmp_path / "in", "model.onnx", content)
        wrong.append(judge(name, tmp_path / "in", "optimize", model, "--no-baseline", "--force", "--backend", "direct"))
    require_nothing(wrong)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_tflite(originals: dict[str, list[Path]], tmp_path: Path, batch: int) -> None:
    wrong = []
    for name, original, content in cases(originals["tflite"], batch):
        model = write(tmp_path / "in", "model.tflite", content)
        wrong.append(judge(name, tmp_path / "in", "count", model))
        wrong.append(judge(name, tmp_path / "in", "compare", str(original.with_suffix(".onnx")), model))
    require_nothing(wrong)


@pytest.mark.parametrize("command", ["optimize", "explain"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path: Path, command: str, name: str) -> None:
    model = write(tmp_path / "in", "model.onnx", HOSTILE[name].SerializeToString())
    options = ("--no-baseline", "--force", "--backend", "direct") if command == "optimize" else ()
    require_nothing([judge(name, tmp_path / "in", command, model, *options)])
