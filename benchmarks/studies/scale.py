"""The growth of time and memory with the graph: planning, the solve alone, the pipeline without constant folding.

::

    python -m benchmarks.studies.scale [--profile] [NODES ...]

Convolutions, activations, additions, concatenations, Transposes and skip connections over tiny tensors and two shared
weights. Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks.models.chain import OPSET, chain
from layoutopt.layout.plan import planner
from layoutopt.layout.solver.assign import assign
from layoutopt.layout.solver.problem import Assignment, Problem
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassManager
from layoutopt.pipeline.text import pass_name

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of one size: seconds, and peak memory in MB above that of the imports.

    Attributes:
        nodes: in the graph.
        search: seconds for one plan without the solve.
        solve: seconds for the solve of one plan.
        layout: seconds for the layout pass, which plans until nothing is gained and rewrites.
        others: seconds for all other passes.
        proved: whether the optimum is.
        megabytes: peak memory.
    """

    nodes: int
    search: float
    solve: float
    layout: float
    others: float
    proved: bool
    megabytes: float

    @property
    def pipeline(self) -> float:
        return self.layout + self.others


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.scale", description="How time and memory grow.")
    parser.add_argument("nodes", nargs="*", type=int, default=SIZES, help=f"sizes (default: {SIZES})")
    parser.add_argument("--profile", action="store_true", help="print where the pipeline's time goes instead")
    options = parser.parse_args()
    if options.profile:
        for nodes in options.nodes:
            profile(nodes)
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        Console().print(table(list(pool.map(measure, options.nodes))))


def measure(nodes: int) -> Measurement:
    """Plan and run the pipeline once each on a graph of ``nodes`` nodes."""
    before = _peak()
    model = chain(nodes)
    solves: list[float] = []

    def timed(problem: Problem) -> Assignment:
        seconds, assignment = _timed(lambda: assign(problem))
        solves.append(seconds)
        return assignment

    orders = {"image": ((0, 1, 2, 3), (0, 2, 3, 1))}
    with patch.object(planner, "assign", timed):
        planning, planned = _timed(lambda: planner.make_plan(model.graph, OPSET, orders))
    records = PassManager(_PIPELINE).run(model).records
    layout = sum(record.seconds for record in records if record.name == pass_name(PropagateLayout))
    return Measurement(
        nodes,
        planning - sum(solves),
        sum(solves),
        layout,
        sum(record.seconds for record in records) - layout,
        planned.assignment.proved_optimal,
        _peak() - before,
    )


def profile(nodes: int) -> None:
    """Print the functions of the pipeline that take the most time."""
    model = chain(nodes)
    with cProfile.Profile() as profiler:
        PassManager(_PIPELINE).run(model)
    pstats.Stats(profiler).strip_dirs().sort_stats("cumulative").print_stats(40)


_PIPELINE = tuple(each for each in DEFAULT_PIPELINE if not isinstance(each, FoldConstants))


def table(measurements: list[Measurement]) -> Table:
    """Return a row per size; a growth of 1.0 is linear: the pipeline's time per node, relative to the row above."""
    columns = ("nodes", "search", "solve", "layout pass", "other passes", "pipeline", "growth", "memory", "proved")
    grid = Table(title="Seconds by size of the graph", title_justify="left")
    for column in columns:
        grid.add_column(column, justify="right")
    previous = None
    for each in measurements:
        growth = (each.pipeline / each.nodes) / (previous.pipeline / previous.nodes) if previous else None
        seconds = (each.search, each.solve, each.layout, each.others, each.pipeline)
        grid.add_row(
            f"{each.nodes:,}",
            *(f"{value:.2f}" for value in seconds),
            f"{growth:.2f}" if growth else "-",
            f"{each.megabytes:.0f} MB",
            "yes" if each.proved else "no",
        )
        previous = each
    return grid


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _peak() -> float:
    """Return the most memory that this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
