"""The process that TensorFlow lives in.

A process of its own for three reasons: a native abort in the converter must not take the caller with it, TensorFlow's
gigabyte is given back when it ends, and importing this module costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from layoutopt import errors
from layoutopt.backend.onnx_tf.protocol import ChildEvent, Failure, Job, Outcome
from layoutopt.backend.process import TAIL, command, how_ended

_CHILD = "layoutopt.backend.onnx_tf.export"
_MAX_JOBS = 200  # of one child: TensorFlow keeps something of every graph

Progress = Callable[[str], None]
"""Called with a short name as each stage starts."""


class Child:
    """One child process; it does jobs one after the other until it is closed or dies.

    Args:
        verbose: let TensorFlow's messages through to standard error.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._chatter = None if verbose else tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._jobs = 0
        environment = dict(os.environ)
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # no banners about CPU features
        environment.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a conversion computes nothing worth waking a GPU for
        # Blocks of 1 MiB and more, which are weights, go back to the system as soon as they are free (glibc).
        environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 20))
        environment.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 20))
        self._process = subprocess.Popen(
            command(_CHILD),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._chatter or sys.stderr,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    @property
    def is_spent(self) -> bool:
        """Return whether it has died, or done as many jobs as one child should."""
        return self._jobs >= _MAX_JOBS or self._process.poll() is not None

    def run(self, job: Job, progress: Progress | None) -> Outcome:
        """Do one job.

        Raises:
            LayoutoptError: what the child raised; ConversionError if it died.
        """
        self._jobs += 1
        listener = _Listener(progress)
        try:
            self._talk(job, listener)
        except BaseException:
            self._process.kill()
            raise
        if listener.outcome is not None:
            return listener.outcome
        if listener.failure is not None:
            raise _error(listener.failure, listener.stage)
        raise _death(self._process.wait(), listener.stage, self._tail())

    def _talk(self, job: Job, listener: _Listener) -> None:
        """Send the job and read the messages of the child until it is done, or has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died before it read the job; its exit code tells
            self._process.stdin.write(job.dump() + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if listener.hear(line):
                    return

    def _tail(self) -> str:
        if self._chatter is None:
            return ""
        self._chatter.seek(0)
        return self._chatter.read()[-TAIL:].strip()

    def close(self) -> None:
        """Let the child end: there are no more jobs."""
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
        if self._chatter is not None:
            self._chatter.close()


_kept: dict[tuple[bool, bool], Child] | None = None
"""Children that live on between jobs, by what `run_job` distinguishes; None where each job has a child of its own."""


@contextlib.contextmanager
def kept_alive() -> Iterator[None]:
    """Let all conversions within share one child, so that TensorFlow is imported once; not for several threads."""
    global _kept
    if _kept is not None:
        yield
        return
    _kept = {}
    try:
        yield
    finally:
        for child in _kept.values():
            child.close()
        _kept = None


def run_job(job: Job, *, verbose: bool, progress: Progress | None) -> Outcome:
    """Do one job in a child of its own, or in the one that `kept_alive` keeps.

    Raises:
        LayoutoptError: what the child raised; ConversionError if it died.
    """
    if _kept is None:
        child = Child(verbose=verbose)
        try:
            return child.run(job, progress)
        finally:
            child.close()
    key = (job.plain, verbose)  # our handlers change onnx-tf for good, so plain jobs have a child of their own
    if key in _kept and _kept[key].is_spent:
        _kept.pop(key).close()
    if key not in _kept:
        _kept[key] = Child(verbose=verbose)
    return _kept[key].run(job, progress)


@dataclass(slots=True)
class _Listener:
    """Follow the child's events on one job."""

    progress: Progress | None
    stage: str = "start"
    failure: Failure | None = field(default=None)
    outcome: Outcome | None = field(default=None)

    def hear(self, line: str) -> bool:
        """Take in one event; whether it was the last."""
        event = ChildEvent.load(line)
        self.failure, self.outcome = event.failure, event.outcome
        if event.stage is not None:
            self.stage = event.stage
            if self.progress is not None:
                self.progress(event.stage)
        return self.failure is not None or self.outcome is not None


def _error(failure: Failure, stage: str) -> errors.LayoutoptError:
    """Return the child's error as the exception it was there."""
    if failure.kind == "ConversionError":
        return errors.ConversionError(stage, failure.message, hint=failure.hint)
    kind: type[errors.LayoutoptError] = getattr(errors, failure.kind)
    return kind(failure.message, hint=failure.hint)


def _death(code: int, stage: str, said: str) -> errors.ConversionError:
    """Return the child ended without a word."""
    how = f"the conversion process {how_ended(code)}"
    hint = "Run again with verbose output to see all that TensorFlow says."
    if code == -signal.SIGKILL:
        hint = "SIGKILL mostly means that the system ran out of memory."
    return errors.ConversionError(stage, f"{how}\n{said}" if said else how, hint=hint)
