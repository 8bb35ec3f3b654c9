"""The options that bound what a run may take, which all commands that read models share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from layoutopt.cli.guard import DEFAULT_SECONDS, limit

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)

MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        envvar="LAYOUTOPT_MEMORY_LIMIT",
        help="Stop when more memory than this is taken, 8GB for example; 0 for any. On Linux. "
        "[dim]\\[default: nine tenths of what is free][/]",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        min=0.0,
        envvar="LAYOUTOPT_TIME_LIMIT",
        help="Stop when one stage takes longer than this; 0 for any. Not on Windows. "
        f"[dim]\\[default: {DEFAULT_SECONDS:g}][/]",
    ),
]


def limited(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options ``--memory-limit`` and ``--time-limit``."""

    @functools.wraps(command)
    def run(*, memory_limit: str | None, time_limit: float | None, **options: Any) -> None:
        limit(None if memory_limit is None else parse_bytes(memory_limit, "--memory-limit"), time_limit)
        command(**options)

    added = {"memory_limit": MemoryLimit, "time_limit": TimeLimit}
    signature = inspect.signature(command, eval_str=True)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]  # what typer reads
        parameters=[
            *signature.parameters.values(),
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
                for name, annotation in added.items()
            ),
        ]
    )
    run.__annotations__ = {**inspect.get_annotations(command, eval_str=True), **added}
    return run


def parse_bytes(text: str, option: str) -> int:
    """Return the number of bytes that ``8GB`` is.

    Raises:
        BadParameter: it does not read like that.
    """
    if (found := _SIZE.fullmatch(text.strip())) is None:
        raise typer.BadParameter(f"{text!r} is no size. Write 8GB or 500MB.", param_hint=option)
    return int(float(found[1]) * _UNITS[found[2].lower()])
