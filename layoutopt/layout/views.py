"""Values that hold the same bytes: a value and what Reshape, Transpose and their like make of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import onnx_ir as ir

from layoutopt.ir.perm import Perm, invert
from layoutopt.layout.layouts import CACHE, Layout, Shape, Storage, transposition
from layoutopt.layout.rules import VIEWS, is_view
from layoutopt.layout.variants import blaming, known_shape

MAX_COPY_RANK = 6
"""TFLite's TRANSPOSE takes tensors of at most this rank."""

Steps = tuple[tuple[Shape, Perm], ...]
"""The Transposes on the way from the root to a view: the shape before each, and its permutation."""


@dataclass(frozen=True, slots=True)
class View:
    """A value as a view of its root.

    Attributes:
        root: the value whose bytes it holds.
        steps: how the axes were permuted on the way; reshapes leave no trace in the digits.
    """

    root: ir.Value
    steps: Steps = ()

    def inward(self, layout: Layout) -> Layout | None:
        """A layout of the view in the digits of the root; None where a digit straddles two of the permuted axes."""
        return _inward(self.steps, layout) if self.steps else layout

    def outward(self, layout: Layout) -> Layout | None:
        """A layout of the root in the digits of the view; None where a digit straddles two of the permuted axes."""
        return _outward(self.steps, layout) if self.steps else layout

    def natural(self, shape: Shape) -> Layout | None:
        """The natural layout of the view, of ``shape``, in the digits of the root; None where these do not divide."""
        return self.inward(Layout.natural(shape))


def views_of(graph: ir.Graph, pinned: Collection[ir.Node]) -> Mapping[ir.Value, View]:
    """The values of ``graph`` that are views of others.

    A Transpose that no single copy of the root could replace makes none: one of too many axes, or of axes that a
    Reshape has put together from pieces of others, as (2, 3) Transposed, (2, 3) again, and Transposed.

    Args:
        graph: in topological order.
        pinned: nodes to take for operators that move bytes.
    """
    views: dict[ir.Value, View] = {}
    for node in graph:
        with blaming(node):
            if node in pinned or not is_view(node):
                continue
        source, value = node.inputs[0], node.outputs[0]
        assert source is not None
        parent = views.get(source) or View(source)
        perm = VIEWS[node.op_type](node)
        view = View(parent.root, (*parent.steps, (known_shape(source), perm)) if perm else parent.steps)
        natural = view.natural(known_shape(value))
        copy = transposition(Layout.natural(known_shape(parent.root)), natural) if natural is not None else None
        if copy is not None and len(copy[1]) <= MAX_COPY_RANK:
            views[value] = view
    return views


@lru_cache(maxsize=CACHE)
def _inward(steps: Steps, layout: Layout) -> Layout | None:
    for shape, perm in reversed(steps):
        storage = Storage.of(tuple(shape[axis] for axis in perm), layout)
        if storage is None:
            return None
        layout = storage.renamed(perm).layout
    return layout


@lru_cache(maxsize=CACHE)
def _outward(steps: Steps, layout: Layout) -> Layout | None:
    for shape, perm in steps:
        storage = Storage.of(shape, layout)
        if storage is None:
            return None
        layout = storage.renamed(invert(perm)).layout
    return layout
