"""Every operator of ONNX is in one of the tables, and the page says what the tables say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from docs.tools.operators import page, table
from layoutopt.ir.schemas import opsets_of
from layoutopt.layout.rules.table import LAYOUT_FIXED, PREPARED, RULES, VIEWS

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_every_operator_is_in_one_table() -> None:
    tables = Counter([*RULES, *VIEWS, *PREPARED, *LAYOUT_FIXED])
    assert max(tables.values()) == 1
    assert not set(opsets_of()) - set(tables), "a rule in RULES, or a reason in PINNED"
    assert not {*PREPARED, *LAYOUT_FIXED} - set(opsets_of()), "ONNX has no such operator"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run python -m docs.tools.generate"


def test_every_row_is_filled() -> None:
    assert all(row.conditions for row in table() if row.kind != "view")


@pytest.mark.parametrize("operator", RULES)
def test_every_part_of_a_rule_tells_its_condition(operator: str) -> None:
    rule = RULES[operator]
    parts = [rule.propagate, *rule.remaps, *([rule.internal_cost] if rule.internal_cost else [])]
    assert all(part.__doc__ for part in parts)
    assert "  " not in rule.words
