"""Cuts a network into sections: an operator with weights, and those after it up to the next."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from layoutopt.quantization.operators import positions
from layoutopt.tfl.graph import Operation


def sections(operations: Iterable[Operation], most: int) -> list[frozenset[Operation]]:
    """Return operators in sections, each of one operator with weights, or of several where there would be too many.

    Args:
        operations: in the order of execution; what comes before the first one with weights is in its section.
        most: how many sections there may be.
    """
    found: list[list[Operation]] = [[]]
    seen = False
    for operation in operations:
        weighty = positions(operation) is not None
        if weighty and seen:
            found.append([])
        seen |= weighty
        found[-1].append(operation)
    size = -(-len(found) // most)
    return [frozenset(chain.from_iterable(found[at : at + size])) for at in range(0, len(found), size)]
