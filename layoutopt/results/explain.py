"""The result of `layoutopt.explain`: the reasons for the transposes that are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layoutopt.layout.costs.rejected_rewrites import RejectedRewrite
from layoutopt.layout.explain.explanation import Explanation
from layoutopt.layout.explain.missing_rules import MissingRule
from layoutopt.results.optimize import LayoutProof, ObjectiveChoice
from layoutopt.results.result import Result


@dataclass(frozen=True, slots=True)
class ExplainReport(Result):
    """The reasons for the transposes that are left.

    Attributes:
        model: the input file; None for a model in memory.
        layout: cost and proof.
        explanation: the transposes, who needs them, and the proof part by part.
        missing: operators without a layout rule that one might help, the most helpful first.
        layout_sensitive: how many operators the target runs in channels-last only.
        versions: of the packages that took part.
        choices: what each objective chooses, and what that costs by both.
        chosen_at: the sizes of the dimensions that stay symbolic at which this holds.
        rejected: rewrites to fewer multiplications that were possible, and that the cost model says gain nothing.
    """

    model: Path | None
    layout: LayoutProof
    explanation: Explanation
    missing: tuple[MissingRule, ...]
    layout_sensitive: int
    versions: Mapping[str, str]
    choices: tuple[ObjectiveChoice, ...]
    chosen_at: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[RejectedRewrite, ...] = ()
