"""Random graphs: small, of every operator family that the rule table knows, with pinned operators in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st
from onnx_ir.passes.common import ShapeInferencePass

from tests.network_builder import Builder, Shape, shape_of
from tests.network_steps import STEPS

OPSETS = (12, 13, 17, 18, 21)


@st.composite
def random_models(
    draw: st.DrawFn, *, steps: int = 10, kinds: Sequence[Callable[[Builder], None]] = STEPS, closed: bool = False
) -> ir.Model:
    """A model of static shapes. All that nobody reads is an output.

    Args:
        draw: from Hypothesis.
        steps: how many at most; there is at least one.
        kinds: of steps.
        closed: whether a convolution is behind every image that nobody reads.
    """
    builder = Builder(draw, draw(st.sampled_from(OPSETS)), np.random.default_rng(draw(st.integers(0, 9))))
    sizes = st.sampled_from([1, 2, 3, 4])
    builder.add_input(
        (draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 2, 3, 4, 8])), draw(sizes), draw(sizes))
    )
    for _ in range(draw(st.integers(0, 2))):
        builder.add_input(draw(st.sampled_from([shape_of(builder.pool[0]), *FURTHER_INPUTS])))
    for step in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=steps)):
        step(builder)
    for value in [value for value in builder.pool if closed and not value.uses() and len(shape_of(value)) == 4]:
        n, c, h, w = shape_of(value)
        builder.node("Conv", [value, builder.floats((1, c, 1, 1))], (n, 1, h, w))
    graph = ir.Graph(
        builder.inputs,
        _outputs(builder),
        nodes=builder.nodes,
        initializers=builder.initializers,
        opset_imports={"": builder.opset},
        name="random",
    )
    model = ir.Model(graph, ir_version=8)
    ShapeInferencePass()(model)
    return model


FURTHER_INPUTS: tuple[Shape, ...] = ((1, 2, 4), (2, 3, 1, 4), (4,), (1, 2, 2, 2, 3), (2, 6, 5), (1, 8, 8), (3, 8))


def _outputs(b: Builder) -> list[ir.Value]:
    """All that nobody reads, some of what somebody reads, and now and then one of them twice or an input."""
    outputs = [value for value in b.pool if not value.uses() and not value.is_graph_input()]
    inside = [value for value in b.pool if value.uses() and value not in b.inputs]
    if inside:
        outputs += b.draw(st.lists(st.sampled_from(inside), max_size=2, unique_by=id))
    if not outputs:
        outputs = [b.node("Relu", [b.pool[0]], shape_of(b.pool[0]))]
    if b.draw(st.integers(0, 5)) == 0:
        outputs.append(b.draw(st.sampled_from([*outputs, *b.inputs])))
    return outputs
