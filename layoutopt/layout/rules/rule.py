"""The form of a row of the table. The rows themselves are in ``table``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir.values import is_constant
from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.costs.objectives import NOTHING, InnerCost
from layoutopt.layout.rules import propagation, spatial
from layoutopt.layout.rules.internal_costs import InternalCost
from layoutopt.layout.rules.propagation import Propagation
from layoutopt.layout.rules.remaps import Remap
from layoutopt.layout.rules.variants import Known, PhysicalLayouts, Port, Variant, operand, result


def _never(node: ir.Node) -> bool:
    del node
    return False


@dataclass(frozen=True, slots=True)
class LayoutRule:
    """The part of one operator in the choice of layouts.

    Attributes:
        operands: how many leading operands carry the layout; None means all.
        propagate: how all ports are stored, given one.
        remaps: edits of whatever else names an axis (attributes, constant operands).
        internal_cost: what the target does inside the operator, by how its operands and results are stored.
        required_layout: the physical layout at each port that the target needs, where there is no natural variant.
        separate: whether each port takes its layout independently of the others.
        since: first opset that the rule describes.
        until: last opset that the rule describes; None means the newest.
        ranks: the ranks of the first operand that the rule describes; None means all.
        results: how many results a node may have; None means any number.
        shaped: how many leading operands must have known shapes beside those that carry the layout.
        enlarges: whether what it makes of constants is so much that it stays, and has a layout.
        before: the rule of the opsets before ``since``, where the operator was another; None leaves it natural there.
    """

    operands: int | None = 1
    propagate: Propagation = propagation.aligned
    remaps: tuple[Remap, ...] = ()
    internal_cost: InternalCost | None = None
    required_layout: Callable[[ir.Node, Port], PhysicalLayout] | None = None
    separate: Callable[[ir.Node], bool] = _never
    since: int = 1
    until: int | None = None
    ranks: tuple[int, ...] | None = None
    results: int | None = None
    shaped: int = 0
    enlarges: bool = False
    before: LayoutRule | None = None

    def at(self, opset: int) -> LayoutRule | None:
        """Return the rule of ``opset``; None where it has none."""
        if opset < self.since:
            return self.before.at(opset) if self.before else None
        return self if self.until is None or opset <= self.until else None

    @property
    def words(self) -> str:
        """Its conditions, in the words of its parts."""
        parts = [self.propagate, *self.remaps, *([self.internal_cost] if self.internal_cost else [])]
        words = [(part.__doc__ or "").strip().partition("\n")[0] for part in parts]
        if self.ranks is not None:
            words.append(f"Rank {', '.join(map(str, self.ranks))}.")
        if self.results is not None:
            words.append("The first result alone.")
        return " ".join(words).replace("``", "`")

    @property
    def is_elementwise(self) -> bool:
        """Tell whether an element of the result depends on those in its place alone, however the axes are ordered."""
        return self.propagate is propagation.aligned and not self.remaps

    @property
    def is_channelwise(self) -> bool:
        """Tell whether each channel of the result depends on the same channel alone, whichever number it has."""
        return self.propagate is spatial.per_channel

    def ports(self, node: ir.Node) -> tuple[Port, ...]:
        """Return the ports of ``node`` that carry the layout: operands, then results."""
        operands = (operand(index) for index, value in enumerate(node.inputs[: self.operands]) if value is not None)
        return (*operands, *(result(index) for index in range(len(node.outputs))))

    def groups(self, node: ir.Node) -> Sequence[tuple[Port, ...]]:
        """Return the ports that are no constants, those together that take a layout together."""
        ports = tuple(port for port in self.ports(node) if not is_constant(port.value(node)))
        return [(port,) for port in ports] if self.separate(node) else [ports]

    def natural(self, node: ir.Node) -> Variant | None:
        """Return the variant in which nothing changes; None for a layout-sensitive operator."""
        layouts = {port: PhysicalLayout.natural(port.shape(node)) for port in self.ports(node)}
        return None if self.required_layout else Variant(layouts, inner=self._inner(node, layouts))

    def variants(self, node: ir.Node, port: Port, layout: PhysicalLayout, known: Known) -> Iterator[Variant]:
        """Yield the variants of the group at ``port`` that follow from ``layout`` there.

        Args:
            node: the operator.
            port: where the layout comes from.
            layout: how the value there is stored.
            known: what is known so far of the other ports.
        """
        for layouts in self.propagate(node, self.ports(node), port, layout, known):
            if self.required_layout is None and all(layout.is_natural for layout in layouts.values()):
                yield Variant(layouts, inner=self._inner(node, layouts))
                continue
            edits = [remap(node, layouts) for remap in self.remaps]
            found = tuple(edit for edit in edits if edit is not None)
            if len(found) == len(edits):
                yield Variant(layouts, found, self._inner(node, layouts))

    def _inner(self, node: ir.Node, layouts: PhysicalLayouts) -> InnerCost:
        return self.internal_cost(node, layouts) if self.internal_cost else NOTHING
