"""Writes each Resize of other axes than the spatial ones as one of N, C, spatial..., which the target has."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.resizing import arrange_resizes
from layoutopt.passes.base import Rewrite


@dataclass(frozen=True)
class ArrangeResizes(Rewrite):
    """Put Reshapes and Transposes around each Resize and Upsample whose first two axes are not batch and channels.

    An image of H, W, C gets its batch, and its Transposes go where the choice of layouts sends them.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Rewrite all resizes."""
        opset, modified = model.opset_imports.get("", 0), False
        for graph in edit.graphs_of(model):
            modified |= arrange_resizes(graph, opset)
        return modified
