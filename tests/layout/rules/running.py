"""The pipeline that tests of layout rules run."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.options import Io, Objective
from layoutopt.passes import CancelTransposes, EliminateDeadCode, FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassManager, PipelineResult
from tests.harness import check_equal, check_valid, model_of, transposes


def run(model: ir.Model, *, io: Io = Io.FREE) -> PipelineResult:
    """The default pipeline by bytes, and without onnxsim, which would fold some operators away."""
    propagate = PropagateLayout(io=io, objective=Objective.BYTES)
    passes = (FoldConstants(simplify=False), propagate, CancelTransposes(), EliminateDeadCode())
    return PassManager(passes).run(model)


def check_free(text: str, opset: int) -> None:
    """Nothing is left to move, and the result is the same."""
    original = model_of(text, opset=opset)
    result = run(model_of(text, opset=opset), io=Io.KEEP)
    check_valid(ir.to_proto(result.model))
    check_equal(original, result.model)
    assert transposes(result.model) == 0
    assert result.assignment is not None
    assert result.assignment.cost == 0
