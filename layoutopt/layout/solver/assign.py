"""The one way in to the solvers: each component by the fastest exact method that fits it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from layoutopt.layout.solver import elimination, milp, mincut
from layoutopt.layout.solver.problem import Assignment, Component, ComponentSolution, Problem, Solver


def assign(problem: Problem, *, time_limit: float = milp.TIME_LIMIT) -> Assignment:
    """Pick one variant per group so that the cost is least; of equals, the choice that ties prefer.

    Args:
        problem: groups and nets.
        time_limit: seconds for each component that needs the MILP.

    Returns:
        The assignment with a lower bound that proves it, unless time ran out.
    """
    choice = [0] * len(problem.variants)
    gap, proved, timed_out = 0, True, False
    parts = []
    for component, solver, part in _solutions(problem.components, time_limit):
        gap += part.cost - part.lower_bound
        proved &= part.proved_optimal
        timed_out |= part.timed_out
        parts.append(ComponentSolution(component, solver, part))
        for group, variant in zip(component.groups, part.choice, strict=False):
            choice[group] = variant
    cost = problem.cost(choice)
    return Assignment(tuple(choice), cost, cost - gap, proved, timed_out, tuple(parts))


def _solutions(components: tuple[Component, ...], time_limit: float) -> Iterator[tuple[Component, Solver, Assignment]]:
    """Return a solution for each component."""
    cuts = [component for component in components if mincut.applies(component.problem)]
    for component, choice in zip(cuts, _cut([cut.problem for cut in cuts]), strict=True):
        yield component, Solver.CUT, _exact(component.problem, choice)
    cut = set(map(id, cuts))
    for component in components:
        if id(component) not in cut:
            found = elimination.solve(component.problem)
            if found is None:
                yield component, Solver.MILP, milp.solve(component.problem, time_limit=time_limit)
            else:
                yield component, Solver.ELIMINATION, _exact(component.problem, found)


_FEW = 500
"""Groups of all cut problems together up to which elimination takes less time than importing the flow does."""


def _cut(problems: Sequence[Problem]) -> Sequence[tuple[int, ...]]:
    """Solve cut problems: by elimination where they are small, which picks the same of equals, else by a flow."""
    if sum(len(problem.variants) for problem in problems) <= _FEW:
        found = [elimination.solve(problem) for problem in problems]
        choices = [choice for choice in found if choice is not None]
        if len(choices) == len(problems):
            return choices
    return mincut.solve(problems)


def _exact(problem: Problem, choice: tuple[int, ...]) -> Assignment:
    """Return ``choice`` as its own proof."""
    cost = problem.cost(choice)
    return Assignment(choice, cost, cost, True)


def assign_rest(problem: Problem, given: Mapping[int, int]) -> Assignment:
    """Pick one variant for each group that has none yet so that the cost is least; nothing is proved of the whole.

    Args:
        problem: groups and nets.
        given: the variants of some groups.
    """
    found = assign(problem.restricted(given)).choice
    choice = tuple(given.get(group, variant) for group, variant in enumerate(found))
    return Assignment(choice, problem.cost(choice), 0, False)


def keep_interface(problem: Problem, assignment: Assignment, natural: Mapping[int, int]) -> Assignment:
    """Return an assignment of the same cost that leaves inputs and outputs of the graph as they were, if there is one.

    Args:
        problem: the question.
        assignment: its solution.
        natural: of each graph input and output that may change, the group and its natural variant.
    """
    changed = any(assignment.choice[group] != variant for group, variant in natural.items())
    if not changed or any(part.solver is Solver.MILP for part in assignment.parts):
        return assignment
    penalty = problem.weights.unit * (1 + assignment.cost // problem.weights.unit)
    variants = tuple(
        tuple(cost + penalty * (natural.get(group, index) != index) for index, cost in enumerate(costs))
        for group, costs in enumerate(problem.variants)
    )
    choice = assign(replace(problem, variants=variants)).choice
    if (problem.cost(choice), problem.tie(choice)) != (assignment.cost, problem.tie(assignment.choice)):
        return assignment
    return replace(assignment, choice=choice)
