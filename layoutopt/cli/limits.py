"""The options that bound what a run may take, which all commands that read models share."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutopt.cli.guard import DEFAULT_SECONDS

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
