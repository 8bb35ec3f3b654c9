"""LSTM, GRU and RNN: a step reads its slice of the input and writes its slice of the output in any order.

The input and the output are stored independently of each other. States stay as ONNX has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.perm import Perm
from layoutopt.ir.values import is_constant, size_in_bytes
from layoutopt.layout.algebra.modes import merge_modes
from layoutopt.layout.algebra.physical import Dim, PhysicalLayout
from layoutopt.layout.costs.objectives import NOTHING, InnerCost
from layoutopt.layout.rules.variants import Edit, Known, PhysicalLayouts, Port, Take, operand, result

INPUT, OUTPUT = operand(0), result(0)
_FEATURES, _DIRECTIONS = 2, 1
_WEIGHTS = 1
"""The operand of shape (directions, gates, features), by which the input is multiplied."""


def sequences(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Time, batch and directions are whole, in any order, with the features after them; states are natural.

    The features of the input come in any order that the weights can absorb.
    """
    del ports, known
    if integer(node, "layout", 0):  # the batch comes first in states too
        return
    if port not in (INPUT, OUTPUT):
        if layout.mode_order == PhysicalLayout.natural(layout.shape).mode_order:
            yield {port: PhysicalLayout.natural(layout.shape)}
        return
    outer, features = _parts(layout)
    last = len(layout.shape) - 1
    whole = all(dim == Dim.whole(dim.axis, layout.shape[dim.axis]) for dim in outer) and all(
        dim.axis == last for dim in features
    )
    if not whole:
        return
    in_order = not features or features == (Dim.whole(last, layout.shape[last]),)
    if in_order or (port == INPUT and is_constant(operand(_WEIGHTS).value(node))):
        yield {port: layout}


def separate(node: ir.Node) -> bool:
    """Return whether input, output and states are stored independently of each other, as they are in all nodes."""
    del node
    return True


def sequence_orders(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The order of the axes of input and output, which the operator of the NHWC dialect names."""
    if INPUT in layouts:
        return _edit(node, INPUT, "input_order", layouts[INPUT])
    return _edit(node, OUTPUT, "output_order", layouts[OUTPUT]) if OUTPUT in layouts else Edit()


def stacking(node: ir.Node, layouts: PhysicalLayouts) -> InnerCost:
    """Outputs of two directions that are stacked side by side take longer where they are short."""
    layout = layouts.get(OUTPUT)
    if layout is None or layout.shape[_DIRECTIONS] == 1:
        return NOTHING
    pieces = prod(layout.sizes[: layout.positions((_DIRECTIONS,))[0] + 1])
    return InnerCost(pieces=pieces, piece=max(1, size_in_bytes(OUTPUT.value(node)) // pieces))


def _edit(node: ir.Node, port: Port, attribute: str, layout: PhysicalLayout) -> Edit:
    order = _order(layout)
    sizes = tuple(layout.shape[axis] for axis in order)
    indices = tuple(index for dim in _parts(layout)[1][:1] for index in dim.indices)
    takes = [Take(_WEIGHTS, _FEATURES, indices)] if port == INPUT and indices != tuple(range(len(indices))) else []
    return Edit(operator=node.op_type, attributes={attribute: order}, takes=takes, sizes={port: sizes})


def _order(layout: PhysicalLayout) -> Perm:
    """Return the axes as they are stored, with the features last; those of size 1 first, unless all are in order."""
    last = len(layout.shape) - 1
    stored = tuple(dim.axis for dim in _parts(layout)[0])
    if list(stored) == sorted(stored):
        return tuple(range(last + 1))
    ones = tuple(axis for axis in range(last) if axis not in stored)
    return (*ones, *stored, last)


def _parts(layout: PhysicalLayout) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    """Return the stored dimensions of more than one element: all until the features begin, and all from there on.

    The features are one dimension, also where they are stored in several.
    """
    last = len(layout.shape) - 1
    dims = [dim for dim in layout.dims if dim.modes]
    place = next((index for index, dim in enumerate(dims) if dim.axis == last), len(dims))
    features = dims[place:]
    if all(dim.axis == last for dim in features) and features:
        features = [Dim(last, merge_modes(mode for dim in features for mode in dim.modes))]
    return tuple(dims[:place]), tuple(features)
