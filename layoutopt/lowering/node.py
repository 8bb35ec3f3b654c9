"""An ONNX node as a lowering sees it, and the registry that lowerings enter themselves in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import onnx_ir as ir

from layoutopt.errors import UnsupportedOperatorError
from layoutopt.lowering.kernel_types import KernelTypes
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Value


class TensorSequence(tuple[Any, ...]):
    """A sequence: values that are one operand while the graph is lowered."""


class OptionalValue(TensorSequence):
    """An optional: one value, or none."""


Operand: TypeAlias = "Value | TensorSequence"
Result: TypeAlias = "Value | TensorSequence | Sequence[Value | TensorSequence]"
Body: TypeAlias = "Callable[[ir.Graph, Mapping[ir.Value, Operand]], list[Operand]]"
"""Lowers a subgraph of a node, given its inputs; it sees the values around the node."""
Lowering: TypeAlias = "Callable[[Node], Result]"
_L = TypeVar("_L", bound="Callable[[Node], Result]")

_LOWERINGS: dict[tuple[str, str], Lowering] = {}
_KERNEL_TYPES: dict[tuple[str, str], KernelTypes] = {}


def lowers(*operators: str, domain: str = "", types: KernelTypes | None = None) -> Callable[[_L], _L]:
    """Enter a function as the lowering of ``operators``.

    Args:
        operators: by name.
        domain: of the operators.
        types: what the kernels take; without it the operators compute with floats in float32, and the lowering sees to
            integers itself.
    """

    def enter(lowering: _L) -> _L:
        for operator in operators:
            assert (domain, operator) not in _LOWERINGS, f"two lowerings for {operator}"
            _LOWERINGS[domain, operator] = lowering
            if types is not None:
                _KERNEL_TYPES[domain, operator] = types
        return lowering

    return enter


def lowering_of(domain: str, operator: str) -> Lowering | None:
    """Return the lowering of an operator; None where there is none."""
    return _LOWERINGS.get(("" if domain == "ai.onnx" else domain, operator))


def kernel_types_of(domain: str, operator: str) -> KernelTypes | None:
    """Return the types that the lowering of an operator has stated; None where it has not."""
    return _KERNEL_TYPES.get(("" if domain == "ai.onnx" else domain, operator))


def _no_body(graph: ir.Graph, _: Mapping[ir.Value, Operand]) -> list[Operand]:
    raise UnsupportedOperatorError(f"graph {graph.name}: it cannot be lowered here")


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node with its operands.

    Attributes:
        operator: the operator's name.
        name: the node's name, or that of its first result.
        opset: version of the model's default domain.
        attributes: numbers, strings, lists of them; tensors as arrays, graphs as `ir.Graph`.
        operands: an optional operand that is left out is None.
        results: how many results are read.
        declared: the shape of each result as the model states it; None where it does not, or not in full.
        body: lowers a subgraph.
        resizable: whether the operations must be the same at other sizes of the operands.
        share_bodies: whether several operations may run the same body.
    """

    operator: str
    name: str
    opset: int
    attributes: Mapping[str, object]
    operands: tuple[Operand | None, ...]
    results: int = 1
    declared: tuple[tuple[int, ...] | None, ...] = ()
    body: Body = field(default=_no_body, repr=False)
    resizable: bool = False
    share_bodies: bool = False

    @property
    def x(self) -> Value:
        """Return the first operand."""
        return self[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the static shape of the first operand.

        Raises:
            UnknownShapeError: it depends on values at run time.
        """
        return self.x.sizes

    @property
    def given(self) -> list[Value]:
        """Return the operands that are there."""
        return [self[index] for index, operand in enumerate(self.operands) if operand is not None]

    def __getitem__(self, index: int) -> Value:
        operand = self.optional(index)
        if operand is None:
            raise self.unsupported(f"operand {index} is missing")
        return operand

    def optional(self, index: int) -> Value | None:
        """Return operand ``index``, or None if it is left out.

        Raises:
            UnsupportedOperatorError: it is a sequence or an optional.
        """
        operand = self.operands[index] if index < len(self.operands) else None
        if isinstance(operand, TensorSequence):
            raise self.unsupported(f"operand {index} is a sequence or an optional")
        return operand

    def constant(self, index: int) -> Array:
        """Return the elements of operand ``index``, which must be a constant.

        Raises:
            UnsupportedOperatorError: it is known at run time only.
        """
        operand = self[index]
        if operand.data is None:
            raise self.unsupported(f"operand {index} must be a constant")
        return operand.data

    def known(self, index: int) -> bool:
        """Return whether operand ``index`` is there and a constant."""
        operand = self.optional(index)
        return operand is not None and operand.is_constant

    def result_shape(self, index: int = 0) -> tuple[int, ...] | None:
        """Return the shape that the model states for a result, in full; else None."""
        return self.declared[index] if index < len(self.declared) else None

    def optional_ints(self, index: int) -> list[int] | None:
        """Return the elements of operand ``index`` as integers; None if it is left out."""
        return None if self.optional(index) is None else [int(each) for each in self.constant(index).reshape(-1)]

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is one integer."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)
        return value

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is one number."""
        value = self.attributes.get(name, default)
        assert isinstance(value, (int, float))
        return value

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a string."""
        value = self.attributes.get(name, default)
        assert isinstance(value, str)
        return value

    def ints(self, name: str) -> list[int] | None:
        """Return an attribute that is a list of integers; None if it is not set."""
        value = self.attributes.get(name)
        assert value is None or isinstance(value, (list, tuple))
        return None if value is None else [int(each) for each in value]

    def graph(self, name: str) -> ir.Graph:
        """Return an attribute that is a graph."""
        value = self.attributes[name]
        assert isinstance(value, ir.Graph)
        return value

    def axis(self, default: int) -> int:
        """Return the attribute ``axis``, counted from the front."""
        return self.integer("axis", default) % max(len(self.shape), 1)

    def unsupported(self, why: str) -> UnsupportedOperatorError:
        """Return the error to raise for a node that cannot be lowered."""
        return UnsupportedOperatorError(f"node {self.name} ({self.operator}, opset {self.opset}): {why}")


def constant(array: Any, dtype: DType | None = None) -> Value:
    """Return a constant of what NumPy makes an array of."""
    found = np.asarray(array)
    return Value.constant(found if dtype is None else found.astype(dtype.numpy))


def dtype_of(code: int) -> DType:
    """Return the element type that ONNX has under a number.

    Raises:
        TypeError: no tensor of a .tflite has it.
    """
    return DType.of(ir.DataType(code).numpy())


def scalar(x: Value) -> Value:
    """Return the only element of ``x`` as a value without axes."""
    return tfl.reshape(x, ())


def axis_size(x: Value, axis: int) -> Value:
    """Return the size of an axis as a value without axes in INT32: a constant where it is known now."""
    size = None if x.shape is None else x.shape[axis]
    return constant(np.int32(size)) if size is not None else tfl.shape_of(x)[axis]


def attributes_of(node: ir.Node) -> dict[str, object]:
    """Return the attributes of a node by name, tensors as arrays."""
    return {name: _plain(attribute) for name, attribute in node.attributes.items()}


def _plain(attribute: ir.Attr) -> object:
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    value: object = attribute.value
    return list(value) if isinstance(value, tuple) else value
