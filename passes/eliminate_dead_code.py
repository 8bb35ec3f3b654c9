"""Removes what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass, RemoveUnusedOpsetsPass

from layoutopt.passes.base import Rewrite


@dataclass(frozen=True)
class EliminateDeadCode(Rewrite):
    """Remove nodes, initializers, functions and opset imports that no graph output depends on."""

    def rewrite(self, model: ir.Model) -> bool:
        """Remove all of it."""
        before = _ends(model)
        removals: tuple[ir.passes.InPlacePass, ...] = (
            RemoveUnusedNodesPass(),
            RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
            RemoveUnusedOpsetsPass(),
        )
        modified = [removal(model).modified for removal in removals]
        return any(modified) or _ends(model) != before


def _ends(model: ir.Model) -> list[tuple[int, int, tuple[str | None, ...]]]:
    """Return of each node what onnx_ir shortens without a word: optional operands, attributes and results."""
    nodes = model.graph.all_nodes()
    return [(len(node.inputs), len(node.attributes), tuple(out.name for out in node.outputs)) for node in nodes]
