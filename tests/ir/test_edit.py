"""Edits of a graph: names stay unique, outputs keep their names."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.ir import edit
from layoutopt.ir.values import constant_of
from tests.harness import check_equal, check_valid, model_of

TWO = "g (float[2,3] x, float[3,2] k) => (float[3,2] y, float[3,2] z) { t = Transpose (x) y = Relu (t) z = Add (t, k) }"


def node_of(model: ir.Model, result: str) -> ir.Node:
    return next(node for node in model.graph.all_nodes() if node.outputs[0].name == result)


def value_of(model: ir.Model, name: str) -> ir.Value:
    return node_of(model, name).outputs[0]


def test_a_constant_is_what_nobody_can_set() -> None:
    model = model_of(
        "g (float[2] x) => (float[2] y) <float[2] k = {1, 2}> { "
        "c = Constant <value = float[2] {3, 4}> () a = Add (x, k) y = Add (a, c) }"
    )
    initializer = model.graph.initializers["k"]
    tensor = constant_of(initializer)
    assert tensor is not None
    assert tensor.numpy().tolist() == [1, 2]
    constant = constant_of(value_of(model, "c"))
    assert constant is not None
    assert constant.numpy().tolist() == [3, 4]
    assert constant_of(value_of(model, "a")) is None
    assert constant_of(model.graph.inputs[0]) is None
    model.graph.inputs.append(initializer)
    assert constant_of(initializer) is None


def test_names_are_fresh_in_every_graph() -> None:
    """Of values, nodes, inputs, constants, of what a body holds; and what was given once is not given again."""
    model = model_of(
        """g (float[2] a, bool flag) => (float[2] y) <float[2] k = {1, 2}> {
            [n] b = Add (a, k)
            y = If (flag) <
                then_branch = one () => (float[2] c) { c = Relu (b) },
                else_branch = two () => (float[2] d) { d = Neg (b) }
            >
        }"""
    )
    main, *bodies = edit.graphs_of(model)
    taken = {"a", "b", "c", "d", "k", "n", "y", "flag"}
    given = [edit.fresh_name(graph, name) for graph in (main, *bodies) for name in sorted(taken)]
    assert len(bodies) == 2
    assert not taken & set(given)
    assert len(set(given)) == len(given)
    assert edit.fresh_name(main, "new") == "new"
    assert edit.fresh_name(bodies[0], "new") == "new_1"


def test_insertions_are_in_order_and_have_names_of_their_own() -> None:
    model = model_of(TWO)
    source = model.graph.inputs[0]
    first = edit.transpose(model.graph, source, (1, 0), (3, 2), "t")
    second = edit.reshape(model.graph, first, (6,), "t")
    third = edit.reshape(model.graph, first, (6,), "t")
    model.graph.outputs.extend([second, third])
    check_valid(ir.to_proto(model))
    names = [node.name for node in model.graph]
    assert len({name for name in names if name}) == len([name for name in names if name])
    assert len({first.name, second.name, third.name, "t"}) == 4


def test_forward_keeps_the_name_of_an_output() -> None:
    original, model = model_of(TWO), model_of(TWO)
    node = node_of(model, "y")
    copy = ir.node("Relu", [node.inputs[0]])
    assert node.inputs[0] is not None
    edit.replace_uses(
        model.graph, node.outputs[0], edit.insert_after(model.graph, node.inputs[0], copy, (3, 2), "again")
    )
    edit.remove_dead(node)
    check_valid(ir.to_proto(model))
    check_equal(original, model)


@pytest.mark.parametrize("target", ["x2", "y2", "k2"])
def test_an_output_that_becomes_an_input_an_output_or_a_constant_is_copied(target: str) -> None:
    """None of these can bear a second name."""
    text = (
        "g (float[2] x2) => (float[2] y2, float[2] z) <float[2] k2 = {1, 2}> { y2 = Add (x2, k2) "
        "z = Identity (TARGET) }"
    )
    original, model = (model_of(text.replace("TARGET", target)) for _ in range(2))
    node = node_of(model, "z")
    assert node.inputs[0] is not None
    edit.replace_uses(model.graph, node.outputs[0], node.inputs[0])
    edit.remove_dead(node)
    check_valid(ir.to_proto(model))
    check_equal(original, model)


def test_an_output_that_stands_twice_is_replaced_twice() -> None:
    model = model_of("g (float[2,3] x) => (float[2,3] y, float[2,3] y) { t = Neg (x) y = Relu (t) }")
    node = node_of(model, "y")
    assert node.inputs[0] is not None
    edit.replace_uses(model.graph, node.outputs[0], node.inputs[0])
    edit.remove_dead(node)
    assert [output.name for output in model.graph.outputs] == ["y", "y"]
    check_valid(ir.to_proto(model))


def test_the_output_of_a_body_never_is_an_outer_value() -> None:
    text = """g (float[2] a, bool flag) => (float[2] y) {
        b = Neg (a)
        y = If (flag) <
            then_branch = one () => (float[2] c) { c = Identity (b) },
            else_branch = two () => (float[2] d) { d = Relu (b) }
        >
    }"""
    original, model = model_of(text), model_of(text)
    node = node_of(model, "c")
    body = node.graph
    assert isinstance(body, ir.Graph)
    assert node.inputs[0] is not None
    edit.replace_uses(body, node.outputs[0], node.inputs[0])
    edit.remove_dead(node)
    assert [output.name for output in body.outputs] == ["c"]
    assert [output.producer() in list(body) for output in body.outputs] == [True]
    check_valid(ir.to_proto(model))
    check_equal(original, model)


def test_remove_dead_takes_what_only_the_dead_have_read() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { a = Neg (x) b = Relu (a) c = Abs (b) d = Exp (b) y = Log (a) }")
    edit.remove_dead(node_of(model, "c"))
    assert [node.op_type for node in model.graph] == ["Neg", "Relu", "Exp", "Log"]
    edit.remove_dead(node_of(model, "d"))
    assert [node.op_type for node in model.graph] == ["Neg", "Log"]
    edit.remove_dead(node_of(model, "y"))
    assert [node.op_type for node in model.graph] == ["Neg", "Log"]


def test_a_constant_is_added_under_a_name_like_the_one_asked_for() -> None:
    model = model_of(TWO)
    added = [edit.add_constant(model.graph, "k", np.array([1, 2], np.int64)) for _ in range(2)]
    names = [value.name for value in added]
    assert "k" not in names
    assert len(set(names)) == 2
    assert set(names) <= set(model.graph.initializers)


def test_a_name_that_is_wanted_often_is_numbered() -> None:
    model = model_of("g (float[2] w) => (float[2] y) { w_2 = Relu (w) y = Relu (w_2) }")
    assert [edit.fresh_name(model.graph, "w") for _ in range(3)] == ["w_1", "w_3", "w_4"]


def test_a_dead_chain_may_be_longer_than_the_stack() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    last = model.graph.inputs[0]
    for index in range(2000):
        node = ir.node("Relu", [last], name=f"dead_{index}")
        model.graph.append(node)
        last = node.outputs[0]
    edit.remove_dead(model.graph[-1])
    assert len(model.graph) == 1
