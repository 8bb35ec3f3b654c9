"""Runs a command in a process of its own, and watches the processor time and memory of all processes that take part."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo.processes import descendants

_POLL = 0.02  # seconds
_FREE_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Cost:
    """The time and memory that a command took.

    Attributes:
        processor: seconds that its processes computed, for themselves and in the system.
        together: most bytes of memory that they had at one moment: what each has of its own, and the most that one of
            them shared with others.
        largest: most bytes that one of them had, all pages that it could see.
        seconds: by the clock of the wall.
    """

    processor: float
    together: int
    largest: int
    seconds: float


class Failed(Exception):  # noqa: N818, it is no fault of the program
    """The command failed; with the end of what it said."""


def watch(
    command: Sequence[str | Path],
    directory: Path,
    *,
    log: Path,
    timeout: float,
    environment: Mapping[str, str],
    memory: int | None = None,
) -> Cost:
    """Run a command to its end.

    Args:
        command: program and arguments.
        directory: where it runs.
        log: the file that gets all that it writes.
        timeout: in seconds.
        environment: variables.
        memory: bytes beyond which it is ended, before the system is short of them; None for most of what is free.

    Raises:
        Failed: it ended with an error, or took too long or too much memory.
    """
    started, together, largest = time.perf_counter(), 0, 0
    limit = _FREE_SHARE * _sizes(Path("/proc/meminfo"))["MemAvailable"] if memory is None else memory
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=directory, env=environment
        )
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                seconds = time.perf_counter() - started
                if pid:
                    break
                sample = [_memory(each) for each in (process.pid, *descendants(process.pid))]
                together = max(together, sum(own for own, _, _ in sample) + max(shared for _, shared, _ in sample))
                largest = max(largest, *(peak for _, _, peak in sample))
                if seconds > timeout:
                    raise Failed(f"took more than {timeout:.0f} s")
                if together > limit:
                    raise Failed(f"took more than {limit / 1e9:.1f} GB of memory")
                time.sleep(_POLL)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            _end(process)
    if process.returncode:
        raise Failed(_end_of(log) or f"ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, together, largest, seconds)


def _memory(pid: int) -> tuple[int, int, int]:
    """Return the bytes of a process that are its own, that it shares with others, and that it ever had at most."""
    sizes = _sizes(Path(f"/proc/{pid}/smaps_rollup"))
    own = sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
    return own, sizes.get("Rss", 0) - own, _sizes(Path(f"/proc/{pid}/status")).get("VmHWM", 0)


def _sizes(path: Path) -> dict[str, int]:
    """Return what a file of the system tells in kB, in bytes by its name; nothing once the process is gone."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in path.read_text().splitlines())
        return {line[0][:-1]: int(line[1]) * 1024 for line in lines if len(line) == 3 and line[2] == "kB"}
    return {}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        for pid in (*descendants(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.wait()


def _end_of(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-2:])
