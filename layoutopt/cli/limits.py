"""The options that bound what a run may take, which all commands that read models share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from layoutopt.cli.guard import DEFAULT_SECONDS

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)

MemoryLimitOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        envvar="LAYOUTOPT_MEMORY_LIMIT",
        help="Stop if more memory than this is needed, such as 8GB; 0 for no limit. On Linux. "
        "[dim]\\[default: nine tenths of what is free][/]",
    ),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        min=0.0,
        envvar="LAYOUTOPT_TIME_LIMIT",
        help="Stop if one stage takes longer than this; 0 for no limit. Not on Windows. "
        f"[dim]\\[default: {DEFAULT_SECONDS:g}][/]",
    ),
]


def parse_size(text: str | None, option: str) -> int | None:
    """Return the number of bytes that ``8GB`` is; None where nothing is said.

    Raises:
        BadParameter: it does not read like that.
    """
    if text is None:
        return None
    if (found := _SIZE.fullmatch(text.strip())) is None:
        raise typer.BadParameter(f"{text!r} is no size. Write 8GB or 500MB.", param_hint=option)
    return int(float(found[1]) * _UNITS[found[2].lower()])
