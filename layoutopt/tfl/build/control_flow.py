"""IF and WHILE, with bodies that are recorded from functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layoutopt.tfl.build.elementwise import bitcast
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Shape, Size, Value
from layoutopt.tfl.recorder import Operand, one, record, recording, value_of


def if_(
    condition: Value, then: Callable[[], Sequence[Operand]], otherwise: Callable[[], Sequence[Operand]]
) -> list[Value]:
    """Record IF; values from around the branches become operands.

    Raises:
        TypeError: the branches yield different numbers of values, or values of different types.
    """
    branches = [body([], branch) for branch in (then, otherwise)]
    one, other = (branch.outputs for branch in branches)
    if [each.dtype for each in one] != [each.dtype for each in other]:
        raise TypeError("the branches yield values of different types")
    captured = _captured(branches, [])
    for branch in branches:
        _take_in(branch, captured)
    results = [(a.dtype, common_shape(a.shape, b.shape)) for a, b in zip(one, other, strict=True)]
    return record("IF", condition, *captured, results=results, bodies=tuple(branches))


def while_(
    condition: Callable[..., Operand],
    step: Callable[..., Sequence[Operand]],
    start: Sequence[Operand],
    shapes: Sequence[Shape | None] | None = None,
) -> list[Value]:
    """Record WHILE; values from around it become operands.

    Args:
        condition: whether there is another round, of the carried values.
        step: the carried values after a round, of those before.
        start: the carried values before the first round.
        shapes: of the carried values in all rounds; those of ``start`` unless given.
    """
    before = [value_of(operand) for operand in start]
    held = [value.shape for value in before] if shapes is None else shapes
    kinds = [(value.dtype, shape) for value, shape in zip(before, held, strict=True)]
    bodies = (body(kinds, lambda *carried: [condition(*carried)]), body(kinds, step))
    captured = _captured(bodies, [each for graph in bodies for each in graph.inputs])
    for graph in bodies:
        _take_in(graph, captured)
    bodies[1].outputs.extend(bodies[1].inputs[len(before) :])
    keep_apart(bodies[1])
    results = [*kinds, *((value.dtype, value.shape) for value in captured)]
    return record("WHILE", *before, *captured, results=results, bodies=bodies)[: len(before)]


def keep_apart(step: Graph) -> None:
    """Let no carried value of a WHILE take the place of another one as it is.

    LiteRT copies the results of a round one after the other to where the next round reads them: of two values that
    change places, one would be lost. A CAST that converts nothing makes a copy before.
    """
    places = {value: index for index, value in enumerate(step.inputs)}
    for index, value in enumerate(step.outputs):
        place = places.get(value, index)
        if place != index and step.outputs[place] is not value:
            with recording(step):
                step.outputs[index] = copy_of(value)


def copy_of(x: Value) -> Value:
    """Record a CAST that converts nothing, and so makes a copy."""
    dtype = DType.INT64 if x.dtype is DType.UINT64 else x.dtype  # which CAST does not know
    return bitcast(one("CAST", bitcast(x, dtype), in_data_type=dtype.value, out_data_type=dtype.value), x.dtype)


def body(kinds: Sequence[tuple[DType, Shape | None]], function: Callable[..., Sequence[Operand]]) -> Graph:
    """Record what a function of values of these types and shapes computes."""
    graph = Graph([Value(dtype, shape) for dtype, shape in kinds], name="body")
    with recording(graph):
        graph.outputs = [value_of(result) for result in function(*graph.inputs)]
    return graph


def common_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    """Return the shape that tells no more than what both have in common."""
    if one is None or other is None or len(one) != len(other):
        return None
    sizes: list[Size] = [a if a == b else None for a, b in zip(one, other, strict=True)]
    return tuple(sizes)


def _captured(graphs: Sequence[Graph], own: Sequence[Value]) -> list[Value]:
    """Return the values from around some bodies that they read, each once."""
    found: dict[Value, None] = {}
    for graph in graphs:
        made = {*own, *graph.inputs, *(result for operation in graph.operations for result in operation.results)}
        operands = (each for operation in graph.operations for each in operation.operands)
        for value in (*operands, *graph.outputs):
            if value is not None and not value.is_constant and value not in made:
                found.setdefault(value)
    return list(found)


def _take_in(graph: Graph, captured: Sequence[Value]) -> None:
    """Give a body inputs of its own for values from around it."""
    inner = {value: Value(value.dtype, value.shape, quantization=value.quantization) for value in captured}
    graph.inputs.extend(inner.values())
    graph.replace_uses(inner)
