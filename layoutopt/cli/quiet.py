"""Keeps what other libraries write to standard error away from the user."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("onnx_ir", "onnxscript", "onnx", "torch")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Let only ourselves write to standard error: no warnings, no loggers, and nothing that native code prints.

    Native code has the descriptor alone, so that goes nowhere, and ``sys.stderr`` gets another one. Where somebody has
    put something else in its place already, the descriptor is left alone.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        if sys.stderr is not sys.__stderr__ or sys.stderr is None:
            yield
            return
        with warnings.catch_warnings(), _own_descriptor():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _own_descriptor() -> Iterator[None]:
    """Give ``sys.stderr`` a descriptor of its own, and let that of everybody else lead nowhere."""
    theirs = sys.stderr
    theirs.flush()
    number = theirs.fileno()
    kept = os.dup(number)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
    ours = os.fdopen(os.dup(kept), "w", buffering=1, encoding=theirs.encoding, errors="backslashreplace")
    sys.stderr = ours
    try:
        yield
    finally:
        sys.stderr = theirs
        ours.close()
        os.dup2(kept, number)
        os.close(kept)
