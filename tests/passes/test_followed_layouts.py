"""The layouts chosen at one size, at another one where others would have been chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir
import pytest

from layoutopt.errors import UsageError
from layoutopt.ir.verify import Reference
from layoutopt.layout.plan.following import ChosenLayouts, name_of
from layoutopt.layout.rules.variants import operand
from layoutopt.options import Io
from layoutopt.passes import PropagateLayout
from layoutopt.passes.propagate_layout import LayoutResult
from layoutopt.pipeline.text import format_pipeline, parse_pipeline
from tests.graphs import numbers
from tests.harness import model_of


def attention(length: int) -> ir.Model:
    """Two heads of 16 channels, over ``length`` tokens of 32."""
    constants = [*(numbers(name, 32, 32) for name in ("wq", "wk", "wv", "wo"))]
    constants += [f"int64[4] heads = {{1, {length}, 2, 16}}", f"int64[3] rows = {{1, {length}, 32}}"]

    def head(name: str, perm: str) -> str:
        return (
            f"{name}p = MatMul (x, w{name}) {name}r = Reshape ({name}p, heads) "
            f"{name} = Transpose <perm = [{perm}]> ({name}r)"
        )

    body = (
        f"{head('q', '0, 2, 1, 3')} {head('k', '0, 2, 3, 1')} {head('v', '0, 2, 1, 3')} s = MatMul (q, k) "
        "p = Softmax <axis = -1> (s) a = MatMul (p, v) b = Transpose <perm = [0, 2, 1, 3]> (a) "
        "c = Reshape (b, rows) o = MatMul (c, wo) y = Add (o, x)"
    )
    return model_of(f"g (float[1,{length},32] x) => (float y) <{', '.join(constants)}> {{ {body} }}")


def chosen_by(propagate: PropagateLayout, model: ir.Model) -> Sequence[ChosenLayouts]:
    result = propagate(model)
    assert isinstance(result, LayoutResult)
    return result.chosen


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("io", [Io.KEEP, Io.FREE])
@pytest.mark.parametrize(("first", "second"), [(4, 48), (16, 196), (63, 3)])
def test_a_second_size_has_the_operators_of_the_first(first: int, second: int, io: Io) -> None:
    propagate = PropagateLayout(io=io)
    one, other, alone = attention(first), attention(second), attention(second)
    reference = Reference(other.clone())
    chosen = chosen_by(propagate, one)
    propagate(alone)
    followed = replace(propagate, chosen=chosen)(other)
    assert operators(one) != operators(alone)  # so that there is something to follow
    assert operators(one) == operators(other)
    assert followed.modified
    reference.check(other)


def test_a_graph_that_was_left_alone_is_left_alone() -> None:
    propagate = PropagateLayout(io=Io.KEEP)
    first, second = (model_of(f"g (float[1,{size}] x) => (float y) {{ y = Relu (x) }}") for size in (4, 6))
    assert not replace(propagate, chosen=chosen_by(propagate, first))(second).modified


def test_layouts_that_a_size_does_not_have_are_chosen_anew() -> None:
    """Twelve tokens may be stored as four threes, which ten cannot."""
    propagate = PropagateLayout(io=Io.KEEP)

    def shuffled(length: int, groups: int) -> ir.Model:
        shapes = f"int64[4] parts = {{1, {groups}, {length // groups}, 4}}, int64[3] rows = {{1, {length}, 4}}"
        body = (
            "a = Reshape (x, parts) b = Transpose <perm = [0, 2, 1, 3]> (a) c = Reshape (b, rows) d = Sin (c) "
            "e = MatMul (d, w) y = Relu (e)"
        )
        return model_of(f"g (float[1,{length},4] x) => (float y) <{numbers('w', 4, 4)}, {shapes}> {{ {body} }}")

    one, other = shuffled(12, 4), shuffled(10, 5)
    reference = Reference(other.clone())
    chosen = chosen_by(propagate, one)
    (layout,) = {layouts[operand(0)] for name, layouts in chosen[0].nodes.items() if name == "d"}
    assert layout.sized((1, 10, 4)) is None or layout.is_natural
    replace(propagate, chosen=chosen)(other)
    reference.check(other)


def test_nodes_without_their_first_result_have_names_of_their_own() -> None:
    values = [[ir.Value(name=""), ir.Value(name=name)] for name in ("h", "c")]
    assert [name_of(ir.Node("", "LSTM", [], outputs=outputs)) for outputs in values] == ["h", "c"]


def test_no_text_names_the_layouts_to_follow() -> None:
    followed = replace(PropagateLayout(), chosen=chosen_by(PropagateLayout(), attention(4)))
    assert format_pipeline([followed]) == "propagate-layout"
    with pytest.raises(UsageError, match="no option"):
        parse_pipeline("propagate-layout{chosen=x}")
