"""What a layout rule is made of: ports, edits, variants. Pure data; nothing here changes a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import LayoutoptError, PassFailedError
from layoutopt.ir.edit import constant_of
from layoutopt.layout.layouts import Layout, Shape, Storage

AttributeValue = int | str | tuple[int, ...]


class Port(NamedTuple):
    """One operand or one result of a node."""

    result: bool
    index: int  # type: ignore[assignment]  # not the method of a tuple

    def value(self, node: ir.Node) -> ir.Value:
        """The value at this port of ``node``, which must not be an empty optional operand."""
        value = node.outputs[self.index] if self.result else node.inputs[self.index]
        if value is None:
            raise ValueError(f"{self} of node {node.name!r} ({node.op_type}) is empty")
        return value

    def shape(self, node: ir.Node) -> Shape:
        """The static shape of the value here."""
        return known_shape(self.value(node))


def operand(index: int) -> Port:
    """An operand of a node."""
    return Port(result=False, index=index)


def result(index: int = 0) -> Port:
    """A result of a node."""
    return Port(result=True, index=index)


Storages = Mapping[Port, Storage]
"""For each port that carries a layout, how its value is stored.

A storage may be longer than the value's rank: the value is then raised by leading axes of size 1, as broadcasting does.
"""

Known = Callable[[Port], Collection[Storage]]
"""The storages found so far at a port."""


class Take(NamedTuple):
    """Reorder a constant operand offline: ``indices`` along ``axis``."""

    operand: int
    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What changes in a node so that it runs under a variant.

    Attributes:
        operator: the operator of the NHWC dialect that it becomes; None keeps it.
        attributes: attributes to set.
        operands: constant operands to replace, by index.
        takes: constant operands to reorder.
        sizes: stored shapes that operands and results must have, where not those of their storages.
        inputs: the operands in their new order, by index; empty keeps them.
    """

    operator: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    operands: Mapping[int, npt.NDArray[np.generic]] = field(default_factory=dict)
    takes: Sequence[Take] = ()
    sizes: Mapping[Port, Shape] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """One way for a group of ports to run without moving data.

    Attributes:
        storages: how the value at each port of the group is stored.
        edits: what it takes.
        cost: bytes that the target moves inside the operator all the same.
    """

    storages: Storages
    edits: tuple[Edit, ...] = ()
    cost: int = 0

    def layout(self, port: Port) -> Layout:
        """The layout at ``port``."""
        return self.storages[port].layout

    def sizes(self, port: Port) -> Shape:
        """The stored shape at ``port``."""
        asked = (edit.sizes[port] for edit in self.edits if port in edit.sizes)
        return next(asked, self.storages[port].sizes)


@contextmanager
def blaming(node: ir.Node) -> Iterator[None]:
    """Lets an error name the ``node`` that it is about."""
    try:
        yield
    except LayoutoptError:
        raise
    except Exception as error:
        name = node.name or next((value.name for value in node.outputs), None)
        raise PassFailedError(
            f"no layout for {node.op_type} {name!r}: {type(error).__name__}: {error}",
            hint="Check the node's attributes and shapes; if they are right, please report the model.",
        ) from error


def static_shape(value: ir.Value) -> Shape | None:
    """The shape of ``value``; None where the rank or a dimension is unknown, or where there is no element."""
    if value.shape is None:
        return None
    dims = value.shape.dims
    return dims if {*map(type, dims)} <= {int} and 0 not in dims else None  # type: ignore[return-value]


def known_shape(value: ir.Value) -> Shape:
    """The shape of a ``value`` that was found to be static before."""
    if (shape := static_shape(value)) is None:
        raise ValueError(f"the shape of {value.name!r} is not static")
    return shape


def lifted(shape: Shape, rank: int) -> Shape:
    """``shape`` raised to ``rank`` by leading axes of size 1."""
    return (1,) * (rank - len(shape)) + shape


def bits_of(value: ir.Value) -> int:
    """Bits per element of ``value``; elements of no fixed size count as 32."""
    return value.dtype.bitwidth if value.dtype not in (None, ir.DataType.UNDEFINED, ir.DataType.STRING) else 32


def size_in_bytes(value: ir.Value) -> int:
    """How many bytes a ``value`` of static shape takes."""
    return -(-prod(known_shape(value)) * bits_of(value) // 8)


def is_constant(value: ir.Value) -> bool:
    """Whether ``value`` is known offline and nobody outside can set it."""
    return constant_of(value) is not None
