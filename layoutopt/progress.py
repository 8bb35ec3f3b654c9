"""The stages of a run: how long each takes, told to those who ask and to the log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with what starts now."""

_log = logging.getLogger("layoutopt")
_ROUND = re.compile(r"(: )?(round )?\d+ of \d+$")
PASSES, SAVINGS = "passes", "what each pass saves"
_OF_STEPS = {PASSES, SAVINGS}
"""Stages of many short steps, whose names follow a colon."""


class StageTimer:
    """Tell the caller what starts, and keep the time of each stage.

    The log `layoutopt` of the standard library gets a line per stage at the level INFO.

    Args:
        progress: called with what starts now.
        ended: called with each stage and its seconds as it ends.
    """

    def __init__(self, progress: Progress | None = None, ended: Callable[[str, float], None] | None = None) -> None:
        self._progress, self._ended = progress, ended
        self._stage, self._start = "", 0.0
        self.seconds: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """Record the stage that starts now, or the next round or step of the current one."""
        stage = stage_of(text) or self._stage
        if stage != self._stage:
            self.finish()
            self._stage, self._start = stage, time.perf_counter()
        if self._progress is not None:
            self._progress(text)

    def finish(self) -> None:
        """Take note that the last stage has ended."""
        if not self._stage:
            return
        seconds, stage = time.perf_counter() - self._start, self._stage
        self._stage = ""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        _log.info("%s: %.2f s", stage, seconds)
        if self._ended is not None:
            self._ended(stage, seconds)


def stage_of(text: str) -> str:
    """Return the name of the stage, without the number of its round or the name of its step."""
    stage, _, _ = text.partition(": ")
    return stage if stage in _OF_STEPS else _ROUND.sub("", text)
