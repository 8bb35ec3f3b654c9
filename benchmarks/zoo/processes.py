"""Runs commands in processes of their own, and watches how much memory they take."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo.rows import Memory

ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended.

    Attributes:
        error: its last line where it failed; empty where it did not.
        memory: what it took, with the processes that it started.
        seconds: that it ran.
        processor: seconds that it computed, with the processes that it started; other processes do not count.
    """

    error: str
    memory: Memory
    seconds: float
    processor: float


def run(command: Sequence[str | Path], *, log: Path, timeout: float) -> Finished:
    """Run a command from the root of the repository to its end, or for ``timeout`` seconds.

    Args:
        command: program and arguments.
        log: the file that gets all that it writes.
        timeout: in seconds.
    """
    memory, start, computed = Memory(), time.perf_counter(), _computed()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
        try:
            while process.poll() is None:
                memory = memory.with_sample(resident(process.pid), tuple(map(resident, descendants(process.pid))))
                if time.perf_counter() - start > timeout:
                    return Finished(f"took more than {timeout:.0f} s", memory, timeout, 0.0)
                time.sleep(_POLL)
        finally:
            _end(process)
    error = _last_line(log) if process.returncode else ""
    return Finished(error, memory, time.perf_counter() - start, _computed() - computed)


def _computed() -> float:
    """Return processor seconds of all processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        for pid in (*descendants(process.pid), process.pid):
            os.kill(pid, 9)
        process.wait()


def resident(pid: int) -> int:
    """Return resident size of a process in bytes; 0 once it is gone, and where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1]) * 1024


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process started, and those that they did."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(each) for each in path.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from descendants(child)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "ended without a word"
