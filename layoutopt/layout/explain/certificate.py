"""The proof for each part of a plan: what the solver found, and what no layouts come below."""

from __future__ import annotations

from layoutopt.layout.explain.explanation import PartProof
from layoutopt.layout.solver import mincut
from layoutopt.layout.solver.problem import ComponentSolution, Solver


def part_proof(number: int, part: ComponentSolution) -> PartProof:
    """Return the proof for the part with this number: costs, lower bound, and the maximum flow where there is one."""
    problem, found = part.component.problem, part.assignment
    flow = mincut.max_flow(problem) if part.solver is Solver.CUT else None
    choices = len(part.component.groups)
    return PartProof(number, part.solver, choices, found.cost, found.lower_bound, found.proved_optimal, flow)
