"""A graph as text, one operation per line, for people and for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from layoutopt.tfl import custom_options
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.schema import default_options

_MAX_NUMBERS = 16
"""Constants of no more elements are told in full."""


def format_graph(graph: Graph) -> str:
    """Return the text of a graph: its inputs, a line for each operation, its outputs.

    Values are numbered in the order in which they come: ``%2 = ADD(%0, %1) : float32[1,4]``. Options are told where
    they differ from the schema's defaults, bodies are indented.
    """
    return "\n".join(_lines(graph, {}))


def _lines(graph: Graph, names: dict[Value, str]) -> Iterator[str]:
    for value in graph.inputs:
        names[value] = f"%{len(names)}"
    yield f"{graph.name}({', '.join(f'{names[each]}: {_type(each)}' for each in graph.inputs)})"
    for operation in graph.operations:
        operands = ", ".join("-" if each is None else _operand(each, names) for each in operation.operands)
        for result in operation.results:
            names[result] = f"%{len(names)}"
        results = ", ".join(names[result] for result in operation.results)
        types = ", ".join(map(_type, operation.results))
        yield f"  {results} = {operation.code}({operands}){_options(operation)} : {types}"
        for body in operation.bodies:
            yield from (f"    {line}" for line in _lines(body, names))
    yield f"  return {', '.join(_operand(each, names) for each in graph.outputs)}"


def _operand(value: Value, names: Mapping[Value, str]) -> str:
    if value.data is None:
        return names.get(value, "?")
    if value.data.size > _MAX_NUMBERS:
        return f"<{_type(value)}>"
    numbers = np.array2string(value.data, separator=",", max_line_width=1000).replace("\n", "").replace(" ", "")
    return numbers if value.dtype.is_integer or value.dtype.name == "FLOAT32" else f"{numbers}:{value.dtype}"


def _type(value: Value) -> str:
    sizes = "*" if value.shape is None else ",".join("?" if size is None else str(size) for size in value.shape)
    return f"{value.dtype}[{sizes}]"


def _options(operation: Operation) -> str:
    defaults = default_options(definition(operation.code).options)
    data = operation.options.get("custom_options", b"")
    told = {
        name: value
        for name, value in (custom_options.decode(data) or operation.options).items()
        if name != "new_shape" and not isinstance(value, np.ndarray) and value != defaults.get(name)
    }
    return "" if not told else "{" + ", ".join(f"{name}={_told(value)}" for name, value in told.items()) + "}"


def _told(value: object) -> str:
    return str(np.float32(value) if isinstance(value, float) else value)  # files have 32 bits
