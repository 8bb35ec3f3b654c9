"""Layouts that were chosen for a graph, as the choice for the same graph at other sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.plan.candidates import BOUNDARY, CandidateGroup, Candidates
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.rules.variants import PhysicalLayouts, lifted


@dataclass(frozen=True, slots=True)
class ChosenLayouts:
    """The layouts of a plan, by names, which do not depend on sizes.

    Attributes:
        nodes: the layouts at the ports of each node, by the name of its first result that has one.
        inputs: the layout of each graph input that may change its layout, by name.
        outputs: the layout of each graph output that may change its layout, by position.
        apart: the nodes that make views with a copy on either side, by the same names.
        spelled_out: the DepthToSpace and SpaceToDepth taken for what they are made of, by the same names.
        changed: whether the graph was rewritten to the plan.
    """

    nodes: Mapping[str, PhysicalLayouts]
    inputs: Mapping[str, PhysicalLayout]
    outputs: Mapping[int, PhysicalLayout]
    apart: frozenset[str]
    spelled_out: frozenset[str]
    changed: bool

    @classmethod
    def of(cls, plan: Plan, *, changed: bool) -> ChosenLayouts:
        """Return the layouts of ``plan``, before its nodes become others."""
        return cls(
            {name_of(node): variant.layouts for node, variant in plan.variants.items()},
            {str(value.name): layout for value, layout in plan.inputs.items()},
            plan.outputs,
            frozenset(map(name_of, plan.apart)),
            frozenset(map(name_of, plan.spelled_out)),
            changed,
        )


def name_of(node: ir.Node) -> str:
    """Return the name of the first result of ``node`` that has one."""
    return next((value.name for value in node.outputs if value.name), "")


def followed_variants(candidates: Candidates, chosen: ChosenLayouts) -> dict[int, int]:
    """Return the variant of each group that has the layouts chosen at other sizes; groups without one are left out."""
    found = {}
    for position, group in enumerate(candidates.groups):
        layouts = _layouts_of(candidates, group, chosen)
        if layouts is not None and (variant := _variant(candidates, group, layouts)) is not None:
            found[position] = variant
    return found


def _layouts_of(candidates: Candidates, group: CandidateGroup, chosen: ChosenLayouts) -> PhysicalLayouts | None:
    if group.node is not None:
        return chosen.nodes.get(name_of(group.node))
    for value, each in candidates.inputs.items():
        if each is group and str(value.name) in chosen.inputs:
            return {BOUNDARY: chosen.inputs[str(value.name)]}
    for output, each in candidates.outputs.items():
        if each is group and output in chosen.outputs:
            return {BOUNDARY: chosen.outputs[output]}
    return None


def _variant(candidates: Candidates, group: CandidateGroup, layouts: PhysicalLayouts) -> int | None:
    """Return the variant with these layouts at the sizes of the group's values."""
    key = []
    for port, value in zip(group.ports, group.values, strict=True):
        if port not in layouts or value.shape is None:
            return None
        sized = layouts[port].sized(lifted(value.shape.numpy(), len(layouts[port].shape)))
        order = None if sized is None else candidates.inward(value, sized.mode_order)
        if order is None:
            return None
        key.append(order)
    return group.keys.get(tuple(key))
