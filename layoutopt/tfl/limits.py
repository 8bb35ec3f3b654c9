"""The operations of a graph that no kernel of LiteRT takes: they would be written, and fail when loaded or run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.opset import OpDef, definition


@dataclass(frozen=True, slots=True)
class Violation:
    """One operation that cannot run.

    Attributes:
        scope: name of the ONNX node that it comes from.
        code: of the operator.
        why: what kernels do not take, and what they do.
    """

    scope: str
    code: str
    why: str

    def __str__(self) -> str:
        return f"{self.scope or 'a node without a name'}: {self.code} {self.why}"


def violations(graph: Graph) -> list[Violation]:
    """Return the operations of a graph, and of the bodies in it, whose element type or rank no kernel takes."""
    return [
        Violation(operation.scope, operation.code, why)
        for operation in graph.all_operations()
        for why in _reasons(operation, definition(operation.code))
    ]


def takes_rank(code: str, value: Value, rank: int) -> bool:
    """Return whether the kernels of an operator take values of the type of ``value`` with so many axes."""
    limit = most_axes(value, definition(code))
    return limit is None or rank <= limit


def _reasons(operation: Operation, facts: OpDef) -> Iterator[str]:
    value = operation.results[0] if operation.code == "QUANTIZE" else operation.operand(facts.main)
    if value is None or facts.types is None or facts.quantized is None:
        return
    taken = facts.types | facts.quantized if value.quantization is not None else facts.types
    if value.dtype not in taken:
        quantized = "quantized " if value.quantization is not None else ""
        yield f"has no kernel for {quantized}{value.dtype}, but for {', '.join(_names(taken))}"
    if (limit := most_axes(value, facts)) is not None and (rank := _rank(operation, facts)) > limit:
        yield f"has no kernel for {rank} axes, but for up to {limit}"


def _names(types: frozenset[DType]) -> list[str]:
    return [str(dtype) for dtype in DType if dtype in types]


def most_axes(value: Value, facts: OpDef) -> int | None:
    """Return the most axes that LiteRT takes as it runs by default, with XNNPACK, which takes float32."""
    return facts.xnnpack_rank if value.dtype is DType.FLOAT32 and facts.xnnpack_rank is not None else facts.max_rank


def _rank(operation: Operation, facts: OpDef) -> int:
    """Return the most axes of an operand that is computed or moved."""
    values = operation.operands if facts.main == 0 else [operation.operand(facts.main)]
    return max(len(value.shape) if value is not None and value.shape is not None else 0 for value in values)
