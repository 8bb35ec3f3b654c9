"""A graph of LiteRT's operators: values, operations, and graphs of them.

A value is a constant (it has ``data``), the result of an operation, or an input of a graph. Graphs are recorded with
`layoutopt.tfl.build`; operations stand in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, TypeAlias

from layoutopt.tfl.dtypes import Array, DType

Size: TypeAlias = "int | None"
"""Of one axis; None where it is known at run time only."""
Shape: TypeAlias = "tuple[Size, ...]"


class UnknownShapeError(Exception):
    """A static shape is asked for, and there is none."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """The real numbers that integers stand for: ``(integer - zero_point) * scale``.

    Attributes:
        scales: one for all elements, or one for each index of ``axis``.
        zero_points: as many.
        axis: of the scales, where there are several.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(eq=False, slots=True, weakref_slot=True)
class Value:
    """A tensor of a graph.

    Attributes:
        dtype: element type.
        shape: a size for each axis, None for one known at run time only; None where not even the rank is known.
        data: the elements of a constant, perhaps a view that is not contiguous; None for what is computed.
        name: in the .tflite; empty for one that is named after the operation that computes it.
        quantization: of integers that stand for real numbers.
        producer: the operation that computes it; None for constants and inputs.
    """

    dtype: DType
    shape: Shape | None
    data: Array | None = None
    name: str = ""
    quantization: Quantization | None = None
    producer: Operation | None = field(default=None, repr=False)

    record_infix: ClassVar[Callable[..., Value]]
    """Record an operator for one of Python's, by its code and operands; the recorder, which imports this, sets it."""
    record_slice: ClassVar[Callable[[Value, Any], Value]]
    """Record what ``value[index]`` is; `layoutopt.tfl.build` sets it."""

    __array_ufunc__ = None  # an array of NumPy on the left leaves the operation to this class

    @staticmethod
    def constant(array: Array) -> Value:
        """Make a constant of an array, which is not copied."""
        return Value(DType.of(array.dtype), tuple(array.shape), array)

    @property
    def is_constant(self) -> bool:
        """Return whether the elements are known now."""
        return self.data is not None

    @property
    def array(self) -> Array:
        """Return the elements of a constant."""
        assert self.data is not None, "only a constant has elements"
        return self.data

    @property
    def is_static(self) -> bool:
        """Return whether the shape is known in full."""
        return self.shape is not None and None not in self.shape

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the static shape.

        Raises:
            UnknownShapeError: it depends on values at run time.
        """
        if self.shape is None or None in self.shape:
            raise UnknownShapeError
        return self.shape  # type: ignore[return-value]

    @property
    def rank(self) -> int:
        """Return the number of axes.

        Raises:
            UnknownShapeError: it depends on values at run time.
        """
        if self.shape is None:
            raise UnknownShapeError
        return len(self.shape)

    @property
    def count(self) -> int:
        """Return the number of elements, of a static shape."""
        return prod(self.sizes)

    @property
    def size_in_bytes(self) -> int:
        """Return bytes of the elements in a file; sizes known at run time only count as 1."""
        return -(-prod(1 if size is None else size for size in self.shape or ()) * self.dtype.bits // 8)

    def __add__(self, other: Any) -> Value:
        return Value.record_infix("ADD", self, other)

    def __radd__(self, other: Any) -> Value:
        return Value.record_infix("ADD", other, self)

    def __sub__(self, other: Any) -> Value:
        return Value.record_infix("SUB", self, other)

    def __rsub__(self, other: Any) -> Value:
        return Value.record_infix("SUB", other, self)

    def __mul__(self, other: Any) -> Value:
        return Value.record_infix("MUL", self, other)

    def __rmul__(self, other: Any) -> Value:
        return Value.record_infix("MUL", other, self)

    def __truediv__(self, other: Any) -> Value:
        return Value.record_infix("DIV", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return Value.record_infix("DIV", other, self)

    def __neg__(self) -> Value:
        return Value.record_infix("NEG", self)

    def __lt__(self, other: Any) -> Value:
        return Value.record_infix("LESS", self, other)

    def __le__(self, other: Any) -> Value:
        return Value.record_infix("LESS_EQUAL", self, other)

    def __gt__(self, other: Any) -> Value:
        return Value.record_infix("GREATER", self, other)

    def __ge__(self, other: Any) -> Value:
        return Value.record_infix("GREATER_EQUAL", self, other)

    def __getitem__(self, index: Any) -> Value:
        return Value.record_slice(self, index)

    def __bool__(self) -> bool:
        raise TypeError("the truth of a value is known at run time only")


@dataclass(eq=False, slots=True)
class Operation:
    """One builtin operator with its operands.

    Attributes:
        code: its name in the schema, for example ``CONV_2D``.
        operands: in the schema's order; None for an optional one that is left out.
        results: what it computes.
        options: the fields of its options by name in snake case; members of enumerations by name.
        bodies: the graphs that control flow runs: of IF the branches, of WHILE the condition and the body. Several
            operations may run the same ones.
        scope: name of the ONNX node that it comes from, by which errors and tensors are named.
    """

    code: str
    operands: list[Value | None]
    results: list[Value]
    options: dict[str, Any]
    bodies: tuple[Graph, ...] = ()
    scope: str = ""

    @property
    def result(self) -> Value:
        """Return the only result."""
        (result,) = self.results
        return result

    def operand(self, index: int) -> Value | None:
        """Return an operand; None where it is left out."""
        return self.operands[index] if index < len(self.operands) else None

    def __getitem__(self, index: int) -> Value:
        operand = self.operand(index)
        assert operand is not None, f"{self.code} lacks operand {index}"
        return operand


@dataclass(eq=False, slots=True)
class Graph:
    """Operations in the order in which they run.

    Attributes:
        inputs: values that a caller gives.
        outputs: values that a caller gets.
        operations: what computes the outputs.
        name: in the .tflite.
    """

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    name: str = "main"

    def readers(self) -> dict[Value, list[Operation | None]]:
        """Return who reads each value, once per operand; None stands for the caller who gets an output."""
        found: dict[Value, list[Operation | None]] = {}
        for operation in self.operations:
            for operand in operation.operands:
                if operand is not None:
                    found.setdefault(operand, []).append(operation)
        for output in self.outputs:
            found.setdefault(output, []).append(None)
        return found

    def all_graphs(self) -> Iterator[Graph]:
        """Iterate over this graph and the bodies within it, at any depth; a body that several run comes once."""
        seen: set[Graph] = set()
        waiting = [self]
        while waiting:
            graph = waiting.pop()
            if graph not in seen:
                seen.add(graph)
                yield graph
                waiting.extend(body for each in reversed(graph.operations) for body in reversed(each.bodies))

    def all_operations(self) -> Iterator[Operation]:
        """Iterate over the operations of this graph and of the bodies within it."""
        for graph in self.all_graphs():
            yield from graph.operations

    def replace_uses(self, replacements: Mapping[Value, Value]) -> None:
        """Let everybody who reads a value read another one in its place."""

        def current(value: Value) -> Value:
            while (found := replacements.get(value)) is not None:
                value = found
            return value

        for operation in self.operations:
            operation.operands = [None if each is None else current(each) for each in operation.operands]
        self.outputs = [current(output) for output in self.outputs]


@dataclass(slots=True)
class Model:
    """A graph with the names by which a caller knows its inputs and outputs.

    Attributes:
        graph: the main graph.
        input_names: of the signature, in the order of the graph's inputs.
        output_names: of the signature, in the order of the graph's outputs.
    """

    graph: Graph
    input_names: Sequence[str]
    output_names: Sequence[str]
