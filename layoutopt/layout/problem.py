"""The layout problem: pick one variant per group so that the fewest bytes are copied.

A *group* is a set of operands and results of one node that take a layout together. A *wire* is a value that somebody
produces and others read. Nothing here knows of ONNX: the solvers and the brute force of the tests share this form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a wire: which group, and which of the layouts of the wire each variant of the group takes there.

    Attributes:
        group: index of the group.
        layouts: for each variant of the group, an index into the layouts of the wire.
    """

    group: int
    layouts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """A value and its price.

    Attributes:
        source: the end that writes it.
        readers: the ends that read it.
        layouts: how many layouts it can have.
        cost: what one copy of it costs, in bytes; however many readers share the copy.
        forbidden: pairs (stored, read) of layouts between which no copy is possible.
    """

    source: Port
    readers: tuple[Port, ...]
    layouts: int
    cost: int
    forbidden: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Problem:
    """Groups and wires.

    Attributes:
        variants: for each group, the cost of each of its variants, in bytes. Variant 0 is the natural one, if any.
        wires: the values between them.
    """

    variants: tuple[tuple[int, ...], ...]
    wires: tuple[Wire, ...]

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The parts that share no wire, each a problem of its own."""
        pairs = [(wire.source.group, reader.group) for wire in self.wires for reader in wire.readers]
        rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        size = len(self.variants)
        graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
        count, labels = connected_components(graph, directed=False)
        groups: list[list[int]] = [[] for _ in range(count)]
        for group, label in enumerate(labels):
            groups[label].append(group)
        wires: list[list[Wire]] = [[] for _ in range(count)]
        for wire in self.wires:
            wires[labels[wire.source.group]].append(wire)
        return tuple(self._component(*part) for part in zip(groups, wires, strict=True))

    def cost(self, choice: Sequence[int]) -> int | None:
        """Bytes that the assignment ``choice`` (a variant per group) copies; None where it needs a forbidden copy."""
        total = sum(costs[variant] for costs, variant in zip(self.variants, choice, strict=True))
        for wire in self.wires:
            copies = wire_copies(wire, choice)
            if any(pair in wire.forbidden for pair in copies):
                return None
            total += wire.cost * len(copies)
        return total

    def copies(self, choice: Sequence[int]) -> int:
        """How many copies, that is Transposes, the assignment ``choice`` needs."""
        return sum(len(wire_copies(wire, choice)) for wire in self.wires)

    @cached_property
    def weights(self) -> Weights:
        """Bytes first, then the number of copies, as one whole number per choice."""
        bytes_ = [wire.cost for wire in self.wires] + [cost for costs in self.variants for cost in costs]
        unit = gcd(*bytes_) or 1
        count = 1 + sum(wire.layouts - 1 for wire in self.wires)
        return Weights(unit, count)

    def _component(self, groups: Sequence[int], wires: Sequence[Wire]) -> Component:
        index = {group: position for position, group in enumerate(groups)}

        def local(port: Port) -> Port:
            return Port(index[port.group], port.layouts)

        return Component(
            Problem(
                tuple(self.variants[group] for group in groups),
                tuple(
                    Wire(local(w.source), tuple(map(local, w.readers)), w.layouts, w.cost, w.forbidden) for w in wires
                ),
            ),
            tuple(groups),
        )


@dataclass(frozen=True, slots=True)
class Component:
    """A connected part of a problem.

    Attributes:
        problem: the part.
        groups: for each of its groups, the index in the whole.
    """

    problem: Problem
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weighs bytes and copies so that no number of copies outweighs ``unit`` bytes.

    Attributes:
        unit: the greatest common divisor of all costs, in bytes.
        count: what one unit weighs; a copy weighs 1 on top of its bytes.
    """

    unit: int
    count: int

    def of_copy(self, cost: int) -> int:
        """The weight of a copy of ``cost`` bytes."""
        return self.of_bytes(cost) + 1

    def of_bytes(self, cost: int) -> int:
        """The weight of ``cost`` bytes that are moved by something else than a copy."""
        return cost // self.unit * self.count

    def to_bytes(self, weight: int) -> int:
        """The bytes in a total ``weight``."""
        return weight // self.count * self.unit


def wire_copies(wire: Wire, choice: Sequence[int]) -> set[tuple[int, int]]:
    """The pairs (stored, read) of layouts that ``wire`` must be copied between under ``choice``."""
    stored = wire.source.layouts[choice[wire.source.group]]
    read = {reader.layouts[choice[reader.group]] for reader in wire.readers}
    return {(stored, layout) for layout in read - {stored}}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A solution and its proof.

    Attributes:
        choice: a variant per group.
        cost: bytes that it copies.
        lower_bound: bytes that any assignment must copy, in bytes; never above ``cost``.
        proved_optimal: the two are equal, and nothing was left out of the search.
    """

    choice: tuple[int, ...]
    cost: int
    lower_bound: int
    proved_optimal: bool
