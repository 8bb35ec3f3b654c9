"""What signals do to a run of the command line: it cleans up and ends, soon, whatever native code is at."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

from layoutopt.errors import SIGNALS
from layoutopt.outputs import abandon

PATIENCE = 1.5
"""Seconds that a run has to end by itself: Python sees a signal only when native code returns."""


class Ended(BaseException):
    """A signal that asks the run to end.

    Args:
        name: of the signal.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def listen() -> None:
    """Let SIGTERM and SIGHUP raise `Ended`, as SIGINT raises KeyboardInterrupt, and end runs that do not answer.

    A signal that is ignored, as SIGHUP is under nohup, stays so.
    """
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _raise)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours, theirs), name="signals", daemon=True).start()


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    raise Ended(signal.Signals(number).name)


def _watch(ours: socket.socket, theirs: socket.socket) -> None:
    """Wait for a signal; end the process if that has not ended by itself soon after."""
    del theirs  # kept open by being an argument
    codes = {int(getattr(signal, name)): code for name, code in SIGNALS.items() if hasattr(signal, name)}
    while (number := ours.recv(1)[0]) not in codes:
        pass
    time.sleep(PATIENCE)
    abandon()
    with contextlib.suppress(OSError, ValueError):
        print(f"error: ended by {signal.Signals(number).name}; nothing was written", file=sys.stderr, flush=True)
    os._exit(codes[number])
