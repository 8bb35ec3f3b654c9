"""Folds what is known offline, through onnxsim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass, ShapeInferencePass

from layoutopt.errors import InvalidModelError

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class FoldConstants(ir.passes.FunctionalPass):
    """Folds what is known offline (onnxsim), turns Constant nodes into initializers, and infers every shape.

    Attributes:
        simplify: whether onnxsim runs; without it, Constant nodes are lifted and shapes inferred, no more.
    """

    simplify: bool = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Folds a copy of ``model``.

        Raises:
            InvalidModelError: onnxsim refuses the model.
        """
        before = ir.to_proto(model)
        folded = ir.from_proto(_simplified(before)) if self.simplify else model.clone()
        folded.metadata_props.clear()  # onnxsim writes its whole log there
        folded.metadata_props.update(model.metadata_props)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(folded)
        RemoveUnusedNodesPass()(folded)
        ShapeInferencePass(data_prop=True)(folded)
        return ir.passes.PassResult(folded, not _same_computation(before, ir.to_proto(folded)))


def _simplified(proto: ModelProto) -> ModelProto:
    import onnxsim  # takes two seconds

    try:
        simplified, _ = onnxsim.simplify(proto)
    except Exception as error:  # it raises what its C++ part raises
        raise InvalidModelError(
            f"onnxsim cannot fold the model: {error}",
            hint="Go without it: --passes 'fold-constants{simplify=false},...'",
        ) from error
    return simplified


def _same_computation(one: ModelProto, other: ModelProto) -> bool:
    """Whether two models differ in nothing but inferred shapes, metadata and the order of initializers."""
    sequences = ("input", "output", "node")
    return all(getattr(one.graph, name) == getattr(other.graph, name) for name in sequences) and {
        tensor.name: tensor for tensor in one.graph.initializer
    } == {tensor.name: tensor for tensor in other.graph.initializer}
