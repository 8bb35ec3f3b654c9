"""Work on LiteRT in a process of its own: what it needs of memory is its alone, and what it breaks stays there."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from layoutopt import errors

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from layoutopt.backend.process import end_with, work; "
    "end_with(int(sys.argv[2])); sys.exit(work(sys.argv[3], *map(json.loads, sys.argv[4:])))"
)
_FAILURE = "failure"
"""The key of the line in which a child tells of an error of `layoutopt.errors`."""
TAIL = 2000
"""Characters of what a child said that go into an error message."""


def command(module: str, *arguments: Mapping[str, Json] | Sequence[Json]) -> list[str]:
    """Return the command that runs ``main`` of a module in a new interpreter, whose exit code is its result.

    It has the import path of this one, so that it finds the same packages wherever it is started.
    """
    return [
        sys.executable,
        "-P",
        "-c",
        _BOOT,
        json.dumps(sys.path),
        str(os.getpid()),
        module,
        *map(json.dumps, arguments),
    ]


def work(module: str, *arguments: Any) -> Any:
    """Do in the child what `command` says; an error of ours becomes a line of its output.

    Returns:
        The exit code.
    """
    try:
        return importlib.import_module(module).main(*arguments)
    except errors.LayoutoptError as error:
        print(json.dumps({_FAILURE: [type(error).__name__, error.message, error.hint]}), flush=True)
        return 0


def run_alone(module: str, job: Mapping[str, Json], *, verbose: bool) -> Iterator[Json]:
    """Call ``main(job)`` of a module in a fresh interpreter.

    Args:
        module: its full name.
        job: what to do.
        verbose: let through what the child writes to stderr.

    Yields:
        Each line that the child prints, read as JSON.

    Raises:
        LayoutoptError: what the child raised.
        ConversionError: the child failed in another way, or died; with the last of what it said.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as chatter:
        with subprocess.Popen(
            command(module, job),
            stdout=subprocess.PIPE,
            stderr=None if verbose else chatter,
            text=True,
            encoding="utf-8",
        ) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    said = json.loads(line)
                    if isinstance(said, dict) and _FAILURE in said:
                        raise _error(*said[_FAILURE])
                    yield said
            except BaseException:
                child.kill()
                raise
        if child.returncode:
            chatter.seek(0)
            raise errors.ConversionError(
                "LiteRT", f"its process {how_ended(child.returncode)}\n{chatter.read()[-TAIL:]}".strip()
            )


def _error(kind: str, message: str, hint: str) -> errors.LayoutoptError:
    """Return the child's error as the exception that it was there."""
    found: type[errors.LayoutoptError] = getattr(errors, kind)
    if found is errors.ConversionError:
        return errors.ConversionError(*message.split(": ", 1), hint=hint)
    return found(message, hint=hint)


def end_with(parent: int) -> None:
    """Let this process end when the one that started it does, however that ends.

    Args:
        parent: the number of that process.
    """
    if sys.platform == "linux":
        import ctypes

        # Not by a thread, which would wait for native code that holds Python's lock.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    elif os.name == "posix":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.name == "posix" and os.getppid() != parent:  # it has gone already
        os._exit(1)


_PR_SET_PDEATHSIG = 1


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def forget_peak_memory() -> None:
    """Let the next `peak_memory` tell of what comes from here on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return largest resident size of this process in bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum starts with that of the process that forked this one.
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def how_ended(code: int) -> str:
    """Return the meaning of an exit code as the end of a sentence: ``died of SIGKILL``."""
    if code >= 0:
        return f"ended with exit code {code}"
    known = {int(each): each.name for each in signal.Signals}
    return f"died of {known.get(-code, f'signal {-code}')}"
