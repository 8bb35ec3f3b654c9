"""Runs one task in a process of its own: the command line with one model, with its usual guard."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import signal
import subprocess
import threading
import time
from pathlib import Path

from layoutopt import __version__
from layoutopt.backend.process import command, how_ended
from layoutopt.errors import LayoutoptError, OutputError
from layoutopt.fleet.remote import upload
from layoutopt.fleet.row import Report, Row
from layoutopt.fleet.task import Task
from layoutopt.outputs import scratch
from layoutopt.outputs.places import reason

COMMAND_LINE = "layoutopt.cli"
"""The module whose ``main`` takes the arguments of the command line."""

_PATIENCE = 0.8
"""Seconds that processes have to end by themselves; their guards give native code longer."""


def run_task(task: Task, children: Children | None = None) -> Row:
    """Optimize one model in a child process and return its row; errors of the model are in the row, not raised.

    What an earlier process has finished and nobody has heard of is taken as it is.

    Args:
        task: what to do.
        children: who knows the child as long as it runs; None where nobody is to end it.
    """
    start = time.monotonic()
    if task.version != __version__:
        return _failed(task, 0.0, f"the worker has layoutopt {__version__}, the caller {task.version}")
    try:
        with scratch() as folder:
            report = Path(task.report) if task.report is not None else folder / "report.json"
            if report.exists() and (found := _report(report)) is not None and task.is_written:
                return Row(task.model, task.key, 0.0, found)
            # A report without outputs is of a run that was killed as it put them in their places: they are ours.
            force = ("--force",) if task.force or report.exists() else ()
            places = task.written_in(folder / "out")
            written = [str(each) for pair in zip(("--output", "--tflite"), places, strict=False) for each in pair]
            if task.upload:
                places[0].parent.mkdir()
            arguments = ["optimize", task.model, *written, *task.options, *force, "--quiet", "--json", str(report)]
            code, log = _run(arguments, Path(task.folder), folder, children or Children())
            row = _row(task, time.monotonic() - start, report, code, log)
            return _uploaded(row, task, places[0].parent) if task.upload and row.is_done else row
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(task, time.monotonic() - start, f"{where}{reason(error)}", code=OutputError.exit_code)
    except LayoutoptError as error:  # of the place at a URL
        return _failed(task, time.monotonic() - start, error.message, error.hint, code=error.exit_code)


def run_on_worker(task: Task) -> Row:
    """Run a task as `run_task` does, on a machine of a cluster: the row of one that fails names it."""
    row = run_task(task)
    return row if row.is_done else dataclasses.replace(row, error=f"on {platform.node()}: {row.error}")


def describe_worker(folder: str) -> tuple[str, bool]:
    """Return the version of layoutopt of this process, and whether it sees a folder."""
    return __version__, Path(folder).is_dir()


def _uploaded(row: Row, task: Task, folder: Path) -> Row:
    """Copy what was written in a folder to the URL of the task, and return the row that says so.

    Raises:
        OutputError: it cannot be written there.
    """
    assert row.report is not None
    upload(sorted(folder.iterdir()), task.upload)
    named = dict(zip(("output", "tflite"), task.outputs, strict=False))
    return dataclasses.replace(row, report={**row.report, **named})


class Children:
    """The processes that run now, to be ended together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def start(self, child_command: list[str], start_in: Path, temporary: Path, log: int) -> subprocess.Popen[bytes]:
        """Start a process in a folder, with a folder for its temporary files, unless all are to end."""
        environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | {"NO_COLOR": "1"}
        with self._lock:
            if self._ended:
                raise OSError("ended")
            child = subprocess.Popen(
                child_command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=start_in,
                env=environment | {"TMPDIR": str(temporary)},
                start_new_session=True,  # Ctrl-C is for the run, which ends its processes itself
            )
            self._running.add(child)
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """Remove a process that has ended."""
        with self._lock:
            self._running.discard(child)

    def end(self) -> None:
        """End all processes, killing those that do not clean up in time, and start no other."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for child in running:
            child.send_signal(signal.SIGTERM)
        until = time.monotonic() + _PATIENCE
        for child in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, until - time.monotonic()))
                continue
            child.kill()


def _run(arguments: list[str], start_in: Path, temporary: Path, children: Children) -> tuple[int, str]:
    """Run the command line and return its exit code and what it wrote to standard error."""
    path = temporary / "log"
    with path.open("wb") as log:
        child = children.start(command(COMMAND_LINE, arguments), start_in, temporary, log.fileno())
        try:
            code = child.wait()
        except BaseException:
            child.kill()
            raise
        finally:
            children.forget(child)
    return code, path.read_text(encoding="utf-8", errors="replace")


def _row(task: Task, seconds: float, report: Path, code: int, log: str) -> Row:
    if code == 0 and (found := _report(report)) is not None:
        return Row(task.model, task.key, seconds, found, log=log)
    if code < 0:
        return _failed(task, seconds, f"its process {how_ended(code)}", code=128 - code, log=log)
    *_, said = f"\n{log}".rpartition("\nerror: ")
    message, _, hint = said.strip().partition("\n")
    message = message.removeprefix(f"{task.model}: ")
    return _failed(task, seconds, message or how_ended(code), hint, code=code or LayoutoptError.exit_code, log=log)


def _failed(
    task: Task, seconds: float, error: str, hint: str = "", *, code: int = LayoutoptError.exit_code, log: str = ""
) -> Row:
    return Row(task.model, task.key, seconds, None, error, " ".join(hint.split()), code, log)


def _report(path: Path) -> Report | None:
    """Return the report in a file; None if it is missing or incomplete."""
    try:
        found: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
