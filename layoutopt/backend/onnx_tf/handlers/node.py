"""What a handler sees of an ONNX node, and the registry that handlers enter themselves in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from layoutopt.errors import UnsupportedOperatorError

Array: TypeAlias = npt.NDArray[Any]
"""Of any element type: the model's."""
Operand: TypeAlias = "Array | tf.Tensor"
"""A constant is an array, so that shapes and weights can be worked on before TensorFlow sees them."""
Handler: TypeAlias = "Callable[[Node], Operand | Sequence[Operand]]"

_HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(*operators: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Enters a function as the handler of ``operators``."""

    def enter(handler: Handler) -> Handler:
        for operator in operators:
            assert (domain, operator) not in _HANDLERS, f"two handlers for {operator}"
            _HANDLERS[domain, operator] = handler
        return handler

    return enter


def handler_of(domain: str, operator: str) -> Handler | None:
    """Our handler, or None if onnx-tf's own is to be asked."""
    return _HANDLERS.get(("" if domain == "ai.onnx" else domain, operator))


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node with its operands.

    Attributes:
        operator: the operator's name.
        name: the node's name, or that of its first result.
        opset: version of the model's default domain.
        attributes: as in the file; strings are decoded.
        operands: an optional operand that is left out is None.
        results: how many results are read.
        declared: the shape of each result as the model states it; None where it does not, or not in full.
    """

    operator: str
    name: str
    opset: int
    attributes: Mapping[str, object]
    operands: tuple[Operand | None, ...]
    results: int = 1
    declared: tuple[tuple[int, ...] | None, ...] = ()

    @property
    def x(self) -> Operand:
        """The first operand."""
        return self[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The static shape of the first operand."""
        return shape_of(self.x)

    @property
    def given(self) -> list[Operand]:
        """The operands that are there."""
        return [operand for operand in self.operands if operand is not None]

    def __getitem__(self, index: int) -> Operand:
        operand = self.optional(index)
        if operand is None:
            raise self.unsupported(f"operand {index} is missing")
        return operand

    def optional(self, index: int) -> Operand | None:
        """Operand ``index``, or None if it is left out."""
        return self.operands[index] if index < len(self.operands) else None

    def constant(self, index: int) -> Array:
        """Operand ``index``, which must be known now."""
        operand = self[index]
        if not isinstance(operand, np.ndarray):
            raise self.unsupported(f"operand {index} must be a constant")
        return operand

    def known(self, index: int) -> bool:
        """Whether operand ``index`` is there and known now."""
        return isinstance(self.optional(index), np.ndarray)

    def result_shape(self, index: int = 0) -> tuple[int, ...] | None:
        """The shape that the model states for a result, in full; else None."""
        return self.declared[index] if index < len(self.declared) else None

    def optional_ints(self, index: int) -> list[int] | None:
        """Operand ``index`` as integers; None if it is left out."""
        return None if self.optional(index) is None else [int(i) for i in self.constant(index).reshape(-1)]

    def integer(self, name: str, default: int) -> int:
        """An attribute that is one integer."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)
        return value

    def number(self, name: str, default: float) -> float:
        """An attribute that is one number."""
        value = self.attributes.get(name, default)
        assert isinstance(value, (int, float))
        return value

    def text(self, name: str, default: str) -> str:
        """An attribute that is a string."""
        value = self.attributes.get(name, default)
        assert isinstance(value, str)
        return value

    def ints(self, name: str) -> list[int] | None:
        """An attribute that is a list of integers; None if it is not set."""
        value = self.attributes.get(name)
        assert value is None or isinstance(value, (list, tuple))
        return None if value is None else [int(i) for i in value]

    def axis(self, default: int) -> int:
        """The attribute ``axis``, counted from the front."""
        return self.integer("axis", default) % max(len(self.shape), 1)

    def unsupported(self, why: str) -> UnsupportedOperatorError:
        """The error to raise for a node that cannot be translated."""
        return UnsupportedOperatorError(f"node {self.name} ({self.operator}, opset {self.opset}): {why}")


class UnknownShapeError(Exception):
    """A handler needs a static shape, and there is none."""


def is_static(operand: Operand) -> bool:
    """Whether the shape is known in full."""
    return isinstance(operand, np.ndarray) or operand.shape.is_fully_defined()


def shape_of(operand: Operand) -> tuple[int, ...]:
    """The static shape.

    Raises:
        UnknownShapeError: it depends on values at run time.
    """
    if not is_static(operand):
        raise UnknownShapeError
    return tuple(int(size) for size in operand.shape)


def permuted(operand: Operand, axes: tuple[int, ...]) -> Operand:
    """A Transpose, done now for a constant."""
    if isinstance(operand, np.ndarray):
        return np.ascontiguousarray(operand.transpose(axes))
    return tf.transpose(operand, axes)


def reshaped(operand: Operand, shape: tuple[int, ...]) -> Operand:
    """A Reshape, done now for a constant; nothing where the shape is that already."""
    if shape_of(operand) == shape:
        return operand
    return operand.reshape(shape) if isinstance(operand, np.ndarray) else tf.reshape(operand, shape)


def type_of(operand: Operand) -> tf.DType:
    """TensorFlow's element type, of an array too."""
    return tf.as_dtype(operand.dtype)


def numpy_type(operand: Operand) -> type[np.generic]:
    """NumPy's element type, of a tensor too."""
    dtype: type[np.generic] = type_of(operand).as_numpy_dtype
    return dtype


def decoded_attributes(proto: onnx.NodeProto) -> dict[str, object]:
    """A node's attributes by name, strings decoded."""

    def decode(value: object) -> object:
        if isinstance(value, bytes):
            return value.decode()
        return [decode(item) for item in value] if isinstance(value, list) else value

    return {attribute.name: decode(onnx.helper.get_attribute_value(attribute)) for attribute in proto.attribute}
