"""Inserts nodes and constants in the place of a node that they are to replace, and names them after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit

Attributes: TypeAlias = "Mapping[str, ir.Attr]"


@dataclass(frozen=True, slots=True)
class Inserter:
    """Insert nodes before a node.

    Attributes:
        graph: that has the node.
        node: the node.
        opset: version of the default domain.
    """

    graph: ir.Graph
    node: ir.Node
    opset: int

    def __call__(
        self,
        operator: str,
        *operands: ir.Value | None,
        results: int = 1,
        attributes: Mapping[str, ir.Attr] | None = None,
    ) -> ir.Value:
        """Return the first result of a new node; its shape is left to inference."""
        node = ir.Node("", operator, operands, (attributes or {}).values(), num_outputs=results)
        name = self.node.outputs[0].name
        node.name = edit.fresh_name(self.graph, f"{operator}/{name}")
        for result in node.outputs:
            result.name = edit.fresh_name(self.graph, f"{name}_{operator}")
        self.graph.insert_before(self.node, node)
        return node.outputs[0]

    def constant(self, array: npt.NDArray[np.generic]) -> ir.Value:
        """Return a new initializer."""
        return edit.add_constant(self.graph, f"{self.node.outputs[0].name}_constant", array)
