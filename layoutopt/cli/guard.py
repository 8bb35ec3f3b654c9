"""Runs the command line in a child process, so that what native code breaks there is told in one line.

ONNX Runtime, onnxsim, shape inference and LiteRT read what nobody has checked. They may crash, never end, take all
memory, or keep Python from seeing a signal. The guard is the process that the user has started: it forks before
anything heavy is imported, which takes a millisecond, and does nothing but watch. The child tells it through a pipe
what runs, and which directories are to go should it be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from layoutopt.backend.process import end_with, how_ended
from layoutopt.cli.signals import caught_signals
from layoutopt.errors import SIGNALS, CrashError, LayoutoptError, LimitError
from layoutopt.outputs.places import staging_directories

PATIENCE = 1.5
"""Seconds that a run has to end by itself after a signal: Python sees a signal only when native code returns."""

_POLL = 0.05
"""Seconds between two looks at the memory of the run."""

DEFAULT_SECONDS = 1800.0
"""The seconds that a stage may take unless an option says otherwise."""

_SHARE = 0.9
"""Of the memory that is free when a run starts, what it may take unless an option says otherwise."""


@dataclass(slots=True)
class _Run:
    """The state of the process that the guard watches.

    Attributes:
        pid: its number.
        memory: bytes that it and its children may take together; 0 for no limit.
        seconds: that a stage may take; 0 for no limit.
        stage: what runs.
        elapsed: seconds since the stage has begun, without those in which the run was stopped.
        staging_directories: directories that are to go should it be killed.
        publishing: whether it is putting its outputs in their places, in which it is not killed.
        unread: the begin of a line that the run has not yet written to its end.
    """

    pid: int
    memory: int
    seconds: float = DEFAULT_SECONDS
    stage: str = ""
    elapsed: float = 0.0
    staging_directories: set[str] = field(default_factory=set)
    publishing: bool = False
    unread: bytes = b""

    def hear(self, data: bytes) -> None:
        """Take note of what the run has written."""
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            match json.loads(line):
                case ["limits", int(memory), int() | float() as seconds]:
                    self.memory, self.seconds = memory, seconds
                case ["stage", str(stage)]:
                    self.stage, self.elapsed = stage, 0.0
                case ["publishing", bool(begins)]:
                    self.publishing = begins
                case ["staging", str(staging), bool(stays)]:
                    (self.staging_directories.add if stays else self.staging_directories.discard)(staging)

    def exceeded(self) -> LimitError | None:
        """Return the error of the limit that the run has exceeded."""
        during = f" ({self.stage})" if self.stage else ""
        if self.seconds and self.elapsed > self.seconds:
            return LimitError(
                f"stopped after {self.seconds:g} s in one stage{during}; nothing was written",
                hint="Allow it more with --time-limit SECONDS, 0 for any.",
            )
        if self.memory and (taken := _memory(self.pid)) > self.memory:
            return LimitError(
                f"stopped at {taken / 1e9:.1f} GB of memory, over the limit of {self.memory / 1e9:.1f} GB{during}; "
                "nothing was written",
                hint="Allow it more with --memory-limit SIZE, 0 for any.",
            )
        return None

    def clean(self) -> None:
        """Remove what the run has written aside, unless it was about to put that in place: the next run restores it."""
        for staging in () if self.publishing else self.staging_directories:
            shutil.rmtree(staging, ignore_errors=True)


_pipe: int | None = None
"""The pipe by which this process tells its guard its stages; None where it has none."""


def guarded() -> bool:
    """Go on in a child process, and end this one as the child ends; False where the system cannot fork.

    Raises:
        SystemExit: in the guard, with the exit code of the run.
    """
    global _pipe
    if not hasattr(os, "fork"):
        return False
    reading, writing = os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid:
        os.close(writing)
        sys.exit(_watch(_Run(pid, default_memory()), reading))
    os.close(reading)
    end_with(parent)
    _pipe = writing
    staging_directories.told = lambda staging, stays: _tell("staging", str(Path(staging).absolute()), stays)
    staging_directories.publishing = lambda begins: _tell("publishing", begins)
    return True


def _tell(*note: object) -> None:
    if _pipe is not None:
        os.write(_pipe, json.dumps(note).encode() + b"\n")


def set_limits(memory: int | None, seconds: float | None) -> None:
    """Set what the run may take: bytes, and seconds for each stage; 0 for any, None for the default."""
    _tell("limits", default_memory() if memory is None else memory, DEFAULT_SECONDS if seconds is None else seconds)


def note_stage(stage: str) -> None:
    """Tell the guard what runs."""
    _tell("stage", stage)


# --- in the guard ----------------------------------------------------------------------------------------------------


def _watch(run: _Run, reading: int) -> int:
    """Return the exit code of the run when it has ended, or has been made to."""
    received: list[str] = []
    with caught_signals(received.append):
        given_up, ended_by, before = 0.0, "", time.monotonic()
        while True:
            ready, _, _ = select.select([reading], [], [], _POLL)
            if ready:
                data = os.read(reading, 1 << 16)
                if not data:
                    break
                run.hear(data)
            now = time.monotonic()
            run.elapsed, before = run.elapsed + min(now - before, 1.0), now
            if received and not ended_by:
                ended_by, given_up = received[0], now + PATIENCE
                os.kill(run.pid, getattr(signal, ended_by))
            if run.publishing:
                continue
            if ended_by and now > given_up:
                _kill(run)
                return _said(f"ended by {ended_by}; nothing was written", "", SIGNALS[ended_by])
            if (error := run.exceeded()) is not None:
                _kill(run)
                return _said(error.message, error.hint, error.exit_code)
        code = os.waitstatus_to_exitcode(os.waitpid(run.pid, 0)[1])
    if code >= 0:
        return code
    run.clean()
    if ended_by:
        return _said(f"ended by {ended_by}; nothing was written", "", SIGNALS[ended_by])
    crash = _crash(run, code)
    return _said(crash.message, crash.hint, crash.exit_code)


def _kill(run: _Run) -> None:
    os.kill(run.pid, signal.SIGKILL)
    os.waitpid(run.pid, 0)  # its own children end with it
    run.clean()


def _crash(run: _Run, code: int) -> LayoutoptError:
    during = f" in the stage {run.stage!r}" if run.stage else ""
    hint = "A library that reads the model fails on it: ONNX's own, onnxsim, ONNX Runtime or LiteRT. See it with -v."
    if code == -signal.SIGKILL:
        hint = "That is what a system does that is short of memory: a --memory-limit stops a run before."
    return CrashError(f"native code {how_ended(code)}{during}; nothing was written", hint=hint)


def _said(message: str, hint: str, code: int) -> int:
    """Tell what has ended the run as the run itself would have, and return the exit code."""
    from layoutopt.cli.terminal import tell

    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K\x1b[?25h")  # what is left of the spinner
        tell(message, hint)
    return code


def default_memory() -> int:
    """Return the bytes that a run may take unless an option says otherwise; 0, for any, where the system is silent."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return int(_SHARE * 1024 * (kilobytes["MemAvailable"] + kilobytes["SwapFree"]))
    except (OSError, KeyError, ValueError, IndexError):
        return 0


def _memory(pid: int) -> int:
    """Return the bytes that a process and its children hold, without files that are mapped."""
    total = 0
    for each in _family(pid):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for line in Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _family(child)


def _children(pid: int) -> Iterable[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
