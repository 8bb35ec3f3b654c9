"""Operations that compute the same."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from layoutopt.tfl.graph import Graph, Operation, Value

_MAX_BYTES = 1024
"""Constants of no more bytes are compared by their elements; larger ones only with themselves."""


def eliminate_common_subexpressions(graph: Graph) -> bool:
    """Let one operation compute what several do, and drop the others.

    Returns:
        Whether there were any.
    """
    first: dict[Hashable, Operation] = {}
    replaced: dict[Value, Value] = {}
    for operation in graph.operations:
        operation.operands = [replaced.get(each, each) if each is not None else None for each in operation.operands]
        if operation.bodies:
            continue
        same = first.setdefault(_key(operation), operation)
        if same is not operation:
            replaced.update(zip(operation.results, same.results, strict=True))
    graph.operations = [each for each in graph.operations if not any(result in replaced for result in each.results)]
    graph.outputs = [replaced.get(output, output) for output in graph.outputs]
    return bool(replaced)


def _key(operation: Operation) -> Hashable:
    operands = tuple(None if each is None else _operand_key(each) for each in operation.operands)
    options = tuple((name, _option_key(value)) for name, value in sorted(operation.options.items()))
    results = tuple((each.dtype, each.shape, each.quantization) for each in operation.results)
    return operation.code, operands, options, results


def _operand_key(value: Value) -> Hashable:
    if value.data is None:
        return id(value)
    if value.data.nbytes > _MAX_BYTES:
        return id(value.data)
    return value.dtype, value.data.shape, value.data.tobytes(), value.quantization


def _option_key(value: object) -> Hashable:
    return value.tobytes() if isinstance(value, np.ndarray) else value if isinstance(value, Hashable) else id(value)
