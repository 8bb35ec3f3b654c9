"""The result of one model: a row of the table, and a line of the file of results."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, TypeAlias

Report: TypeAlias = "dict[str, Any]"
"""The report of ``layoutopt optimize`` as JSON has it."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one model.

    Attributes:
        model: path of the model.
        key: of its task.
        seconds: that its process ran.
        report: of ``layoutopt optimize``; None where that failed.
        error: why it failed, in one line; empty where it did not.
        hint: what to do about it.
        exit_code: of its process.
        log: what its process wrote to standard error.
    """

    model: str
    key: str
    seconds: float
    report: Report | None
    error: str = ""
    hint: str = ""
    exit_code: int = 0
    log: str = ""

    @property
    def is_done(self) -> bool:
        """Return whether the model was optimized."""
        return self.report is not None

    @property
    def outputs(self) -> frozenset[str]:
        """Return the paths that were written; none if it failed."""
        report = self.report or {}
        return frozenset(str(report[name]) for name in ("output", "tflite") if report.get(name))

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data, without the log."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "log"}

    def to_line(self) -> str:
        """Return the row as one line of JSON, with the line break."""
        return json.dumps(self.to_json(), allow_nan=False) + "\n"

    @classmethod
    def of(cls, data: object) -> Row:
        """Return the row that `to_json` turned into ``data``.

        Raises:
            ValueError: it is none.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(data, dict) or not {"model", "key", "seconds", "report"} <= data.keys() <= fields:
            raise ValueError("not a row of results")
        return cls(**data)
