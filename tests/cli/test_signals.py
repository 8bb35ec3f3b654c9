"""A run that a signal, a limit or a crash ends: its exit code, its temporary files, and its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layoutopt.errors import SIGNALS, CrashError, LimitError, ModelNotFoundError, UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")

_SLOW = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a signal that the tests were started to ignore (nohup, &) is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
from layoutopt import cli
import layoutopt.workflows.conversion

def convert(*_, **__):
    print("here", file=sys.stderr, flush=True)
    PATCH

layoutopt.workflows.conversion.convert_directly = convert
sys.argv = ["layoutopt", *sys.argv[1:]]
cli.main()
"""
SLEEPS = "time.sleep(60)"
HOLDS_THE_LOCK = "__import__('collections').deque(__import__('itertools').repeat(0), maxlen=0)"
"""Native code that keeps Python's lock for ever: no handler and no other thread runs."""
HUGE = "kept = b'x' * 2**30; time.sleep(60)"
HUGE_IN_A_CHILD = "__import__('subprocess').run([sys.executable, '-c', 'kept = b\"x\" * 2**30; input()'])"
CRASHES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
CHILD = "list(__import__('layoutopt.backend.process').backend.process.run_alone('tests_sleeper', {}, verbose=True))"


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


def start(model: Path, patch: str, *options: str) -> subprocess.Popen[str]:
    """A run that has come to the conversion, which takes for ever."""
    home = model.parent.parent
    environment = {
        **os.environ,
        "TMPDIR": str(home / "tmp"),
        "PID": str(home / "pid"),
        "PYTHONPATH": f"{home}:{Path.cwd()}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW.replace("PATCH", patch), "optimize", str(model), "--backend", "direct", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "here\n":
            break
    else:
        pytest.fail("it has not come so far")
    return process


def left(model: Path) -> Iterator[str]:
    for directory in (model.parent, model.parent.parent / "tmp"):
        yield from (path.name for path in directory.iterdir())


@pytest.mark.parametrize(("name", "patch"), [*((name, SLEEPS) for name in SIGNALS), ("SIGINT", HOLDS_THE_LOCK)])
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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("patch", "options", "code", "blamed"),
    [
        (HUGE, ("--memory-limit", "0.6GB"), LimitError.exit_code, "over the limit of 0.6 GB"),
        (HUGE_IN_A_CHILD, ("--memory-limit", "600MB"), LimitError.exit_code, "over the limit of 0.6 GB"),
        (HOLDS_THE_LOCK, ("--time-limit", "5"), LimitError.exit_code, "stopped after 5 s in one stage"),
        (CRASHES, (), CrashError.exit_code, "native code died of SIGSEGV in the stage"),
    ],
)
def test_what_native_code_does_ends_in_one_line_and_leaves_nothing(
    model: Path, patch: str, options: tuple[str, ...], code: int, blamed: str
) -> None:
    with start(model, patch, *options) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    (line, _hint) = [line for line in said.splitlines() if not line.endswith(" s")]
    assert line.startswith("error: ")
    assert blamed in line
    assert list(left(model)) == ["model.onnx"]


@pytest.mark.parametrize("text", ["3GB", "3000M", "3e9", "lots", "-1"])
def test_a_limit_of_memory_has_a_unit(text: str) -> None:
    arguments = [sys.executable, "-m", "layoutopt", "count", "nobody.onnx", "--memory-limit", text]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == (ModelNotFoundError if text[-1] in "BM" else UsageError).exit_code


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
