"""The facts that the choice of layouts knows of a graph, in words, by the names of its nodes and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from layoutopt.layout.explain.explainer import label
from layoutopt.layout.explain.explanation import Copy, Explanation, InternalMovement, KeptTranspose, TransposeSide
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.rules.applicability import objection
from layoutopt.text import first_few

_MAX_NAMES = 4


@dataclass(frozen=True, slots=True)
class Fact:
    """The facts about one node.

    Attributes:
        rule: its layout rule in words.
        reason: why it has the layout that it has; empty where there is nothing to say.
    """

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The facts about the nodes of a model before the choice of layouts.

    Attributes:
        facts: of a node, by its name and by the names of its results.
        roots: of each value that holds the bytes of another, the name of that one.
        copies: the transposes that the choice leaves, by the name of the value.
    """

    facts: Mapping[str, Fact] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, Sequence[Copy]] = field(default_factory=dict)


def facts_of(opset: int, plans: Mapping[ir.Graph, Plan], explanation: Explanation) -> PlanFacts:
    """Return the facts that plans and their explanation give.

    Args:
        opset: version of the default domain.
        plans: of a graph and the bodies in it; the graphs are unchanged since.
        explanation: of the plans.
    """
    moving: dict[str, InternalMovement | KeptTranspose] = {each.operator: each for each in explanation.inside}
    moving |= {each.operator: each for each in explanation.kept}
    facts = {
        name: fact
        for graph, plan in plans.items()
        for node, fact in _facts(graph, plan, opset, moving)
        for name in _names_of(node)
    }
    roots = {str(value.name): str(view.root.name) for plan in plans.values() for value, view in plan.views.items()}
    copies: dict[str, list[Copy]] = {}
    for copy in explanation.copies:
        copies.setdefault(copy.value, []).append(copy)
    return PlanFacts(facts, roots, copies)


def why_copied(copy: Copy) -> str:
    """Return the reason for a remaining transpose."""
    sides = (("Written", copy.written), ("Read", copy.read))
    return " ".join(
        f"{role} as {side.layout} by {first_few(side.ends, _MAX_NAMES)}: {_who_needs(side)}." for role, side in sides
    )


def _facts(
    graph: ir.Graph, plan: Plan, opset: int, moving: Mapping[str, InternalMovement | KeptTranspose]
) -> Iterator[tuple[ir.Node, Fact]]:
    choices: Counter[ir.Node] = Counter()
    for choice in plan.encoded.groups:
        if choice.node is not None:
            choices[choice.node] = max(choices[choice.node], len(choice.layouts))
    for node in graph:
        yield node, Fact(_rule(node, plan, opset), _reason(node, choices[node], moving.get(label(node))))


def _names_of(node: ir.Node) -> Collection[str]:
    return {name for name in (node.name, *(value.name for value in node.outputs)) if name}


def _rule(node: ir.Node, plan: Plan, opset: int) -> str:
    """Return the rule of a node, in the words of the table."""
    if (rule := plan.rules.get(node)) is not None:
        if rule.required_layout is None:
            return f"layout-agnostic: {rule.words}"
        return f"layout-sensitive: TFLite runs {node.op_type} channels-last only. {rule.words}"
    if node.outputs[0] in plan.views:
        return "view: moves no bytes, it only gives them other axes"
    if node in plan.links:
        return "view: moves no bytes; its axes are cut otherwise than those of the value that its operand is a view of"
    if node in plan.unpriced:
        return "layout-fixed: its shape is not known"
    return f"layout-fixed: {objection(node, opset)}"


def _reason(node: ir.Node, choices: int, moving: InternalMovement | KeptTranspose | None) -> str:
    """Return the reason for the layout of a node."""
    match moving:
        case InternalMovement():
            return f"Moves its data inside: {moving.why}. In every other layout the whole graph costs as much or more."
        case KeptTranspose():
            return f"It stays whatever layouts are chosen: {moving.why}."
        case _ if choices > 1:
            return f"The cheapest for the whole graph of the {choices} layouts that this {node.op_type} could have."
        case _:
            return ""


def _who_needs(side: TransposeSide) -> str:
    if not side.needed_by:
        return side.why
    through = f"through {first_few(side.through, _MAX_NAMES)} to " if side.through else ""
    return f"{through}{side.needed_by}, {side.why}"
