"""Figures as they are kept: frozen data in JSON. Those in ``benchmarks/results`` are committed, and shown in docs."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

from layoutopt.outputs import atomic_write
from layoutopt.results.result import to_json

RESULTS = Path(__file__).parent / "results"

T = TypeVar("T")


def committed(name: str) -> Path:
    """Return where the committed figures of that name are."""
    return RESULTS / f"{name}.json"


def save(figures: object, path: Path) -> None:
    """Write frozen data so that `load` can read it."""
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(to_json(figures), indent=1) + "\n")


def load(kind: type[T], path: Path) -> T:
    """Read what `save` wrote of a ``kind``: a dataclass of dataclasses, enums, tuples, mappings and plain values."""
    found: T = _typed(kind, json.loads(path.read_text()))
    return found


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if value is None:
        return math.inf if kind is float else None  # JSON has no infinity
    if origin in (typing.Union, UnionType):
        (some,) = (each for each in arguments if each is not type(None))
        return _typed(some, value)
    if origin is tuple:
        elements = [arguments[0]] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_typed(each, item) for each, item in zip(elements, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {name: _typed(arguments[1], item) for name, item in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        return kind(**{name: _typed(kinds[name], item) for name, item in value.items()})
    return kind(value) if isinstance(kind, type) and issubclass(kind, enum.Enum) else value
