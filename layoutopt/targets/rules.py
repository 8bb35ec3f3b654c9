"""The tables of rules: a TOML file for each target, read once."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from layoutopt.options import Target
from layoutopt.targets.conditions import CONDITIONS
from layoutopt.tfl.graph import Operation


@dataclass(frozen=True, slots=True)
class TargetRule:
    """The demands of a target on an operator.

    Attributes:
        conditions: what is wanted, by the names of `layoutopt.targets.conditions.CONDITIONS`; types come first.
        own: those that are asked of these operators, and not of all alike.
        mend: how to fix an operation that does not meet its own conditions; empty where the condition says it.
        uncertain: why an operation that meets them may not run there all the same; empty where it does.
    """

    conditions: Mapping[str, Any]
    own: frozenset[str] = frozenset()
    mend: str = ""
    uncertain: str = ""

    def unmet(self, operation: Operation) -> dict[str, str]:
        """Return why an operation does not meet conditions, by name; for wrong types, nothing else."""
        found: dict[str, str] = {}
        for name, wanted in self.conditions.items():
            if (reason := CONDITIONS[name](operation, wanted)) is not None:
                found[name] = reason
                if name in _TYPES:
                    break
        return found


_TYPES = ("types", "input_types")
"""Conditions that decide alone: numbers of another type have other quantization, weights and so on."""


@dataclass(frozen=True, slots=True)
class RuleTable:
    """The operators that a target takes, with its demands.

    Attributes:
        title: of the target.
        source: address of where the rules come from.
        date: of the day on which they were read there.
        rest: what becomes of an operator that it does not take.
        rules: by operator.
        mends: how to fix an operation that does not meet a condition, by its name.
        missing: what would do the same, for some of the operators that it does not have.
        max_partitions: how many parts of a graph run there at most unless an option says otherwise; None for all.
        first_partition_only: whether only the first part that it takes runs there.
    """

    title: str
    source: str
    date: datetime.date
    rest: str
    rules: Mapping[str, TargetRule]
    mends: Mapping[str, str]
    missing: Mapping[str, str]
    max_partitions: int | None = None
    first_partition_only: bool = False


@cache
def rule_table(target: Target) -> RuleTable:
    """Return the rules of a target.

    Raises:
        ValueError: its file states a condition that there is not, or an operator twice.
    """
    text = files("layoutopt.targets").joinpath("rules", f"{target.value}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    every, entries = data.pop("every"), data.pop("rules")
    return RuleTable(**data, rules=_rules(every, entries))


def _rules(every: Mapping[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, TargetRule]:
    found: dict[str, TargetRule] = {}
    for entry in entries:
        operators = entry.pop("operators")
        words = {word: entry.pop(word, "") for word in ("mend", "uncertain")}
        conditions = dict(sorted({**every, **entry}.items(), key=lambda item: item[0] not in _TYPES))
        if unknown := conditions.keys() - CONDITIONS.keys():
            raise ValueError(f"there is no condition {min(unknown)}")
        for operator in operators:
            if operator in found:
                raise ValueError(f"two rules for {operator}")
            found[operator] = TargetRule(conditions, frozenset(entry), **words)
    return found
