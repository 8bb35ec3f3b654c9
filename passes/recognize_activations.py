"""Writes activations that are spelled out as one node, before other passes work constants into their own."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.recognition import recognize_activations
from layoutopt.passes.base import Rewrite


@dataclass(frozen=True)
class RecognizeActivations(Rewrite):
    """Put one node in the place of each Gelu, HardSwish, Mish and Softplus that is spelled out.

    Where the opset has no such operator, it is a function of the model with the same nodes in it.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Recognize them all."""
        modified = recognize_activations(model)
        dialect.define(model)
        return modified
