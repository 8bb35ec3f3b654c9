"""The base of all results: they become JSON, and a notebook shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import Enum
from html import escape
from typing import Any, TypeVar

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Result:
    """Frozen data that the API returns."""

    __slots__ = ()

    def to_json(self) -> Json:
        """Return plain lists, dicts, numbers and text."""
        return to_json(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        render = _RENDERERS.get(type(self))
        return render(self) if render else f"<pre>{escape(repr(self))}</pre>"


_Result = TypeVar("_Result", bound=Result)
_RENDERERS: dict[type[Result], Callable[[Any], str]] = {}


def show_in_notebooks(kind: type[_Result], render: Callable[[_Result], str]) -> None:
    """Let notebooks show results of one kind.

    Results know nothing of how they are shown, so what renders them says it here.

    Args:
        kind: of the results.
        render: makes HTML of one.
    """
    _RENDERERS[kind] = render


def to_json(value: object) -> Json:
    """Return frozen data as plain lists, dicts, numbers and text; numbers that JSON does not know become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return to_json(sorted(value))
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
