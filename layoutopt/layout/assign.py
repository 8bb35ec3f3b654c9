"""The one way in to the solvers: each connected component by the fastest exact method that fits it."""

from __future__ import annotations

from layoutopt.layout import milp, mincut
from layoutopt.layout.problem import Assignment, Problem


def assign(problem: Problem, *, time_limit: float = milp.TIME_LIMIT) -> Assignment:
    """Picks one variant per group so that the fewest bytes are copied; of equals, the one with the fewest copies.

    Args:
        problem: groups and wires.
        time_limit: seconds for each component that needs the MILP.

    Returns:
        The assignment with a lower bound that proves it, unless time ran out.
    """
    choice = [0] * len(problem.variants)
    lower_bound = 0
    for component in problem.components:
        part, bound = _solve(component.problem, time_limit)
        lower_bound += bound
        for group, variant in zip(component.groups, part, strict=True):
            choice[group] = variant
    cost = problem.cost(choice)
    assert cost is not None, "a solver chose a forbidden copy"
    lower_bound = min(lower_bound, cost)
    return Assignment(tuple(choice), cost, lower_bound, cost == lower_bound)


def _solve(problem: Problem, time_limit: float) -> tuple[tuple[int, ...], int]:
    """A variant per group and a lower bound in bytes."""
    if all(len(costs) == 1 for costs in problem.variants):
        choice = (0,) * len(problem.variants)
    elif mincut.applies(problem):
        choice = mincut.solve(problem)
    else:
        return milp.solve(problem, time_limit=time_limit)
    return choice, problem.cost(choice) or 0
