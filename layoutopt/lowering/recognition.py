"""Recognizes what LiteRT has one kernel for and ONNX spells with several nodes."""

from __future__ import annotations

import onnx_ir as ir


def recognize(model: ir.Model) -> None:
    """Put one node in the place of each pattern, in all graphs of ``model``."""
