"""What a layout rule is made of: ports, orders, edits, variants. Pure data; nothing here changes a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.edit import constant_of
from layoutopt.ir.perm import Perm, is_identity
from layoutopt.layout.layouts import Layout

AttributeValue = int | tuple[int, ...]


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


Orders = Mapping[Port, Perm]
"""For each port that carries a layout, the order in which its axes are stored.

An order may be longer than the value's rank: the value is then raised by leading axes of size 1, as broadcasting does.
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """What changes in a node so that it runs under a variant.

    Attributes:
        operator: the operator of the NHWC dialect that it becomes; None keeps it.
        attributes: attributes to set.
        operands: constant operands to replace, by index.
    """

    operator: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    operands: Mapping[int, npt.NDArray[np.integer]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way for a group of ports to run without moving data.

    Attributes:
        orders: the axis order at each port of the group.
        edits: what it takes.
        cost: bytes that the target moves inside the operator all the same.
    """

    orders: Orders
    edits: tuple[Edit, ...] = ()
    cost: int = 0

    @property
    def natural(self) -> bool:
        """Whether no port is permuted."""
        return all(map(is_identity, self.orders.values()))

    def layout(self, node: ir.Node, port: Port) -> Layout:
        """The layout at ``port`` of ``node``."""
        order = self.orders[port]
        return Layout.of(lifted(known_shape(port.value(node)), len(order)), order)


def static_shape(value: ir.Value) -> tuple[int, ...] | None:
    """The shape of ``value``; None where the rank or a dimension is unknown, or where there is no element."""
    if value.shape is None or not value.shape.is_static():
        return None
    shape = value.shape.numpy()
    return shape if prod(shape) else None


def known_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of a ``value`` that was found to be static before."""
    if (shape := static_shape(value)) is None:
        raise ValueError(f"the shape of {value.name!r} is not static")
    return shape


def lifted(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """``shape`` raised to ``rank`` by leading axes of size 1."""
    return (1,) * (rank - len(shape)) + shape


def size_in_bytes(value: ir.Value) -> int:
    """How many bytes a ``value`` of static shape takes; elements of no fixed size count as 4."""
    bits = value.dtype.bitwidth if value.dtype not in (None, ir.DataType.UNDEFINED, ir.DataType.STRING) else 32
    return -(-prod(known_shape(value)) * bits // 8)


def is_constant(value: ir.Value) -> bool:
    """Whether ``value`` is known offline and nobody outside can set it."""
    return constant_of(value) is not None
