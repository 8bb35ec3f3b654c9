"""The page of operators: which take part in the choice of layouts, under what conditions, and why the others do not.

Written by `benchmarks.figures`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import short_runs
from layoutopt.ir.schemas import newest_opset, opsets_of
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import LAYOUT_FIXED, PREPARED, RULES, VIEWS

OLDEST = 7
"""The oldest opset that is looked at."""

HEAD = """# Operators

Made by `python -m benchmarks.figures`: change the tables in `layoutopt/layout/rules/table.py`
instead. It lists all operators of the default ONNX domain, opset {oldest} to {newest}.

- **layout-agnostic** ({agnostic}): runs in any layout that meets the conditions of the last column.
- **layout-sensitive** ({sensitive}): TFLite runs it in channels-last alone.
- **view** ({view}): moves no bytes; it gives the same bytes other axes.
- **prepared** ({prepared}): a pass before the choice of layouts replaces it. What is left over is layout-fixed.
- **layout-fixed** ({fixed}): runs in the natural layout. Whatever must be transposed for it is transposed, and counted.

*Whole* is an axis whose elements lie in their own order, in one dimension of the stored tensor. What a rule does not
say an axis must be, it may be: at any place, cut into pieces, the pieces in any order. Shapes must be static. Joining
and cutting have a cost where the pieces that lie side by side are short: {short_runs}
(`python -m benchmarks.short_runs`).

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
    """The page, as it should be."""
    rows = list(table())
    kinds = Counter(row.kind.removeprefix("layout-") for row in rows)
    head = HEAD.format(oldest=OLDEST, newest=newest_opset(), short_runs=short_runs.told(), **kinds)
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table() -> Iterator[Row]:
    """Every operator, in alphabetical order."""
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
