"""Copies that take several Transposes, and views between two nets: ONNX Runtime and the .tflite are the judges."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import layoutopt
from layoutopt.ir.io import checked_copy, normalize
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.algebra.transposition import route, transposition
from layoutopt.options import Io, Objective
from layoutopt.passes import PropagateLayout
from tests.harness import check_bytes, check_pass
from tests.layout.rules.test_views import factorised

BLOCKS = """<ir_version: 8, opset_import: ["": 17]> g (float[1,8,8,4] x) => (float[1,64,3] y)
    <float[4,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, int64[6] s1 = {1, 4, 2, 4, 2, 4},
     int64[6] s2 = {4, 2, 2, 2, 2, 4}, int64[6] s3 = {16, 1, 2, 1, 2, 4}, int64[3] s4 = {1, 64, 4}> {
    a = Reshape (x, s1) b = Transpose <perm = [0, 2, 4, 1, 3, 5]> (a) c = Reshape (b, s2)
    d = Transpose <perm = [0, 2, 4, 1, 3, 5]> (c) e = Reshape (d, s3)
    f = Transpose <perm = [0, 2, 4, 1, 3, 5]> (e) h = Reshape (f, s4) y = MatMul (h, w) }"""
"""Three levels of blocks, as Hiera unrolls its tokens."""

TWICE = """<ir_version: 8, opset_import: ["": 17]> g (float[6,4] x) => (float[6,4] y)
    <int64[3] s = {2, 3, 4}, int64[2] t = {6, 4}> {
    a = Reshape (x, s) b = Transpose <perm = [1, 0, 2]> (a) c = Reshape (b, s) d = Transpose <perm = [1, 0, 2]> (c)
    e = Reshape (d, t) y = Relu (e) }"""
"""Two times three, transposed, and taken for two times three again: no order of modes says it."""


def wide(*perm: int) -> str:
    shape = ",".join("2" * len(perm))
    signature = f"g (float[{shape}] x) => (float[{shape}] y)"
    nodes = f"t = Transpose <perm = {list(perm)}> (x) y = Relu (t)"
    return f'<ir_version: 8, opset_import: ["": 17]> {signature} {{ {nodes} }}'


MODELS = {
    "blocks of blocks": BLOCKS,
    "no order of modes": TWICE,
    "seven axes": wide(6, 4, 2, 0, 5, 3, 1),
    "eight axes": wide(7, 5, 3, 1, 6, 4, 2, 0),
}


@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize("name", MODELS)
def test_the_file_has_what_is_told_and_proved(name: str, objective: Objective, tmp_path: Path) -> None:
    model, path = onnx.parser.parse_model(MODELS[name]), tmp_path / "m.tflite"
    report = layoutopt.optimize(model, tflite=path, objective=objective, io="keep", backend="direct", baseline=False)
    assert report.layout is not None
    assert report.layout.proved_optimal
    assert report.optimized.transposes == 2
    assert report.optimized.max_abs_error is not None
    assert report.optimized.max_abs_error < 1e-5
    explained = layoutopt.explain(model, objective=objective, io="keep")
    assert sum(copy.transposes for copy in explained.explanation.copies) == 2
    (choice,) = (each for each in explained.choices if each.objective is objective)
    assert (choice.transposes, choice.bytes_moved) == (2, report.optimized.bytes_moved)
    assert report.layout.cost == (choice.bytes_moved if objective is Objective.BYTES else choice.predicted_ns)


@st.composite
def chains(draw: st.DrawFn) -> onnx.ModelProto:
    """Reshapes and Transposes whose axes need not fit each other; some of the values are read on the way."""
    start = shape = draw(st.sampled_from([(2, 3, 4, 5), (6, 8), (12, 6), (2, 2, 2, 2, 2, 2, 2, 3), (4, 3, 2, 2, 6)]))
    nodes, weights, last = [], [], "x"
    outputs = [("y", shape)]
    for index, kind in enumerate(
        draw(st.lists(st.sampled_from(("Transpose", "Reshape", "Relu")), min_size=2, max_size=8))
    ):
        name = f"t{index}"
        if kind == "Relu":
            nodes.append(helper.make_node(kind, [last], [name]))
            outputs.append((name, shape))
            continue
        if kind == "Transpose":
            perm = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[axis] for axis in perm)
            nodes.append(helper.make_node(kind, [last], [name], perm=perm))
        else:
            shape = draw(factorised(prod(shape)))
            weights.append(numpy_helper.from_array(np.array(shape, np.int64), f"s{index}"))
            nodes.append(helper.make_node(kind, [last, f"s{index}"], [name]))
        last = name
    outputs[0] = ("y", shape)
    nodes.append(helper.make_node("Neg", [last], ["y"]))
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes) for name, sizes in outputs]
    given_ = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, start)
    graph = helper.make_graph(nodes, "g", [given_], infos, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


@settings(max_examples=60)
@given(chains(), st.sampled_from(Io))
def test_chains_keep_their_values_and_tell_their_bytes(model: onnx.ModelProto, io: Io) -> None:
    prepared = normalize(checked_copy(model))
    check_pass(PropagateLayout(io=io, objective=Objective.BYTES), prepared)
    check_bytes(prepared, io=io)


@settings(max_examples=200)
@given(st.sampled_from([(2, 3, 4, 5), (6, 8), (2,) * 9, (4, 3, 2, 2, 6)]), st.data())
def test_a_route_takes_transposes_of_few_axes(shape: tuple[int, ...], data: st.DataObject) -> None:
    def order() -> ModeOrder:
        sizes = data.draw(factorised(prod(shape)))
        return ModeOrder.of(sizes, tuple(data.draw(st.permutations(range(len(sizes))))))

    before, target = order(), order()
    stops = route(before, target)
    assert (stops[-1] if stops else before) == target
    for after in stops:
        found = transposition(before, after)
        assert found is not None
        assert 2 <= len(found[1]) <= 6
        before = after


def test_nothing_is_proved_where_a_body_may_undo_a_copy() -> None:
    """A copy is counted on either side of the border of a body, and cleaning up finds that they cancel."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1,3,8,8] x, bool k) => (float[1,8,8,4] y)
        <float[4,3,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> { c = Conv (x, w) z = If (k) <
            then_branch = a () => (float[1,8,8,4] p) { p = Transpose <perm = [0, 2, 3, 1]> (c) },
            else_branch = b () => (float[1,8,8,4] r) { r = Transpose <perm = [0, 2, 3, 1]> (c) }>
        y = Relu (z) }""")
    report = layoutopt.optimize(model, backend="direct", baseline=False, objective="bytes")
    assert report.layout is not None
    assert report.optimized.bytes_moved < report.layout.cost
    assert (report.layout.proved_optimal, report.layout.lower_bound) == (False, 0)
