"""Chains of Reshapes and Transposes, each told as one rearrangement of the digits of a flat index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir.perm import Perm
from layoutopt.layout.layouts import Digit, Layout
from layoutopt.layout.rules import VIEWS, is_view
from layoutopt.layout.variants import known_shape


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """A value that holds the elements of another one in a different order.

    Attributes:
        source: the other one.
        first: the node of the chain that reads it.
        digits: of the flat index of ``source``, outermost first, as they are stored now.
    """

    source: ir.Value
    first: ir.Node
    digits: tuple[Digit, ...]

    @property
    def layout(self) -> Layout:
        """``digits``, merged."""
        axes = sorted(self.digits, reverse=True)
        return Layout.of([digit.size for digit in axes], tuple(map(axes.index, self.digits)))

    def along(self, axis: int) -> tuple[int, ...] | None:
        """Which index of ``source`` each index along ``axis`` is; None where other axes take part, or none does."""
        shape = known_shape(self.source)
        inner = prod(shape[axis + 1 :])
        outer = inner * shape[axis]
        digits = [piece for digit in self.digits for half in _cut(digit, inner) for piece in _cut(half, outer)]
        above = sorted((digit for digit in digits if digit.stride >= outer), reverse=True)
        moved = [digit for digit in digits if inner <= digit.stride < outer]
        below = sorted((digit for digit in digits if digit.stride < inner), reverse=True)
        if digits != [*above, *moved, *below] or moved == sorted(moved, reverse=True):
            return None
        if prod(digit.size for digit in below) != inner or prod(digit.size for digit in moved) != shape[axis]:
            return None  # a digit straddles the axis
        indices = np.zeros(1, np.int64)
        for digit in moved:
            indices = np.add.outer(indices, np.arange(digit.size) * (digit.stride // inner)).reshape(-1)
        return tuple(indices.tolist())


def rearrangements(result: ir.Value) -> Iterator[Rearrangement]:
    """Of which values ``result`` is a rearrangement, nearest first.

    The values in between are read by nobody else, so the whole chain is dead once nobody reads ``result``.
    """
    chain: list[ir.Node] = []
    value = result
    while (node := value.producer()) is not None and is_view(node) and (not chain or node.graph is chain[0].graph):
        source = node.inputs[0]
        assert source is not None
        chain.insert(0, node)
        if (digits := _composed(chain)) is not None:
            yield Rearrangement(source, node, digits)
        if len(source.uses()) > 1 or source.is_graph_output():
            return
        value = source


def _composed(chain: Sequence[ir.Node]) -> tuple[Digit, ...] | None:
    """The digits of what the first node of ``chain`` reads as the last one stores them; None where one straddles."""
    shape = _shape(chain[0])
    digits: tuple[Digit, ...] | None = (Digit(1, prod(shape)),)
    for node in chain:
        perm = VIEWS[node.op_type](node)
        if perm is not None and digits is not None:
            digits = _transposed(digits, _shape(node), perm)
    return digits


def _shape(node: ir.Node) -> tuple[int, ...]:
    source = node.inputs[0]
    assert source is not None
    return known_shape(source)


def _transposed(digits: Sequence[Digit], shape: Sequence[int], perm: Perm) -> tuple[Digit, ...] | None:
    """The digits behind a Transpose of a tensor of ``shape`` that stores ``digits``; None where one straddles axes."""
    left = list(digits)
    axes: list[list[Digit]] = []
    for size in reversed(shape):
        axis: list[Digit] = []
        while size > 1:
            digit = left.pop()
            if max(size, digit.size) % min(size, digit.size):
                return None
            if digit.size > size:
                left.append(Digit(digit.stride * size, digit.size // size))
                digit = Digit(digit.stride, size)
            axis.insert(0, digit)
            size //= digit.size
        axes.insert(0, axis)
    return tuple(digit for axis in perm for digit in axes[axis])


def _cut(digit: Digit, border: int) -> tuple[Digit, ...]:
    """``digit`` in two pieces if ``border`` lies inside it and divides it."""
    top = digit.stride * digit.size
    if not digit.stride < border < top or border % digit.stride or top % border:
        return (digit,)
    return Digit(border, top // border), Digit(digit.stride, border // digit.stride)
