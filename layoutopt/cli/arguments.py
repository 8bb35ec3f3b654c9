"""Groups of command-line options: parameters of a command that are dataclasses stand for the options in them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from layoutopt.cli.console import (
    DynamicOption,
    ExactOption,
    ForceOption,
    IoOption,
    JsonOption,
    LayoutOption,
    ObjectiveOption,
    QuietOption,
    Session,
    ShapeOption,
    VerboseOption,
    session,
)
from layoutopt.cli.guard import set_limits
from layoutopt.cli.limits import MemoryLimitOption, TimeLimitOption
from layoutopt.cli.parsing import parse_layouts, parse_names, parse_shapes, parse_size


@dataclass(frozen=True, slots=True)
class SessionArguments:
    """The options of every command."""

    force: ForceOption = False
    json: JsonOption = ""
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def start(self, inputs: Iterable[Path | None] = ()) -> AbstractContextManager[Session]:
        """Return the session of a command that reads ``inputs``; see `session`."""
        return session(self.json, quiet=self.quiet, verbose=self.verbose, force=self.force, inputs=inputs)


@dataclass(frozen=True, slots=True)
class RunArguments(SessionArguments):
    """The options of every command that reads or runs models, and may therefore need more than there is."""

    memory_limit: MemoryLimitOption = None
    time_limit: TimeLimitOption = None

    def start(self, inputs: Iterable[Path | None] = ()) -> AbstractContextManager[Session]:
        """Set the limits, and return the session.

        Raises:
            BadParameter: the limit of memory cannot be read.
        """
        set_limits(parse_size(self.memory_limit, "--memory-limit"), self.time_limit)
        return SessionArguments.start(self, inputs)


@dataclass(frozen=True, slots=True)
class LayoutArguments:
    """The options that the choice of layouts depends on."""

    io: IoOption = None
    layout: LayoutOption = field(default_factory=list)
    objective: ObjectiveOption = None
    exact: ExactOption = False
    shape: ShapeOption = field(default_factory=list)
    dynamic: DynamicOption = field(default_factory=list)

    def options(self) -> dict[str, Any]:
        """Return the options as keywords of the API.

        Raises:
            UsageError: an option cannot be read.
        """
        return {
            "io": self.io,
            "layouts": parse_layouts(self.layout),
            "objective": self.objective,
            "exact": self.exact,
            "shapes": parse_shapes(self.shape),
            "dynamic": parse_names(self.dynamic),
        }


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options themselves as parameters instead of the groups, as typer reads it."""
    kinds = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _options(kinds[name])
        else:
            parameters.append(parameter.replace(annotation=kinds[name]))

    @functools.wraps(command)
    def run(**options: Any) -> None:
        for name, kind in groups.items():
            options[name] = kind(**{each.name: options.pop(each.name) for each in dataclasses.fields(kind)})
        command(**options)

    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in keywords}
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    """Return a parameter for each field of a group."""
    kinds = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default if each.default_factory is dataclasses.MISSING else each.default_factory(),
            annotation=kinds[each.name],
        )
        for each in dataclasses.fields(group)
    ]
