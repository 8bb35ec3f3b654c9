"""The parts of a layout rule: ports, edits, variants. Pure data; nothing here changes a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import LayoutoptError, PassFailedError
from layoutopt.ir.values import Shape, known_shape
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.costs.objectives import NOTHING, InnerCost

AttributeValue = int | str | tuple[int, ...]


class Port(NamedTuple):
    """One operand or one result of a node."""

    result: bool
    index: int  # type: ignore[assignment]  # not the method of a tuple

    def value(self, node: ir.Node) -> ir.Value:
        """Return the value at this port of ``node``, which must not be an empty optional operand."""
        value = node.outputs[self.index] if self.result else node.inputs[self.index]
        if value is None:
            raise ValueError(f"{self} of node {node.name!r} ({node.op_type}) is empty")
        return value

    def shape(self, node: ir.Node) -> Shape:
        """Return the static shape of the value here."""
        return known_shape(self.value(node))


def operand(index: int) -> Port:
    """Return the port of an operand of a node."""
    return Port(result=False, index=index)


def result(index: int = 0) -> Port:
    """Return the port of a result of a node."""
    return Port(result=True, index=index)


PhysicalLayouts = Mapping[Port, PhysicalLayout]
"""For each port that carries a layout, how its value is stored.

A layout may be longer than the value's rank: leading axes of size 1 raise the value then, as broadcasting does.
"""

Known = Callable[[Port], Collection[PhysicalLayout]]
"""The physical layouts found so far at a port."""


class Take(NamedTuple):
    """Reorder a constant operand offline: ``indices`` along ``axis``."""

    operand: int
    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """The changes to a node by which it runs under a variant.

    Attributes:
        operator: the operator of the NHWC dialect that it becomes; None keeps it.
        attributes: attributes to set.
        operands: constant operands to replace, by index.
        takes: constant operands to reorder.
        sizes: stored shapes that operands and results must have, where not those of their physical layouts.
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
        physical layouts: how the value at each port of the group is stored.
        edits: what it takes.
        inner: what the target does inside the operator in this form.
    """

    layouts: PhysicalLayouts
    edits: tuple[Edit, ...] = ()
    inner: InnerCost = NOTHING

    def mode_order(self, port: Port) -> ModeOrder:
        """Return the layout at ``port``."""
        return self.layouts[port].mode_order

    def sizes(self, port: Port) -> Shape:
        """Return the stored shape at ``port``."""
        asked = (edit.sizes[port] for edit in self.edits if port in edit.sizes)
        return next(asked, self.layouts[port].sizes)


@contextmanager
def node_context(node: ir.Node) -> Iterator[None]:
    """Let an error name the ``node`` that it is about."""
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


def lifted(shape: Shape, rank: int) -> Shape:
    """Return ``shape`` raised to ``rank`` by leading axes of size 1."""
    return (1,) * (rank - len(shape)) + shape
