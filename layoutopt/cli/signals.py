"""The reaction of the command line to signals: it cleans up and ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from layoutopt.errors import SIGNALS


class Ended(BaseException):
    """A signal that asks the run to end.

    Args:
        name: of the signal.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def listen() -> None:
    """Let the first of the signals that ask for an end raise `Ended`, and none after it."""
    for number in _heeded():
        signal.signal(number, _raise)


def _heeded() -> list[signal.Signals]:
    """Return the signals that end a run; one that is ignored, as SIGHUP is under nohup, stays so."""
    known = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    for each in _heeded():  # a terminal and the guard may both send one, and cleaning up must not be ended
        signal.signal(each, signal.SIG_IGN)
    raise Ended(signal.Signals(number).name)


@contextlib.contextmanager
def caught_signals(told: Callable[[str], None]) -> Iterator[None]:
    """Call ``told`` with the name of each signal that would end this process, which goes on."""
    handlers = {
        number: signal.signal(number, lambda number, _frame: told(signal.Signals(number).name)) for number in _heeded()
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
