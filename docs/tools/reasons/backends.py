"""Reasons for which the operators of both backends differ, by the network, for every difference in the figures."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {}
"""A sentence or two for every network where the figures show a difference."""
