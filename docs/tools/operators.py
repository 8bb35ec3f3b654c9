"""The page of operators: which take part in the choice of layouts, under what conditions, and why the others do not.

Written by `docs.tools.generate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from layoutopt.ir.schemas import newest_opset, opsets_of
from layoutopt.layout.costs.calibration import built_in
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import LAYOUT_FIXED, PREPARED, RULES, VIEWS

OLDEST = 7
"""The oldest opset that is looked at."""

HEAD = """# Operators

How each operator of the default ONNX domain, opset {oldest} to {newest}, takes part in the choice of layouts:

- **layout-agnostic** ({agnostic}): runs in any layout that meets the conditions in the last column.
- **layout-sensitive** ({sensitive}): TensorFlow Lite has it in NHWC only.
- **view** ({view}): moves no bytes; it gives the same bytes other axes.
- **prepared** ({prepared}): a pass before the choice of layouts replaces it. Where it cannot, it is layout-fixed.
- **layout-fixed** ({fixed}): runs in logical order only. Where its neighbours have another layout, a transpose is
  needed and counted.

An axis is *whole* if its elements are in their own order, in one dimension of the stored tensor. An axis for which
there is no condition may be anywhere, split into parts, with the parts in any order. Shapes must be static. Joining
and splitting have a cost where the pieces that are next to each other are short: {pieces}
(`python -m benchmarks.operator_times`).

[Adding an operator](adding-an-operator.md) shows how to change this table, which is generated from
`layoutopt/layout/rules/table.py`. [The glossary](glossary.md) explains the words.

| operator | opsets | kind | conditions, or the reason |
|---|---|---|---|
"""


class Row(NamedTuple):
    """One operator."""

    operator: str
    opsets: str
    kind: str
    conditions: str


def page() -> str:
    """Return the page, as it should be."""
    rows = list(table())
    kinds = Counter(row.kind.removeprefix("layout-") for row in rows)
    head = HEAD.format(oldest=OLDEST, newest=newest_opset(), pieces=_pieces(), **kinds)
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table() -> Iterator[Row]:
    """Yield every operator, in alphabetical order."""
    first = opsets_of()
    for name in sorted({*first, *RULES, *VIEWS}):
        since = max(OLDEST, first.get(name, OLDEST))
        if name in RULES:
            yield _described(name, since, RULES[name])
        elif name in VIEWS:
            yield Row(name, f"{since}+", "view", "the permutation is valid" if name == "Transpose" else "")
        elif name in PREPARED:
            yield Row(name, f"{since}+", "prepared", PREPARED[name])
        else:
            yield Row(name, f"{since}+", "layout-fixed", LAYOUT_FIXED[name])


def _described(name: str, since: int, rule: LayoutRule) -> Row:
    eldest = rule
    while eldest.before is not None:
        eldest = eldest.before
    since = max(since, eldest.since)
    until = "+" if rule.until is None else f" to {rule.until}"
    kind = "layout-agnostic" if rule.required_layout is None else "layout-sensitive"
    text = rule.words
    if rule.before is not None:
        text += f" Before opset {rule.since}: {rule.before.words}"
    return Row(name, f"{since}{until}", kind, text)


def _pieces() -> str:
    """Return what short pieces take, in words."""
    pieces = built_in().times.pieces
    each = zip(pieces.sizes, pieces.nanoseconds, strict=True)
    return ", ".join(f"{time:.1f} ns for each of {size} bytes" for size, time in each if time >= 0.05)
