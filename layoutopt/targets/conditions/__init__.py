"""The conditions that rules may state. Each returns why an operation does not meet it, as the end of a sentence.

A rule is ``condition = wanted`` in TOML; its condition is the function of that name in one of the modules here. Values
that are known when the file is loaded, such as weights, axes and shapes, are constants; all others are run-time values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from layoutopt.targets.conditions import axes, operands, shapes, types, windows
from layoutopt.tfl.graph import Operation

Condition: TypeAlias = "Callable[[Operation, Any], str | None]"

CONDITIONS: Mapping[str, Condition] = {
    name: function
    for module in (axes, operands, shapes, types, windows)
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
}
"""By the names that rules call them."""

TYPE_CONDITIONS = frozenset(name for name, function in CONDITIONS.items() if function.__module__ == types.__name__)
"""Those on element types and quantization."""
