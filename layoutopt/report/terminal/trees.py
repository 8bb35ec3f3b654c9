"""Explanations for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from layoutopt.layout.costs.rejected_rewrites import RejectedRewrite
from layoutopt.layout.explain.explanation import (
    Copy,
    Explanation,
    InternalMovement,
    KeptTranspose,
    PartProof,
    TransposeSide,
)
from layoutopt.layout.explain.missing_rules import MissingRule
from layoutopt.layout.solver.problem import Solver
from layoutopt.report.terminal.tables import amount, format_size, objective_choice, proof
from layoutopt.results.explain import ExplainReport
from layoutopt.text import first_few

_MAX_ENDS = 3
_MAX_STEPS = 4
_MAX_CUT = 8


def of_explain(report: ExplainReport) -> Iterator[RenderableType]:
    """Yield a tree per transpose, the proof, and what is missing."""
    found, unit = report.explanation, report.layout.unit
    for number, copy in enumerate(found.copies, start=1):
        yield _of_copy(number, copy, unit)
    if found.inside:
        yield _of_inside(found.inside, unit)
    if found.kept:
        yield _of_kept(found.kept)
    if not report.layout.cost:
        yield Text(_of_nothing(report.layout_sensitive))
    yield Text(proof(report.layout))
    if report.chosen_at:
        sizes = ", ".join(f"{name}={size}" for name, size in report.chosen_at.items())
        yield Text(f"This holds at {sizes}, where the layouts are chosen for all sizes.")
    yield from map(Text, map(objective_choice, report.choices))
    yield from map(Text, _of_parts(found, unit))
    if report.missing:
        yield _of_missing(report.missing, unit)
    if report.rejected:
        yield _of_rejected(report.rejected)


def _of_copy(number: int, copy: Copy, unit: str) -> Tree:
    cost = format_size(copy.size) if unit == "bytes" else f"{format_size(copy.size)}, {amount(copy.cost, unit)}"
    if copy.transposes > 1:
        cost += f", by {copy.transposes} TRANSPOSE"
    shape = "x".join(map(str, copy.shape))
    tree = Tree(
        Text.assemble(
            (f"{number}. ", "dim"),
            (copy.value, "bold"),
            f" {shape} {copy.dtype}, {cost}: ",
            (f"{copy.written.layout} -> {copy.read.layout}", "bold"),
        )
    )
    for role, side in (("written", copy.written), ("read", copy.read)):
        branch = tree.add(Text(f"{role} as {side.layout} by {first_few(side.ends, _MAX_ENDS)}"))
        branch.add(_of_side(side))
    return tree


def _of_side(side: TransposeSide) -> Text:
    """Return the way to the one that needs a layout, and why it does."""
    if not side.needed_by:
        return Text(side.why)
    way = "" if not side.through else f"through {_abridged(side.through)} to "
    return Text.assemble(way, (side.needed_by, "bold"), f": {side.why}")


def _abridged(names: Sequence[str]) -> str:
    """Return a way, without its middle where it is long."""
    if len(names) > _MAX_STEPS:
        names = (*names[: _MAX_STEPS // 2], f"{len(names) - _MAX_STEPS} more", *names[-_MAX_STEPS // 2 :])
    return ", ".join(names)


def _of_inside(inside: Sequence[InternalMovement], unit: str) -> Tree:
    tree = Tree("Moved inside operators")
    for each in inside:
        tree.add(Text(f"{each.operator}: {amount(each.cost, unit)}, {each.why}"))
    return tree


def _of_kept(kept: Sequence[KeptTranspose]) -> Tree:
    tree = Tree("Transposes of unknown size, which stay; they are no part of the cost")
    for each in kept:
        tree.add(Text(f"{each.operator}: {format_size(each.size)}, {each.why}"))
    return tree


def _of_nothing(layout_sensitive: int) -> str:
    if not layout_sensitive:
        return "No transpose is needed: no operator is layout-sensitive."
    return (
        f"No transpose is needed: everything runs in the layout of the {layout_sensitive} layout-sensitive operator(s)."
    )


def _of_parts(found: Explanation, unit: str) -> Iterator[str]:
    """Yield the proof, part by part, after what nobody has a choice about."""
    moves = [(each.part, each.value, each.cost) for each in found.copies]
    moves += [(each.part, f"inside {each.operator}", each.cost) for each in found.inside]
    if fixed := [move for move in moves if not move[0]]:
        cost = amount(sum(cost for _, _, cost in fixed), unit)
        yield f"  no choice: {first_few([name for _, name, _ in fixed], _MAX_CUT)}, {cost} under any layouts"
    for part in found.parts:
        yield _of_part(part, [name for number, name, _ in moves if number == part.part], unit)


def _of_part(part: PartProof, where: Sequence[str], unit: str) -> str:
    """Return the proof of one part: the cut and the flow that saturates it, or what the solver says."""
    what = f"  part {part.part}, {part.choices} choices, {part.solver.value}: "
    cost, cut = amount(part.cost, unit), first_few(where, _MAX_CUT)
    if part.solver is Solver.CUT and part.max_flow is not None:
        return f"{what}a flow of {amount(part.max_flow, unit)} saturates the cut through {cut}, which costs {cost}"
    bound = "proved" if part.proved else "not proved"
    return f"{what}{cost}, lower bound {amount(part.lower_bound, unit)}, {bound}: {cut}"


def _of_missing(missing: Sequence[MissingRule], unit: str) -> Table:
    table = Table(title="What a layout rule could save at most", title_justify="left")
    table.add_column("operator")
    for heading in ("count", "transposes\naround it", "saves\nat most"):
        table.add_column(heading, justify="right")
    table.add_column("why it has none")
    for each in missing:
        table.add_row(
            escape(each.operator), str(each.count), format_size(each.beside), amount(each.gain, unit), escape(each.why)
        )
    return table


def _of_rejected(rejected: Sequence[RejectedRewrite]) -> Table:
    table = Table(title="Rewrites to fewer multiplications that were possible and not done", title_justify="left")
    for heading in ("pass", "operator"):
        table.add_column(heading)
    for heading in ("multiplications", "ms by the\ncost model"):
        table.add_column(heading, justify="right")
    table.add_column("why not")
    for each in rejected:
        products = f"{each.products_before / 1e6:.1f} M -> {each.products_after / 1e6:.1f} M"
        cost = f"{each.nanoseconds_before / 1e6:.3f} -> {each.nanoseconds_after / 1e6:.3f}"
        table.add_row(each.rewrite, escape(each.node), products, cost, each.why)
    return table
