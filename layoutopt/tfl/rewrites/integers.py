"""Operators on integers for what lies between DEQUANTIZE and QUANTIZE.

A quantized model is lowered to operators on real numbers between QUANTIZE and DEQUANTIZE, which compute what the model
says. Here each one that LiteRT has an INT8 kernel for takes the integers themselves. Scales and zero points stay those
of the model, so a result differs from the real one by the rounding of that kernel, mostly by nothing and at most by one
step. What has no such kernel, or would lose more, stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.grids import steps_of
from layoutopt.tfl.rewrites.integer_interface import give_integers, take_integers
from layoutopt.tfl.rewrites.integer_kernels import KERNELS, MOVEMENTS, activates
from layoutopt.tfl.rewrites.rewrite_state import RewriteState


def use_integer_kernels(graph: Graph, *, floats: Collection[Operation] = ()) -> None:
    """Let operators between DEQUANTIZE and QUANTIZE take INT8, in this graph and in the bodies within it.

    Activations should be fused before: an operator whose result an activation reads is not followed by QUANTIZE.

    Args:
        graph: to be rewritten.
        floats: operations that stay as they are.
    """
    take_integers(graph)
    for each in graph.all_graphs():
        if any(operation.code in ("QUANTIZE", "DEQUANTIZE") for operation in each.operations):
            eliminate_dead_code(each)
            _quantize_before_moving(each, floats)
            _Rewriter(each, floats).run()
    give_integers(graph)
    eliminate_dead_code(graph)


def _quantize_before_moving(graph: Graph, floats: Collection[Operation]) -> None:
    """Put each QUANTIZE before what only moves its operand, which then moves bytes, and a layer before it gives them.

    Both orders give the same integers. What leaves out elements stays before: rounding them all would take longer.
    """
    readers = graph.readers()
    operations: list[Operation] = []
    for operation in reversed(graph.operations):
        operations.append(operation)
        quantize = operation
        while (moved := _moved(quantize, readers, floats)) is not None:
            moving = moved.producer
            assert moving is not None
            data = MOVEMENTS[moving.code]
            source, target = moving[data], quantize.result
            integers = Value(target.dtype, source.shape, quantization=target.quantization)
            operands = [integers if at == data else operand for at, operand in enumerate(moving.operands)]
            target.producer = Operation(moving.code, operands, [target], moving.options, scope=moving.scope)
            integers.producer = Operation("QUANTIZE", [source], [integers], {}, scope=quantize.scope)
            operations[-1:] = [target.producer, integers.producer]
            quantize = integers.producer
    graph.operations = operations[::-1]
    eliminate_dead_code(graph)


def _moved(
    quantize: Operation, readers: Mapping[Value, Sequence[Operation | None]], floats: Collection[Operation]
) -> Value | None:
    """Return the operand of a QUANTIZE that nothing else reads, and that is moved without loss; None for any other."""
    if quantize.code != "QUANTIZE" or not _is_grid(quantize.result):
        return None
    value = quantize[0]
    moving = value.producer
    if moving is None or moving in floats or moving.code not in MOVEMENTS or len(moving.results) > 1:
        return None
    source = moving[MOVEMENTS[moving.code]]
    if not (value.is_static and source.is_static) or source.is_constant or source.count > value.count:
        return None
    movable = len(readers[value]) == 1 and value.dtype is DType.FLOAT32 and not activates(moving)
    return value if movable else None


class _Rewriter:
    """Walk a graph once, in its order."""

    def __init__(self, graph: Graph, floats: Collection[Operation]) -> None:
        self._graph, self._floats = graph, floats
        self._same: dict[Value, Value] = {}
        """Integers that others take the place of."""
        self._state = RewriteState(graph.readers())

    def run(self) -> None:
        """Rewrite the graph."""
        self._find_wanted()
        for operation in self._graph.operations:
            self._visit(operation)
        self._graph.operations = self._state.operations
        self._graph.replace_uses(self._same)
        eliminate_dead_code(self._graph)

    def _find_wanted(self) -> None:
        """Find values that QUANTIZE alone reads, by one scale and zero point."""
        for value, readers in self._state.readers.items():
            quantizing = [each for each in readers if each is not None and each.code == "QUANTIZE"]
            if len(quantizing) < len(readers) or value.dtype is not DType.FLOAT32:
                continue
            results = [each.result for each in quantizing]
            if all(_is_grid(result) for result in results) and len({steps_of(result) for result in results}) == 1:
                self._state.wanted[value] = results[0]
                self._same.update((result, results[0]) for result in results[1:])

    def _visit(self, operation: Operation) -> None:
        state, code = self._state, operation.code
        if code == "DEQUANTIZE" and _is_grid(operation[0]):
            state.integers[operation.result] = self._same.get(operation[0], operation[0])
            state.operations.append(operation)
        elif code == "QUANTIZE" and operation[0].dtype is DType.FLOAT32 and _is_grid(operation.result):
            self._quantize(operation)
        elif operation in self._floats or code not in KERNELS or not KERNELS[code](state, operation):
            state.operations.append(operation)

    def _quantize(self, operation: Operation) -> None:
        source, result = operation[0], operation.result
        if result in self._same or result.producer is not operation:
            return  # somebody computes it already
        integers = self._state.integers.get(source)
        if integers is not None and steps_of(integers) == steps_of(result):
            self._same[result] = integers
            return
        if integers is not None:
            operation.operands = [integers]
        self._state.operations.append(operation)


def _is_grid(value: Value) -> bool:
    """Return whether a value is of INT8 with one scale and zero point."""
    return value.dtype is DType.INT8 and value.quantization is not None and len(value.quantization.scales) == 1
