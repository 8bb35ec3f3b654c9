"""The bytes that ONNX Runtime's own transpose optimizer leaves in Transposes, beside the optimum.

::

    python -m benchmarks.studies.ort_transposes MODEL.onnx...

Both sides start from the same graph and keep its inputs and outputs. Ours is the plan of that graph. ONNX Runtime
gets the per-operator layout: every layout-sensitive operator between two Transposes. It would inline the functions of
the dialect and cancel their Transposes against those around them, so such an operator is an Einsum here that gives a
tensor of the right shape from a channels-last one: ONNX Runtime moves no Transpose through it, as ours moves none
through the operator. Ours plays by the same rules: a Concat or Split of short pieces is free, as ONNX Runtime has it.
A Softmax along any axis but the last counts for both. What has nothing to do with layouts is switched off: merging of
nodes that compute the same.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from layoutopt.ir import dialect, edit
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.values import known_shape
from layoutopt.layout.rules.applicability import rule_for
from layoutopt.options import Io, Objective
from layoutopt.passes import CancelTransposes, EliminateDeadCode, FoldConstants, PropagateLayout
from layoutopt.passes.propagate_layout import Scope

OTHER_OPTIMIZERS = ["CommonSubexpressionElimination"]


@dataclass(frozen=True, slots=True)
class Rivals:
    """Bytes moved in one inference.

    Attributes:
        per_operator: by the graph that both start from.
        ours: by our plan.
        theirs: by what ONNX Runtime makes of the per-operator layout.
    """

    per_operator: int
    ours: int
    theirs: int


def compare(model: ir.Model) -> Rivals:
    """Return what both make of ``model``, whose shapes are known offline; it is left as it is."""
    folded = FoldConstants(simplify=False)(model).model
    ours = PropagateLayout(io=Io.KEEP, objective=Objective.BYTES)(folded.clone()).model
    per_operator = PropagateLayout(io=Io.KEEP, scope=Scope.OPERATOR)(folded.clone()).model
    _hide_anchors(per_operator)
    theirs = _optimized_by_ort(per_operator)
    return Rivals(*map(_moved, (per_operator, ours, theirs)))


def _hide_anchors(model: ir.Model) -> None:
    """Put an Einsum of the same operand and result shapes in the place of each operator of the dialect."""
    for node in list(model.graph.all_nodes()):
        if node.domain != dialect.DOMAIN:
            continue
        graph, source, result = node.graph, node.inputs[0], node.outputs[0]
        assert isinstance(graph, ir.Graph)
        assert source is not None
        sizes = zip(known_shape(source)[1:], known_shape(result)[1:], strict=True)
        matrices = [edit.add_constant(graph, "anchor", np.zeros(pair, np.float32)) for pair in sizes]
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)
        node.resize_inputs(4)
        for index, value in enumerate((source, *matrices)):
            node.replace_input_with(index, value)
        node.domain, node.op_type = "", "Einsum"
        node.attributes.clear()
        node.attributes["equation"] = ir.AttrString("equation", "nhwc,hp,wq,cd->npqd")
    for function in list(model.functions):
        del model.functions[function]
    EliminateDeadCode()(model)


def _optimized_by_ort(model: ir.Model) -> ir.Model:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "optimized.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(
            ir.to_proto(model).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=OTHER_OPTIMIZERS,
        )
        proto = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    return CancelTransposes()(ir.from_proto(proto)).model


def _moved(model: ir.Model) -> int:
    """Return the bytes in Transposes, and in operators that the target runs on the last axis alone."""
    rules = ((node, rule_for(node, model.opset_imports[""])) for node in model.graph.all_nodes())
    natural = (rule.natural(node) for node, rule in rules if rule is not None)
    return count_onnx(model).bytes_moved + sum(variant.inner.transposed for variant in natural if variant is not None)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.ort_transposes", description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files")
    options = parser.parse_args()
    print("| graph | per-operator | ours | ONNX Runtime | excess |\n|---|---|---|---|---|")
    for path in options.models:
        print(_row(path.stem, compare(FoldConstants()(ir.load(path)).model)), flush=True)


def _row(name: str, rivals: Rivals) -> str:
    excess = f"{rivals.theirs / rivals.ours - 1:+.0%}" if rivals.ours else "none" if not rivals.theirs else "all of it"
    return f"| {name} | {rivals.per_operator:,} | {rivals.ours:,} | {rivals.theirs:,} | {excess} |"


if __name__ == "__main__":
    main()
