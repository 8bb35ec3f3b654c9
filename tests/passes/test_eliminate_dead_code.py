"""What no output depends on goes; what a caller can see stays."""

from __future__ import annotations

from layoutopt.passes import EliminateDeadCode, PropagateLayout
from tests.graphs import GRAPHS
from tests.harness import check_golden, check_pass, model_of


def test_golden() -> None:
    check_golden(EliminateDeadCode(), "eliminate_dead_code.dead")


def test_functions_and_opsets_that_nobody_uses() -> None:
    model = PropagateLayout()(GRAPHS["squeeze and excite"].model()).model
    assert {node.op_type for node in model.graph} >= {"Conv2D", "Relu"}
    used = set(model.functions)
    result = check_pass(EliminateDeadCode(), model)
    assert set(result.model.functions) == used
    model.graph.outputs[0] = next(node for node in model.graph if node.op_type == "Conv2D").outputs[0]
    left = EliminateDeadCode()(model).model
    assert [identifier[1] for identifier in left.functions] == ["Conv2D"]
    model.opset_imports["nobody.uses"] = 1
    assert "nobody.uses" not in EliminateDeadCode()(model).model.opset_imports


def test_a_default_that_nobody_reads_is_still_an_input() -> None:
    model = model_of("g (float[2] x) => (float[2] y) <float[2] k = {1, 2}> { y = Relu (x) }")
    model.graph.inputs.append(model.graph.initializers["k"])
    result = check_pass(EliminateDeadCode(), model)
    assert [value.name for value in result.model.graph.inputs] == ["x", "k"]
