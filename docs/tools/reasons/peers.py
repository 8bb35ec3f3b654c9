"""Reasons for which another converter's result is faster than ours, by network: from profiles of both."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {}
"""A sentence or two for every network where the figures show one that is faster beyond noise."""
