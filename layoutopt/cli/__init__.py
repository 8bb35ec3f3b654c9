"""The command line: one file per sub-command, and nothing that the Python API cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layoutopt.cli.guard import guarded
from layoutopt.cli.signals import Ended, listen
from layoutopt.errors import SIGNALS

if TYPE_CHECKING:
    from layoutopt.cli.application import app

__all__ = ["app", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, with the arguments of this process if none are given."""
    guarded()  # before the commands are imported, whose memory the guard has no use for
    from layoutopt.cli.application import app

    listen()
    try:
        app(arguments)
    except Ended as signal:  # before or after the work, of which nobody need be told
        raise SystemExit(SIGNALS[signal.name]) from None


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from layoutopt.cli.application import app

    return app
