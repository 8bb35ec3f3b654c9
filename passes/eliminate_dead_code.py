"""Removes what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass, RemoveUnusedOpsetsPass


@dataclass(frozen=True)
class EliminateDeadCode(ir.passes.InPlacePass):
    """Removes nodes, initializers, functions and opset imports that no graph output depends on."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Removes in place."""
        removals = (RemoveUnusedNodesPass(), RemoveUnusedFunctionsPass(), RemoveUnusedOpsetsPass())
        return ir.passes.PassResult(model, any([removal(model).modified for removal in removals]))
