"""Why the operators of both backends differ, by the key of the entry: written by hand, for every difference."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {}
