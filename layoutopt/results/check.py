"""The result of `layoutopt.check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layoutopt.options import Target
from layoutopt.results.result import Result


@dataclass(frozen=True, slots=True)
class Finding(Result):
    """One operator that a target would not run, or may not.

    Attributes:
        position: in the order in which operators run, from 0; those of bodies of control flow follow.
        operator: its name in the schema.
        tensor: name of its first result.
        reasons: why, each the end of a sentence that the operator begins.
        mends: what would help.
        certain: whether the rules say so; otherwise it depends on what is not published.
    """

    position: int
    operator: str
    tensor: str
    reasons: tuple[str, ...]
    mends: tuple[str, ...]
    certain: bool = True


@dataclass(frozen=True, slots=True)
class CheckReport(Result):
    """The operators of a .tflite that a target would run, and those that it would not.

    Attributes:
        file: which.
        target: which.
        title: of the target.
        source: where its rules come from.
        date: when they were read there, ISO 8601.
        rest: what becomes of an operator that it does not take.
        operators: how many the file has.
        taken: how many of them the target takes.
        partitions: parts of the main graph that it takes; what lies between runs elsewhere.
        run: how many operators of the main graph run there without further options.
        findings: the operators that it does not take, or may not.
    """

    file: Path
    target: Target
    title: str
    source: str
    date: str
    rest: str
    operators: int
    taken: int
    partitions: int
    run: int
    findings: tuple[Finding, ...]

    @property
    def passes(self) -> bool:
        """Return whether the target runs all operators, by its rules."""
        return not any(finding.certain for finding in self.findings)
