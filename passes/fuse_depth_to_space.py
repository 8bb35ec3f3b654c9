"""Spells a DepthToSpace or SpaceToDepth out of Reshapes and Transposes as that operator, which the target has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.values import static_shape
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.rules.views import rearrangements
from layoutopt.passes.base import Rewrite

_TYPES = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)
"""For which ONNX Runtime has both operators."""


@dataclass(frozen=True)
class FuseDepthToSpace(Rewrite):
    """Replace Reshape, Transpose, Reshape by the DepthToSpace (DCR or CRD) or SpaceToDepth that they compute.

    They are told by where each element goes, so that axes of size 1 and further Reshapes do not matter. Values in
    between must have no other reader.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Fuse all of them."""
        opset = model.opset_imports.get("", 0)

        def fuse(graph: ir.Graph, node: ir.Node) -> bool:
            if (match := _match(node, opset)) is not None:
                _replace(graph, node, match)
            return match is not None

        return edit.rewrite_all(model, fuse)


class _Match(NamedTuple):
    """The operator that computes a value from ``source``."""

    source: ir.Value
    operator: str
    attributes: dict[str, int | str]


def _match(node: ir.Node, opset: int) -> _Match | None:
    result = node.outputs[0]
    shape = static_shape(result)
    if shape is None or len(shape) != 4 or result.dtype not in _TYPES:
        return None
    for found in rearrangements(result):
        source = static_shape(found.source)
        if source is None or len(source) != 4 or found.mode_order == ModeOrder.natural(source):
            continue
        for operator, attributes, order in _operators(source, shape, opset):
            if order == found.mode_order:
                return _Match(found.source, operator, attributes)
    return None


def _operators(
    source: tuple[int, ...], result: tuple[int, ...], opset: int
) -> Iterator[tuple[str, dict[str, int | str], ModeOrder]]:
    """Yield the operators that could make ``result`` of ``source``, by their shapes, and the order of each."""
    batch, channels, height, width = source
    block = max(result[2] // height, height // result[2])
    squared = block**2
    if block > 1 and result == (batch, channels // squared, height * block, width * block):
        depth = channels // squared
        mode: dict[str, int | str] = {"mode": "DCR"} if opset >= 11 else {}
        dcr = ModeOrder.of((batch, block, block, depth, height, width), (0, 3, 4, 1, 5, 2))
        yield "DepthToSpace", {"blocksize": block, **mode}, dcr
        if opset >= 11:
            crd = ModeOrder.of((batch, depth, block, block, height, width), (0, 1, 4, 2, 5, 3))
            yield "DepthToSpace", {"blocksize": block, "mode": "CRD"}, crd
    if block > 1 and source == (batch, result[1] // squared, result[2] * block, result[3] * block):
        _, _, rows, columns = result
        order = ModeOrder.of((batch, channels, rows, block, columns, block), (0, 3, 5, 1, 2, 4))
        yield "SpaceToDepth", {"blocksize": block}, order


def _replace(graph: ir.Graph, node: ir.Node, match: _Match) -> None:
    result = node.outputs[0]
    assert result.shape is not None
    fused = ir.node(match.operator, [match.source], match.attributes)
    value = edit.insert_after(graph, match.source, fused, tuple(result.shape), f"{result.name}_fused")
    edit.replace_uses(graph, result, value)
    edit.remove_dead(node)
