"""The cost of a plan by an objective that it was not chosen by."""

from __future__ import annotations

from layoutopt.layout.costs.objectives import Costs
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.encoding import copy_cost
from layoutopt.layout.solver.problem import net_copies


def price(plan: Plan, costs: Costs) -> int:
    """Return the cost of all that ``plan`` moves, in the unit of ``costs``; what has no known size is left out.

    By the costs that the plan was chosen by, this is ``plan.total.cost``.
    """
    encoded, choice = plan.encoded, plan.assignment.choice
    inside = sum(costs.inside(forms)[chosen] for forms, chosen in zip(encoded.forms, choice, strict=True))
    copies = (
        copy_cost(root, layouts[stored], layouts[read], costs) or 0
        for root, layouts, net in zip(encoded.roots, encoded.layouts, encoded.problem.nets, strict=True)
        for stored, read in net_copies(net, choice)
    )
    return inside + sum(copies) + sum(costs.copy(*each) for each in plan.others if each is not None)
