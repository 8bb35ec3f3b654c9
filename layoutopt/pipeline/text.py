"""Pipelines as text and back: ``fold-constants,propagate-layout{io=keep},cancel-transposes``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import get_type_hints

import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.options import Layouts
from layoutopt.passes import DEFAULT_PIPELINE, PASSES
from layoutopt.passes.base import NO_OPTION

_ITEM = re.compile(r"\s*(?P<name>[a-z0-9-]+)\s*(?:\{(?P<options>[^{}]*)\})?\s*(?:,|$)")

Option = bool | int | str | Enum | Layouts


@dataclass(frozen=True, slots=True)
class PassOption:
    """One option of a pass.

    Attributes:
        name: as the text spells it.
        default: as the text spells it.
        choices: the values that it can take; empty where any whole number or text will do.
    """

    name: str
    default: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PassDescription:
    """The name of a pass, what it does, and its options.

    Attributes:
        name: as the text spells it.
        summary: the first line of its documentation.
        options: its options with their defaults.
        text: how the default pipeline spells it; empty where that does not hold it.
    """

    name: str
    summary: str
    options: tuple[PassOption, ...]
    text: str


def pass_name(pass_: ir.passes.PassBase | type[ir.passes.PassBase]) -> str:
    """Return the name of a pass in a pipeline text: ``fold-constants`` for ``FoldConstants``."""
    name = pass_.__name__ if isinstance(pass_, type) else type(pass_).__name__
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def parse_pipeline(text: str) -> tuple[ir.passes.PassBase, ...]:
    """Return the passes that ``text`` names, in order.

    Raises:
        UsageError: names the part that is wrong and what is possible there.
    """
    known = {pass_name(each): each for each in PASSES}
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _ITEM.match(text, position)
        if match is None:
            raise UsageError(
                f"--passes: cannot read {text[position:]!r}", hint="Write name,name{option=value,option=value},name"
            )
        if match["name"] not in known:
            raise UsageError(f"--passes: there is no pass {match['name']!r}", hint=f"Known passes: {', '.join(known)}.")
        found.append(_build(known[match["name"]], match["options"] or ""))
        position = match.end()
    if not found:
        raise UsageError("--passes: the pipeline is empty", hint=f"Known passes: {', '.join(known)}.")
    return tuple(found)


def format_pipeline(passes: Sequence[ir.passes.PassBase]) -> str:
    """Return the text that ``parse_pipeline`` reads as ``passes``; options at their defaults are left out."""
    return ",".join(_format(each) for each in passes)


def describe_passes() -> tuple[PassDescription, ...]:
    """Return every pass: those of the default pipeline first, in its order."""
    defaults = {type(each): _format(each) for each in DEFAULT_PIPELINE}
    order = (*defaults, *(each for each in PASSES if each not in defaults))
    return tuple(
        PassDescription(
            pass_name(each), (each.__doc__ or "").strip().splitlines()[0], tuple(_options(each)), defaults.get(each, "")
        )
        for each in order
    )


def _options(pass_: type[ir.passes.PassBase]) -> Iterator[PassOption]:
    hints = get_type_hints(pass_)
    for field in _named_fields(pass_):
        yield PassOption(field.name, _spell(field.default), _choices(hints[field.name]))


def _named_fields(pass_: ir.passes.PassBase | type[ir.passes.PassBase]) -> list[dataclasses.Field[object]]:
    """Return the fields that a text can name."""
    return [field for field in dataclasses.fields(pass_) if field.metadata != NO_OPTION]  # type: ignore[arg-type]


def _choices(kind: type) -> tuple[str, ...]:
    if kind is bool:
        return ("true", "false")
    return tuple(_spell(member) for member in kind) if issubclass(kind, Enum) else ()


def _spell(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format(pass_: ir.passes.PassBase) -> str:
    changed = [
        f"{field.name}={_spell(getattr(pass_, field.name))}"
        for field in _named_fields(pass_)
        if getattr(pass_, field.name) != field.default
    ]
    return pass_name(pass_) + (f"{{{','.join(changed)}}}" if changed else "")


def _build(pass_: type[ir.passes.PassBase], options: str) -> ir.passes.PassBase:
    hints = get_type_hints(pass_)
    known = {option.name: option for option in _options(pass_)}
    values: dict[str, Option] = {}
    for item in filter(None, map(str.strip, options.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or name not in known:
            possible = ", ".join(known) or "none"
            raise UsageError(f"--passes: {pass_name(pass_)} has no option {item!r}", hint=f"Its options: {possible}.")
        values[name] = _parse(pass_name(pass_), known[name], hints[name], value)
    return pass_(**values)


def _parse(where: str, option: PassOption, kind: type, value: str) -> Option:
    if option.choices and value not in option.choices:
        raise UsageError(
            f"--passes: {where}{{{option.name}={value}}}: no such value", hint=f"Possible: {', '.join(option.choices)}."
        )
    if kind is bool:
        return value == "true"
    try:
        return kind(value)  # type: ignore[no-any-return]
    except ValueError as error:
        raise UsageError(f"--passes: {where}{{{option.name}={value}}}: {error}") from error
