"""Read the text of options into numbers, names, shapes and the like; what cannot be read is named with its option."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from typing import TypeVar

import typer

from layoutopt.errors import UsageError
from layoutopt.options import TensorLayout

_Choice = TypeVar("_Choice", bound=Enum)
_Value = TypeVar("_Value")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


def parse_numbers(option: str, texts: list[str]) -> list[int]:
    """Return ``1,2,4`` as numbers.

    Raises:
        UsageError: it does not read like that, or one of them is below 1.
    """
    words = [word for text in texts for word in text.split(",")]
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"{option} {','.join(words)}: cannot be read", hint=f"Write {option} 1,2,4.")
    return [int(word) for word in words]


def parse_fractions(option: str, text: str) -> tuple[float, ...]:
    """Return numbers that commas separate, each of which may be a fraction such as 1/255.

    Raises:
        UsageError: one cannot be read.
    """
    try:
        return tuple(float(Fraction(each.strip())) for each in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{option} {text}: not numbers", hint=f"For example: {option} 0.485,0.456,0.406") from None


def parse_choices(option: str, texts: list[str], kind: type[_Choice]) -> list[_Choice]:
    """Return ``none,dynamic`` as members of an enumeration.

    Raises:
        UsageError: one of them is none.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    known = {each.value: each for each in kind}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise UsageError(f"{option} {unknown[0]}: there is no such choice", hint=f"Choose from {', '.join(known)}.")
    return [known[word] for word in words]


def parse_names(texts: list[str]) -> list[str]:
    """Return the names in texts such as ``batch,height``."""
    return [name for text in texts for name in text.split(",")]


def parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """Return ``name=1,3,224,224`` as a name and a shape.

    Raises:
        UsageError: it does not read like that.
    """
    return _parse_by_name("--shape", texts, _sizes, "NAME=1,3,224,224.")


def parse_layouts(texts: list[str]) -> dict[str, TensorLayout]:
    """Return ``name=nhwc`` as a name and a layout.

    Raises:
        UsageError: it does not read like that.
    """
    possible = ", ".join(each.value for each in TensorLayout)
    return _parse_by_name(
        "--layout", texts, lambda word: TensorLayout(word.lower()), f"NAME=LAYOUT, one of {possible}."
    )


def _parse_by_name(option: str, texts: list[str], parse: Callable[[str], _Value], form: str) -> dict[str, _Value]:
    """Return ``name=value`` as a name and what ``parse`` makes of the value, or raises ValueError for.

    Raises:
        UsageError: it does not read like ``form``.
    """
    found = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            found[name] = parse(value)
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"{option} {text}: cannot be read", hint=f"Write {option} {form}")
    return found


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


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
