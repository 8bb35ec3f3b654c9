"""The contract of every pass, and how a layout is judged.

A pass must leave a valid model with the interface that it had, say truthfully whether it changed anything, find nothing
to do in its own result, and keep what the model computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.inliner
import onnx.reference
import onnx_ir as ir

from layoutopt.ir.counts import bytes_transposed, count_onnx
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.perm import MAX_TRANSPOSED, Perm, factor, permute
from layoutopt.ir.values import is_constant, known_shape
from layoutopt.ir.verify import Arrays, random_inputs, run_onnx, to_natural, to_stored
from layoutopt.layout.costs.movement import TimeTable
from layoutopt.layout.costs.objectives import OperatorTimes, PieceTimes
from layoutopt.layout.costs.products import ProductTimes
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.rules.applicability import rule_for
from layoutopt.layout.solver.problem import Problem
from layoutopt.options import Io, Objective
from layoutopt.passes.propagate_layout import LayoutResult, PropagateLayout, Scope

GOLDEN = Path(__file__).parent / "passes" / "golden"


def check_golden(pass_: ir.passes.PassBase, case: str) -> None:
    """``pass_`` keeps its contract on ``case``.before.txt, and makes ``case``.after.txt of it, to the letter."""
    before = ir.from_proto(onnx.parser.parse_model((GOLDEN / f"{case}.before.txt").read_text()))
    result = check_pass(pass_, before)
    for function in list(result.model.functions):
        del result.model.functions[function]  # the definitions of the dialect have tests of their own
    assert onnx.printer.to_text(ir.to_proto(result.model)) == (GOLDEN / f"{case}.after.txt").read_text().rstrip("\n")


def model_of(text: str, *, opset: int = 17) -> ir.Model:
    """A model from the text form of its graph, with every shape inferred, also that of an output that names none."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for output in proto.graph.output:
        if output.type.HasField("tensor_type") and not output.type.tensor_type.shape.dim:
            output.type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


def in_type(model: ir.Model, dtype: ir.DataType) -> ir.Model:
    """The same model with all that is float32 in another type of floats."""
    graph = model.graph
    for weight in graph.initializers.values():
        if weight.const_value is not None and weight.const_value.dtype is ir.DataType.FLOAT:
            weight.const_value = ir.tensor(weight.const_value.numpy().astype(dtype.numpy()), name=weight.name)
    for value in (*graph.inputs, *graph.initializers.values(), *(each for node in graph for each in node.outputs)):
        if value.dtype is ir.DataType.FLOAT:
            value.dtype = dtype
    return model


def check_pass(pass_: ir.passes.PassBase, model: ir.Model, *, execute: bool = True) -> ir.passes.PassResult:
    """Holds one pass to its contract on one model, which is left as it is.

    Args:
        pass_: the pass.
        model: valid.
        execute: whether ONNX Runtime can run the model.

    Returns:
        What the pass made of a copy of ``model``.
    """
    before = ir.to_proto(model)
    check_valid(before)
    result = pass_(ir.from_proto(before))
    after = ir.to_proto(result.model)
    check_interface(before, result.model)
    if after == before:  # so it computes the same, and a second run would be the first one
        assert not result.modified, "modified is True"
        return result
    check_valid(after)
    changed = (computation(before), _node_names(before)) != (computation(after), _node_names(after))
    assert result.modified == changed, f"modified is {result.modified}"
    again = pass_(ir.from_proto(after))
    if not isinstance(result, LayoutResult) or result.assignment is None or result.assignment.proved_optimal:
        assert computation(ir.to_proto(again.model)) == computation(after), "a second run changes the model"
        assert not again.modified, "a second run claims to change the model"
    assert total_bytes(again.model) <= total_bytes(result.model), "a second run makes it worse"
    if execute:
        check_equal(ir.from_proto(before), result.model)
    return result


def check_valid(proto: onnx.ModelProto) -> None:
    """The checker at its strictest; no value is of two kinds, and none is read that nobody writes."""
    onnx.checker.check_model(proto, full_check=True)


def check_interface(before: onnx.ModelProto, model: ir.Model) -> None:
    """Inputs and outputs keep names, order, types and, apart from the recorded layout, shapes."""
    original = ir.from_proto(before)
    old, new = recorded_orders(original), recorded_orders(model)
    for ours, theirs in ((original.graph.inputs, model.graph.inputs), (original.graph.outputs, model.graph.outputs)):
        assert [value.name for value in ours] == [value.name for value in theirs]
        assert [value.type for value in ours] == [value.type for value in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert _shape(other) == _stored_shape(one, _relative(old, new, str(one.name)))


def _relative(old: Mapping[str, Perm], new: Mapping[str, Perm], name: str) -> Perm | None:
    if name in old:
        assert new[name] == old[name], "a recorded layout was changed"
        return None
    return new.get(name)


def _shape(value: ir.Value) -> tuple[str, ...] | None:
    return None if value.shape is None else tuple(map(str, value.shape))


def _stored_shape(value: ir.Value, order: Perm | None) -> tuple[str, ...] | None:
    shape = _shape(value)
    return shape if order is None or shape is None else permute(shape, order)


def computation(proto: onnx.ModelProto) -> tuple[object, ...]:
    """All of a model that has to do with what it computes: no names of nodes, no metadata, no inferred shapes."""
    graph = proto.graph
    return (
        [node.SerializeToString(deterministic=True) for node in map(_bare, graph.node)],
        [value.SerializeToString(deterministic=True) for value in (*graph.input, *graph.output)],
        {tensor.name: tensor.SerializeToString(deterministic=True) for tensor in graph.initializer},
        {(each.domain, each.name): each.SerializeToString(deterministic=True) for each in proto.functions},
        {(each.domain, each.version) for each in proto.opset_import},
    )


def _node_names(proto: onnx.ModelProto) -> list[str]:
    return [node.name for node in proto.graph.node]


def _bare(node: onnx.NodeProto) -> onnx.NodeProto:
    """``node`` without its name, its metadata and the inferred shapes of its bodies."""
    bare = onnx.NodeProto()
    bare.CopyFrom(node)
    bare.ClearField("name")
    bare.ClearField("metadata_props")
    for attribute in bare.attribute:
        for body in (attribute.g, *attribute.graphs):
            body.ClearField("value_info")
            inner = [_bare(each) for each in body.node]
            body.ClearField("node")
            body.node.extend(inner)
    return bare


def check_equal(original: ir.Model, model: ir.Model, *, seed: int = 0) -> None:
    """Both compute the same from random inputs, each in its own layouts."""
    inputs = random_inputs(original, seed)
    expected = computed(original, inputs)
    old = recorded_orders(original)
    orders = {name: order for name, order in recorded_orders(model).items() if name not in old}
    actual = to_natural(computed(model, to_stored(inputs, orders)), orders)
    assert list(actual) == list(expected)
    for name, array in expected.items():
        rtol, atol = (1e-2, 1e-2) if array.dtype == np.float16 else (1e-4, 1e-5)
        assert actual[name].dtype == array.dtype
        wide, other = array.astype(np.float64), actual[name].astype(np.float64)
        margin = max(atol * _scale(wide), _steps(original) if array.dtype.kind in "iu" else 0)
        np.testing.assert_allclose(other, wide, rtol=rtol, atol=margin, err_msg=name)


def _steps(model: ir.Model) -> int:
    """By how many steps integers may differ: quantized operators round otherwise than QuantizeLinear after floats."""
    return int(any(node.op_type.startswith(("QLinear", "QGemm")) for node in model.graph.all_nodes()))


def computed(model: ir.Model, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """By ONNX Runtime, or by ONNX's own evaluator where that lacks an operator."""
    try:
        return run_onnx(model, inputs)
    except RuntimeError as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
    outputs = [str(value.name) for value in model.graph.outputs]
    evaluator = onnx.reference.ReferenceEvaluator(onnx.inliner.inline_local_functions(ir.to_proto(model)))
    return dict(zip(outputs, evaluator.run(outputs, dict(inputs)), strict=True))


def _scale(array: npt.NDArray[np.float64]) -> float:
    """The largest finite absolute value, at least 1: sums of large numbers cancel to small ones."""
    return float(np.abs(array).max(initial=1.0, where=np.isfinite(array)))


def transposes(model: ir.Model) -> int:
    """How many Transposes are in the graph and its bodies."""
    return count_onnx(model).transposes


def total_bytes(model: ir.Model) -> int:
    """What a model moves: in Transposes, and inside operators that the target runs on another axis alone.

    A Transpose of more axes than one may have counts as several.
    """
    opset = model.opset_imports[""]
    inside = 0
    for node in model.graph.all_nodes():
        if (rule := rule_for(node, opset)) is not None and (natural := rule.natural(node)) is not None:
            inside += natural.inner.transposed
    moved = sum(bytes_transposed(node) * _transposes_taken(node) for node in model.graph.all_nodes())
    return moved + inside


def _transposes_taken(node: ir.Node) -> int:
    """How many Transposes of few axes a Transpose takes."""
    perm = node.attributes["perm"].as_ints() if node.op_type == "Transpose" and "perm" in node.attributes else ()
    shape = known_shape(node.inputs[0]) if len(perm) > MAX_TRANSPOSED and node.inputs[0] else ()
    moving = [axis for axis in perm if shape and shape[axis] != 1]
    return len(factor(tuple(sorted(moving).index(axis) for axis in moving)))


def check_bytes(model: ir.Model, *, io: Io = Io.FREE) -> None:
    """By bytes, the pass moves what its solver says, never more than per-operator layout or a graph without anchors.

    What operators move inside is as the plan says: a Concat of short pieces tells by itself no more what it once was.
    """
    copy = ir.from_proto(ir.to_proto(model))
    pass_ = PropagateLayout(io=io, objective=Objective.BYTES)
    result = pass_(copy)
    assert isinstance(result, LayoutResult)
    assert result.assignment is not None
    assert result.assignment.lower_bound <= result.assignment.cost
    plans = pass_.plans(model)
    inside = sum(variant.inner.transposed for plan in plans.values() for variant in plan.variants.values())
    constants = sum(_constant_bytes(graph) for graph in plans)  # which are folded before and after this pass
    moved = result.assignment.cost + constants
    if result.modified:
        assert count_onnx(result.model).bytes_moved + inside == moved
    pinned = sum(_pinned_bytes(graph, plan) for graph, plan in plans.items())
    assert moved == sum(plan.assignment.cost for plan in plans.values()) + pinned
    per_operator = PropagateLayout(io, Scope.OPERATOR, Objective.BYTES)(ir.from_proto(ir.to_proto(model)))
    assert moved <= total_bytes(per_operator.model)
    if not any(plan.sensitive for plan in plans.values()):
        assert moved <= total_bytes(model)


def _constant_bytes(graph: ir.Graph) -> int:
    """Bytes of the Transposes of constants."""
    transposes = (node for node in graph if node.op_type == "Transpose")
    return sum(bytes_transposed(each) for each in transposes if each.inputs[0] and is_constant(each.inputs[0]))


def _pinned_bytes(graph: ir.Graph, plan: Plan) -> int:
    """Bytes of the Transposes that the plan does not see: they stay as they are."""
    seen = {*plan.views, *(node.outputs[0] for node in plan.links)}
    return sum(bytes_transposed(node) for node in graph if node.outputs[0] not in seen)


def brute_force(problem: Problem) -> tuple[int, int]:
    """The least bytes and, among equals, the fewest copies."""
    choices = product(*(range(len(costs)) for costs in problem.variants))
    return min((problem.cost(choice), problem.copies(choice)) for choice in choices)


def only_transposes(table: TimeTable) -> OperatorTimes:
    """Return times by which products take one nanosecond for each multiplication in every form, and pieces none."""
    return OperatorTimes(table, ProductTimes((1,), (1,), ((1.0,),), 0.0, 0.0, 0.0, 0.0), PieceTimes((1,), (0.0,)))
