"""All that decides how a graph is quantized, apart from the graph; kept in JSON, it makes a build without samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.errors import UsageError
from layoutopt.options import RangeMethod
from layoutopt.quantization.operators import is_real
from layoutopt.quantization.ranges import Range
from layoutopt.quantization.rewriting import Floats
from layoutopt.tfl.graph import Graph, Value

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """Ranges of the values of a graph, and means of channels.

    Attributes:
        method: by which the ranges were chosen; ``RangeMethod.AUTO`` where sections have methods of their own.
        ranges: by value.
        means: of each channel of operands of layers with weights, where biases are corrected; else None.
    """

    method: RangeMethod
    ranges: Mapping[Value, Range]
    means: Mapping[Value, Floats] | None

    def to_json(self, graph: Graph) -> str:
        """Return it as text, by names that are the same each time that the model is converted."""
        names = {value: name for name, value in _named(graph)}
        content = {
            "format": _FORMAT,
            "method": self.method.value,
            "ranges": {names[value]: [found.low, found.high] for value, found in self.ranges.items()},
            "means": None
            if self.means is None
            else {names[value]: [float(np.float32(each)) for each in found] for value, found in self.means.items()},
        }
        return json.dumps(content, indent=1) + "\n"

    @staticmethod
    def load(graph: Graph, path: Path) -> Recipe:
        """Read a file of what `to_json` gives.

        Raises:
            UsageError: there is no such file, it is not of this kind, or it is of another model.
        """
        option = f"--load-ranges {path}"
        content = _content(path, option)
        values = dict(_named(graph))
        if missing := sorted(set(content["ranges"]) ^ set(values)):
            raise UsageError(
                f"{option}: of another model or version of layoutopt ({missing[0]!r} is in one of them only)",
                hint="Calibrate again: --calibration.",
            )
        try:
            ranges = {values[name]: Range.around(*map(float, found)) for name, found in content["ranges"].items()}
            means = content["means"]
            return Recipe(
                RangeMethod(content["method"]),
                ranges,
                None if means is None else {values[name]: np.array(found, np.float64) for name, found in means.items()},
            )
        except (TypeError, ValueError, KeyError) as error:
            raise UsageError(f"{option}: not what --save-ranges writes ({error})") from None


def _content(path: Path, option: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{option}: no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{option}: not what --save-ranges writes ({error})") from None
    if (
        not isinstance(content, dict)
        or content.get("format") != _FORMAT
        or {"ranges", "means", "method"} - set(content)
    ):
        raise UsageError(f"{option}: not what --save-ranges writes, or of another version of layoutopt")
    return content


def _named(graph: Graph) -> Iterator[tuple[str, Value]]:
    """Iterate over the values that have ranges, by names that do not depend on anything but the model."""
    seen: dict[str, int] = {}
    for value in graph.inputs:
        if is_real(value):
            yield f"input {value.name}", value
    for operation in graph.operations:
        for result in filter(is_real, operation.results):
            name = f"{operation.scope} {operation.code}"
            seen[name] = seen.get(name, 0) + 1
            yield f"{name} {seen[name]}", result
