"""The cost that a layout rule could save for an operator that has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.values import static_shape
from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.explain.explanation import Copy
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.rules.applicability import objection
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.variants import Known, PhysicalLayouts, Port

MAX_OPERATORS = 10
"""Operators that are planned again: those with the most bytes beside them."""

Replan = Callable[[Mapping[ir.Node, LayoutRule]], Plan]
"""Plans the graph once more, with these rules for nodes that have none."""


@dataclass(frozen=True, slots=True)
class MissingRule:
    """An operator without a layout rule, and what one could save.

    Attributes:
        operator: which.
        count: how many there are.
        beside: bytes of the transposes that it has to do with.
        gain: by how much the cost falls if all of them take and give any layout for nothing, in the unit of the
            objective: no rule can save more.
        why: the reason that the first of them has no rule.
    """

    operator: str
    count: int
    beside: int
    gain: int
    why: str


def missing_rules(
    graph: ir.Graph, opset: int, plan: Plan, copies: Sequence[Copy], replan: Replan
) -> Iterator[MissingRule]:
    """Return the operators for which a rule could save something, the largest gain first.

    Args:
        graph: that ``plan`` was made of.
        opset: version of the default domain.
        plan: what there is without such rules.
        copies: the transposes that are left.
        replan: plans again.
    """
    nodes = [node for node in graph if node not in plan.rules and _could_have_rule(node)]
    counts = Counter(node.op_type for node in nodes)
    beside = {operator: sum(copy.size for copy in copies if operator in copy.operators) for operator in counts}
    likely = sorted(counts, key=lambda name: (-beside[name], -counts[name], name))[:MAX_OPERATORS]
    found = []
    for operator in likely if plan.assignment.cost else ():
        its = [node for node in nodes if node.op_type == operator]
        gain = plan.assignment.cost - replan(dict.fromkeys(its, ANYTHING)).assignment.cost
        found.append(MissingRule(operator, counts[operator], beside[operator], gain, objection(its[0], opset)))
    return (each for each in sorted(found, key=lambda each: -each.gain) if each.gain > 0)


def _could_have_rule(node: ir.Node) -> bool:
    """Return whether ``node`` computes something from values that have a layout."""
    if node.domain == dialect.DOMAIN or (node.domain == "" and node.op_type in VIEWS):
        return False
    return bool(ANYTHING.groups(node))


@dataclass(frozen=True, slots=True)
class _Anything(LayoutRule):
    """Every operand and every result in whatever layout, each by itself, for nothing."""

    def ports(self, node: ir.Node) -> tuple[Port, ...]:
        """Return all ports that have a known shape."""
        return tuple(port for port in LayoutRule.ports(self, node) if static_shape(port.value(node)) is not None)


def _alone(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    del known
    yield {each: layout if each == port else PhysicalLayout.natural(each.shape(node)) for each in ports}


ANYTHING = _Anything(operands=None, propagate=_alone, separate=lambda _: True)
"""The rule that no real one can beat."""
