"""The operators of a .tflite that a target does not run, as rows of the page: those with one reason together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from layoutopt.results.check import Finding


@dataclass(frozen=True, slots=True)
class Refusal:
    """The operators that a target does not run for one reason.

    Attributes:
        example: the first of them.
        operators: how many there are of each type.
    """

    example: Finding
    operators: Counter[str]

    @property
    def names(self) -> str:
        """Return their types with how many there are of each: ``ADD ×3, MUL``."""
        return ", ".join(f"{name}\u00a0×{count}" if count > 1 else name for name, count in self.operators.most_common())


def refusals(findings: Sequence[Finding]) -> list[Refusal]:
    """Return findings with the same reasons and the same mends together, those of the most operators first."""
    found: dict[object, Refusal] = {}
    for each in findings:
        key = each.reasons, each.mends, each.certain
        found.setdefault(key, Refusal(each, Counter())).operators[each.operator] += 1
    return sorted(found.values(), key=lambda each: -each.operators.total())
