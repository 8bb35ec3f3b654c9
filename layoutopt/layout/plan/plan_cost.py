"""The cost of a plan by an objective that it was not chosen by."""

from __future__ import annotations

from layoutopt.layout.costs.objectives import Costs
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.encoding import copies_cost


def cost_of_plan(plan: Plan, costs: Costs) -> int:
    """Return the cost of all that ``plan`` moves, in the unit of ``costs``; what has no known size is left out.

    By the costs that the plan was chosen by, this is ``plan.total.cost``.
    """
    chosen = zip(plan.encoded.forms, plan.assignment.choice, strict=True)
    return sum(costs.inside(forms)[variant] for forms, variant in chosen) + copies_cost(plan.copies, costs)
