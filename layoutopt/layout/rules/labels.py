"""The labels of a product's axes, as in an einsum, and the part that each of them has in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import permutations

import onnx_ir as ir

from layoutopt.ir.values import Shape, is_constant
from layoutopt.layout.algebra.modes import Mode
from layoutopt.layout.algebra.physical import Dim, PhysicalLayout
from layoutopt.layout.rules.variants import Port, operand, result

LEFT, RIGHT, RESULT = operand(0), operand(1), result()

Block = tuple[tuple[int, tuple[Mode, ...]], ...]
"""Neighbouring stored dimensions: for each, its label and the modes of that label's index."""


class Role(Enum):
    """The roles of labels in a product."""

    BATCH = auto()
    ROW = auto()
    COLUMN = auto()
    SUM = auto()


Blocks = Mapping[Role, Block]
"""The storage of the labels of each role."""


_INNER = {LEFT: (Role.ROW, Role.SUM), RIGHT: (Role.SUM, Role.COLUMN), RESULT: (Role.ROW, Role.COLUMN)}
"""The roles after the batch at each port."""


@dataclass(frozen=True, slots=True)
class ProductLabels:
    """The labels of one MatMul.

    Attributes:
        shapes: of each port.
        labels: for each port, the label of each axis.
        roles: of each label.
    """

    shapes: Mapping[Port, Shape]
    labels: Mapping[Port, tuple[int, ...]]
    roles: Mapping[int, Role]

    @classmethod
    def of(cls, node: ir.Node) -> ProductLabels:
        """Return the labels of ``node``; operands of lower rank lack the first ones of the batch.

        Where one operand repeats over a part of the batch, that is rows or columns, if the right operand is constant.
        """
        shapes = {port: port.shape(node) for port in _INNER}
        left, right, rank = (len(shapes[port]) for port in (LEFT, RIGHT, RESULT))
        row, column, summed = rank - 2, rank - 1, rank
        labels = {
            LEFT: (*range(rank - left, row), row, summed),
            RIGHT: (*range(rank - right, row), summed, column),
            RESULT: tuple(range(rank)),
        }
        roles = dict.fromkeys(range(rank - 1), Role.ROW) | {column: Role.COLUMN, summed: Role.SUM}
        roles |= dict.fromkeys(labels[RIGHT][:-2], Role.BATCH)
        if is_constant(RIGHT.value(node)):
            sizes = [dict(zip(labels[port], shapes[port], strict=True)) for port in (LEFT, RIGHT)]
            for label in labels[RIGHT][:-2]:
                in_left, in_right = (each.get(label, 1) for each in sizes)
                if in_left != in_right:
                    roles[label] = Role.ROW if in_right == 1 else Role.COLUMN
        return cls(shapes, labels, roles)

    def dims(self, port: Port, layout: PhysicalLayout) -> Block:
        """Return the dimensions of more than one element at ``port``, by label."""
        return tuple((self.labels[port][dim.axis], dim.modes) for dim in layout.dims if dim.modes)

    def layout(self, port: Port, dims: Iterable[tuple[int, tuple[Mode, ...]]]) -> PhysicalLayout:
        """Return the physical layout at ``port`` with ``dims``, less those of size 1 there."""
        shape = self.shapes[port]
        axes = {label: axis for axis, label in enumerate(self.labels[port]) if shape[axis] != 1}
        return PhysicalLayout(shape, tuple(Dim(axes[label], modes) for label, modes in dims if label in axes))

    def split(self, dims: Block, order: tuple[Role, Role]) -> Blocks | None:
        """Split ``dims`` into the batch and the two roles after it; None where these do not come in ``order``."""
        sequence = (Role.BATCH, *order)
        places = [sequence.index(self.roles[label]) for label, _ in dims]
        if places != sorted(places):
            return None
        return {role: tuple(dim for dim in dims if self.roles[dim[0]] is role) for role in sequence}

    def splits(self, port: Port, dims: Block) -> Iterator[Blocks]:
        """Split ``dims`` at ``port``, in both orders of the two roles after the batch."""
        found = (self.split(dims, (first, second)) for first, second in permutations(_INNER[port]))
        return (blocks for blocks in found if blocks is not None)

    def orders(self, port: Port, given: Block, seen: Mapping[Port, Sequence[Block]]) -> Iterator[Blocks]:
        """Yield all roles: as ``given`` at ``port``, and what that does not tell in every order seen elsewhere."""
        elsewhere = [blocks for other, all_ in seen.items() for dims in all_ for blocks in self.splits(other, dims)]
        batch = {label for label in self.labels[RESULT] if self.roles[label] is Role.BATCH and self._extent(label) != 1}
        for blocks in self.splits(port, given):
            (unknown,) = set(Role) - set(blocks)
            options = dict.fromkeys(other[unknown] for other in elsewhere if unknown in other)
            batches = (
                {blocks[Role.BATCH]: None}
                if labels_of(blocks[Role.BATCH]) == batch
                else dict.fromkeys(
                    other[Role.BATCH]
                    for other in elsewhere
                    if labels_of(other[Role.BATCH]) == batch
                    and tuple(dim for dim in other[Role.BATCH] if dim in blocks[Role.BATCH]) == blocks[Role.BATCH]
                )
            )
            for first in batches:
                for option in options:
                    yield {**blocks, Role.BATCH: first, unknown: option}

    def _extent(self, label: int) -> int:
        return self.shapes[RESULT][self.labels[RESULT].index(label)]


def labels_of(block: Block) -> set[int]:
    """Return the labels of neighbouring dimensions."""
    return {label for label, _ in block}
