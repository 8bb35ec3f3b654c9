"""The comparison of two runs of ``layoutopt optimize``: models that became worse or better."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layoutopt.errors import InvalidModelError, UsageError
from layoutopt.files import require_file
from layoutopt.fleet.journal import read_rows
from layoutopt.fleet.row import Row

METRICS: Mapping[str, str] = {
    "operators": "operators",
    "transposes": "transposes",
    "bytes": "bytes_moved",
    "size": "file_size",
    "error": "max_abs_error",
    "latency": "latency_ms",
}
"""The figures that are compared, by the names of the command line, and where a report has them."""

DEFAULTS: Mapping[str, str] = {
    "operators": "0",
    "transposes": "0",
    "bytes": "0",
    "size": "1%",
    "error": "100%",
    "latency": "10%",
}
"""The allowed growth of each figure: sizes and errors differ a little between versions, latencies between runs."""

_ROUNDING = 1e-6
"""Errors below it are rounding, whatever their ratio is."""


class ChangeVerdict(enum.Enum):
    """The ways in which a model may have changed."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    """More than is allowed."""
    LARGER = "larger"
    """Not more than is allowed."""
    NEW = "new"
    GONE = "gone"
    """In the first file only; counts as worse."""
    FAILS = "fails"
    """It did not fail before; counts as worse."""
    WORKS = "works"
    """It failed before."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The growth that a number may have.

    Attributes:
        absolute: so much.
        relative: or by this share of what it was.
    """

    absolute: float = 0.0
    relative: float = 0.0

    @classmethod
    def of(cls, text: str) -> Allowance:
        """Return the allowance that ``5%`` or ``12`` stands for.

        Raises:
            ValueError: it is no number, or below 0.
        """
        number = float(text.removesuffix("%"))
        if not 0 <= number < float("inf"):
            raise ValueError("not a number from 0 on")
        return cls(relative=number / 100) if text.endswith("%") else cls(absolute=number)

    def permits(self, before: float, after: float) -> bool:
        """Return whether ``after`` is within the allowance of ``before``."""
        return after <= before + max(self.absolute, self.relative * before)


@dataclass(frozen=True, slots=True)
class Change:
    """One number of one model in both runs.

    Attributes:
        model: its path in the second run, or in the first where it is gone.
        metric: a key of `METRICS`; empty where the model has been done in one of the runs only.
        before: the number in the first run; None where it has none.
        after: the number in the second run; None where it has none.
        verdict: on both.
        note: why the model fails, where it does.
    """

    model: str
    metric: str
    before: float | None
    after: float | None
    verdict: ChangeVerdict
    note: str = ""

    @property
    def is_regression(self) -> bool:
        """Return whether the model became worse."""
        return self.verdict in (ChangeVerdict.WORSE, ChangeVerdict.GONE, ChangeVerdict.FAILS)


def compare_runs(before: Sequence[Row], after: Sequence[Row], allowed: Mapping[str, Allowance]) -> list[Change]:
    """Return the changes of all numbers that both runs have, and the models that succeed in only one of them.

    Models are matched by path, or where no path is in both runs, by the names of the files; one model on each side is
    taken for the same.

    Args:
        before: rows of the first run.
        after: rows of the second run.
        allowed: for each of `METRICS`.
    """
    pairs = _matched(before, after)
    return [change for one, other in pairs for change in _changes(one, other, allowed)]


def read_run(path: Path) -> list[Row]:
    """Return the rows of a file that ``optimize --results`` or ``optimize --json`` has written, one for each model.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is something else.
    """
    require_file(path)
    try:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":  # what comes after the first line
                raise
            rows = read_rows(path)
        else:
            rows = [_row(each) for each in (data if isinstance(data, list) else [data])]
    except (OSError, ValueError, UsageError) as error:
        told = error.message if isinstance(error, UsageError) else str(error)
        raise InvalidModelError(
            f"{path}: cannot be read as the results of 'layoutopt optimize' ({told})",
            hint="Make it with --results or --json.",
        ) from error
    return list({row.model: row for row in rows}.values())  # the last of each


def _row(data: Any) -> Row:
    """Return a row from the JSON of a row or of a report."""
    if isinstance(data, dict) and isinstance(data.get("optimized"), dict):
        return Row(str(data.get("model") or "standard input"), "", 0.0, data)
    return Row.of(data)


def _matched(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Row | None, Row | None]]:
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    by_path = {row.model for row in before} & {row.model for row in after}
    names = [[Path(row.model).name for row in rows] for rows in (before, after)]
    unique = all(len(set(each)) == len(each) for each in names)
    one, other = (
        {Path(row.model).name if unique and not by_path else row.model: row for row in rows} for rows in (before, after)
    )
    return [(one.get(name), other.get(name)) for name in {**one, **other}]


def _changes(one: Row | None, other: Row | None, allowed: Mapping[str, Allowance]) -> Iterator[Change]:
    if other is None:
        if one is not None:
            yield Change(one.model, "", None, None, ChangeVerdict.GONE)
    elif not other.is_done:
        failed_before = one is not None and not one.is_done
        yield Change(
            other.model, "", None, None, ChangeVerdict.SAME if failed_before else ChangeVerdict.FAILS, other.error
        )
    elif one is None or one.report is None:
        yield Change(other.model, "", None, None, ChangeVerdict.NEW if one is None else ChangeVerdict.WORKS)
    else:
        for metric in METRICS:
            before, after = _number(one, metric), _number(other, metric)
            if before is not None and after is not None:
                verdict = _verdict(metric, before, after, allowed[metric])
                yield Change(other.model, metric, before, after, verdict)


def _verdict(metric: str, before: float, after: float, allowance: Allowance) -> ChangeVerdict:
    if after == before:
        return ChangeVerdict.SAME
    if after < before:
        return ChangeVerdict.BETTER
    fits = allowance.permits(before, after) or (metric == "error" and after < _ROUNDING)
    return ChangeVerdict.LARGER if fits else ChangeVerdict.WORSE


def _number(row: Row, metric: str) -> float | None:
    assert row.report is not None
    found: float | None = row.report["optimized"].get(METRICS[metric])
    return None if found == 0 and metric == "size" else found  # of a file that was not written
