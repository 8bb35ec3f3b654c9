"""The facts about a graph that are kept while its operations are rewritten on integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid


@dataclass(slots=True)
class RewriteState:
    """The facts about a graph that are kept while it is rewritten.

    Attributes:
        readers: of each value, the operations that the graph had; None for a caller.
        integers: of each value that a DEQUANTIZE makes, the integers it is made of.
        wanted: of each value that QUANTIZE alone reads, the integers it makes.
        operations: what the graph will have.
    """

    readers: Mapping[Value, Sequence[Operation | None]]
    integers: dict[Value, Value] = field(default_factory=dict)
    wanted: dict[Value, Value] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def emit(self, operation: Operation, operands: Mapping[int, Value], *results: Value) -> None:
        """Record an operation with other operands, by their positions, and other results."""
        every = [operands.get(place, operand) for place, operand in enumerate(operation.operands)]
        made = Operation(operation.code, every, list(results), operation.options, scope=operation.scope)
        self._append(made)

    def convert(self, code: str, source: Value, result: Value, scope: str) -> None:
        """Record a QUANTIZE or a DEQUANTIZE."""
        self._append(Operation(code, [source], [result], {}, scope=scope))

    def _append(self, operation: Operation) -> None:
        for result in operation.results:
            result.producer = operation
        self.operations.append(operation)

    def emit_before_dequantize(
        self, operation: Operation, operands: Mapping[int, Value], steps: QuantizationGrid
    ) -> None:
        """Record an operation on integers, and a DEQUANTIZE of each result."""
        reals = operation.results
        results = [int8_like(real, steps) for real in reals]
        self.emit(operation, operands, *results)
        for result, real in zip(results, reals, strict=True):
            self.integers[real] = result
            self.convert("DEQUANTIZE", result, real, operation.scope)

    def source(self, operation: Operation, index: int) -> Value | None:
        """Return the integers after an operand; None where there are none."""
        operand = operation.operand(index)
        return None if operand is None else self.integers.get(operand)

    def sources(self, operation: Operation) -> list[Value | None]:
        """Return the integers after all operands."""
        return [self.source(operation, index) for index in range(len(operation.operands))]

    def target(self, operation: Operation) -> Value | None:
        """Return the integers that the only result is quantized to; None where there are none."""
        return self.wanted.get(operation.results[0])


def int8_like(real: Value, steps: QuantizationGrid) -> Value:
    """Return a new value of INT8 of the shape of another one."""
    return Value(DType.INT8, real.shape, quantization=steps.quantization)
