"""Chains of Reshapes and Transposes, with NumPy and the evaluator of ONNX as the judges."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from layoutopt.layout.rules.views import Rearrangement, blocks_moved, rearrangements

SHAPES = st.lists(st.sampled_from([1, 2, 2, 3, 4]), min_size=1, max_size=4).map(tuple)


@st.composite
def factorised(draw: st.DrawFn, size: int) -> tuple[int, ...]:
    """A shape of ``size`` elements."""
    shape = []
    while size > 1:
        factor = draw(st.sampled_from([each for each in range(2, size + 1) if size % each == 0]))
        shape.append(factor)
        size //= factor
    if draw(st.booleans()):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return tuple(shape) or (1,)


@settings(max_examples=300)
@given(st.data(), SHAPES)
def test_where_every_element_is(data: st.DataObject, shape: tuple[int, ...]) -> None:
    start = value = ir.val("x", ir.DataType.FLOAT, shape)
    array = np.arange(prod(shape)).reshape(shape)
    chain: list[ir.Node] = []  # holds the nodes, which values refer to weakly
    for index in range(data.draw(st.integers(1, 5))):
        if index % 2:
            perm = data.draw(st.permutations(range(array.ndim)))
            chain.append(ir.node("Transpose", [value], {"perm": perm}))
            array = array.transpose(perm)
        else:
            array = array.reshape(data.draw(factorised(array.size)))
            chain.append(ir.node("Reshape", [value]))
        value = chain[-1].outputs[0]
        value.shape = ir.Shape(array.shape)
    for found in rearrangements(value):
        if found.source is start:
            check_layout(found, array)
            for axis in range(len(shape)):
                check_axis(found, shape, axis, array)


def check_layout(found: Rearrangement, array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    modes = found.mode_order.modes
    indices = np.zeros(1, np.int64) + sum(
        np.arange(mode.size).reshape([-1 if each is mode else 1 for each in modes]) * mode.stride for mode in modes
    )
    assert np.array_equal(np.reshape(indices, -1), array.reshape(-1))


def check_axis(
    found: Rearrangement, shape: tuple[int, ...], axis: int, array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> None:
    """The elements move along ``axis`` alone, and do move, exactly if ``along`` names indices."""
    source, stored = np.arange(prod(shape)).reshape(shape), array.reshape(shape)
    order = found.along(axis)
    indices = stored.swapaxes(0, axis).reshape(shape[axis], -1)[:, 0] // prod(shape[axis + 1 :]) % shape[axis]
    moves = not np.array_equal(stored, source) and np.array_equal(stored, np.take(source, indices, axis))
    assert order == (tuple(indices.tolist()) if moves else None)


def test_a_digit_that_straddles_an_axis() -> None:
    """Six times sixteen elements, of which no border lies where those of the axis are."""
    source = ir.val("x", ir.DataType.FLOAT, (3, 8, 4))
    cut = ir.node("Reshape", [source])
    cut.outputs[0].shape = ir.Shape((2, 2, 4, 6))
    moved = ir.node("Transpose", cut.outputs, {"perm": [0, 2, 1, 3]})
    moved.outputs[0].shape = ir.Shape((2, 4, 2, 6))
    found = list(rearrangements(moved.outputs[0]))
    assert found[-1].source is source
    assert [found[-1].along(axis) for axis in range(3)] == [None] * 3


def test_a_value_in_between_that_others_read_ends_the_chain() -> None:
    source = ir.val("x", ir.DataType.FLOAT, (4, 6))
    first = ir.node("Transpose", [source], {"perm": [1, 0]})
    first.outputs[0].shape = ir.Shape((6, 4))
    second = ir.node("Reshape", first.outputs)
    second.outputs[0].shape = ir.Shape((4, 6))
    assert [found.source for found in rearrangements(second.outputs[0])] == [first.outputs[0], source]
    reader = ir.node("Relu", first.outputs)
    assert [found.source for found in rearrangements(second.outputs[0])] == [first.outputs[0]]
    assert reader.inputs == first.outputs


@pytest.mark.parametrize("mode", ["", ', mode = "DCR"', ', mode = "CRD"'])
@pytest.mark.parametrize("operator", ["DepthToSpace", "SpaceToDepth"])
def test_blocks_are_moved_as_the_operator_moves_them(operator: str, mode: str) -> None:
    text = '<ir_version: 11, opset_import: ["": 28]> g (float[2,12,4,6] x) => (float[n,c,h,w] y)'
    model = onnx.parser.parse_model(f"{text} {{ y = {operator} <blocksize = 2{mode}> (x) }}")
    x = np.arange(2 * 12 * 4 * 6, dtype=np.float32).reshape(2, 12, 4, 6)
    expected = np.asarray(next(iter(ReferenceEvaluator(model).run(["y"], {"x": x}))))
    sizes, perm = blocks_moved(ir.from_proto(model).graph[0])
    np.testing.assert_array_equal(x.reshape(sizes).transpose(perm).reshape(expected.shape), expected)
