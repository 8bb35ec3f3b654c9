"""What computes nothing goes, and with it all that it asked for."""

from __future__ import annotations

import pytest

from layoutopt.ir.io import recorded_orders
from layoutopt.passes import DEFAULT_PIPELINE, DropIdentities
from layoutopt.pipeline.manager import PassManager
from tests.harness import check_pass, model_of

NOTHING = {
    "a pool of one element": "p = MaxPool <kernel_shape = [1, 1], strides = [1, 1]> (x)",
    "a mean of one element": "p = AveragePool <kernel_shape = [1, 1]> (x)",
    "a block of one element": "p = DepthToSpace <blocksize = 1> (x)",
    "a resize to the same size": (
        's = Constant <value = int64[4] {1, 2, 3, 4}> () p = Resize <mode = "linear"> (x, , , s)'
    ),
    "a resize by 1": "s = Constant <value = float[4] {1, 1, 1, 1}> () p = Resize (x, , s)",
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_goes(name: str) -> None:
    model = model_of(f"g (float[1,2,3,4] x) => (float[1,2,3,4] y) {{ {NOTHING[name]} y = Relu (p) }}")
    result = check_pass(DropIdentities(), model)
    assert [node.op_type for node in result.model.graph if node.op_type != "Constant"] == ["Relu"]
    optimized = PassManager(DEFAULT_PIPELINE).run(model).model
    assert [node.op_type for node in optimized.graph] == ["Relu"]
    assert not recorded_orders(optimized), "nothing is gained by other layouts of the ends"


@pytest.mark.parametrize(
    "node",
    [
        "p = MaxPool <kernel_shape = [1, 1], pads = [1, 1, 1, 1], strides = [2, 2]> (x)",
        "p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)",
        "p = GlobalMaxPool (x)",
    ],
)
def test_what_stays(node: str) -> None:
    model = model_of(f"g (float[1,2,3,4] x) => (float[1,2,h,w] y) {{ {node} y = Relu (p) }}")
    assert not DropIdentities()(model).modified


def test_a_tie_leaves_the_ends_as_they_were() -> None:
    """A Transpose, an activation and the Transpose back cancel in either layout."""
    text = """g (float[1,2,3,4] x) => (float[1,2,3,4] y) { a = Transpose <perm = [0, 2, 3, 1]> (x) s = Sigmoid (a)
        m = Mul (a, s) y = Transpose <perm = [0, 3, 1, 2]> (m) }"""
    optimized = PassManager(DEFAULT_PIPELINE).run(model_of(text)).model
    assert [node.op_type for node in optimized.graph] == ["Sigmoid", "Mul"]
    assert not recorded_orders(optimized)
