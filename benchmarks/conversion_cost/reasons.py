"""Why the direct backend takes more than onnx2tf, by model: written by hand, from profiles of both."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {}
"""A sentence or two for every model where the figures show that it takes more time or memory, and for no other."""
