"""A run that a signal ends: its exit code, its temporary files, and its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layoutopt.errors import SIGNALS
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")

_SLOW = """
import sys, time
from layoutopt import cli
import layoutopt.forms
{patch}
sys.argv = ["layoutopt", *sys.argv[1:]]
cli.main()
"""
SLEEPS = "layoutopt.forms.convert_directly = lambda *_, **__: time.sleep(60)"
STUCK = """
import re
layoutopt.forms.convert_directly = lambda *_, **__: [re.match(r"(a*)*$", "a" * 40 + "b") for _ in range(9)]
"""
"""Native code that holds Python's lock now and then."""
DEAF = """
import ctypes
layoutopt.forms.convert_directly = lambda *_, **__: ctypes.CDLL(None).sleep(60)
"""
"""Native code that does not return for a signal: it sleeps on in the thread that Python's handlers run in."""
CHILD = """
import layoutopt.backend.process as process
layoutopt.forms.convert_directly = lambda *_, **__: list(process.run_alone("tests_sleeper", {}, verbose=True))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    save(mobilenet_v2(resolution=32, width=0.25), tmp_path / "in" / "model.onnx")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tests_sleeper.py").write_text(
        "import os, time, pathlib\n"
        "def main(job):\n"
        "    pathlib.Path(os.environ['PID']).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    return tmp_path / "in" / "model.onnx"


def start(model: Path, patch: str) -> subprocess.Popen[str]:
    """A run that has come to the conversion, which takes for ever."""
    home = model.parent.parent
    environment = {
        **os.environ,
        "TMPDIR": str(home / "tmp"),
        "PID": str(home / "pid"),
        "PYTHONPATH": f"{home}:{Path.cwd()}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW.format(patch=patch), "optimize", str(model), "--backend", "direct"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("write .onnx"):
            break
    time.sleep(0.5)
    return process


def left(model: Path) -> Iterator[str]:
    for directory in (model.parent, model.parent.parent / "tmp"):
        yield from (path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("name", "patch"), [*((name, SLEEPS) for name in SIGNALS), ("SIGINT", DEAF), ("SIGTERM", DEAF)]
)
def test_a_signal_ends_a_run_and_leaves_nothing(model: Path, name: str, patch: str) -> None:
    with start(model, patch) as process:
        assert len(list(left(model))) > 1
        started = time.monotonic()
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=20)
    assert process.returncode == SIGNALS[name]
    assert f"ended by {name}; nothing was written" in said
    assert "Traceback" not in said
    assert time.monotonic() - started < 10  # 2 s on a quiet machine
    assert list(left(model)) == ["model.onnx"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent(model: Path, number: signal.Signals) -> None:
    pid = model.parent.parent / "pid"
    with start(model, CHILD) as process:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.1)
        process.send_signal(number)
        process.wait(timeout=20)
    for _ in range(50):
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the child lives on")
