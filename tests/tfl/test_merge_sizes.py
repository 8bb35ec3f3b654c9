"""Two graphs of different sizes become one, and what differs in more than sizes is told by operator and node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.formula import Prefer
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.merge_sizes import MergeError, merge_sizes
from layoutopt.tfl.text import format_graph

Build = Callable[[Value], Value]


def graph_of(build: Build, shape: Sequence[int]) -> Graph:
    graph = Graph([Value(DType.FLOAT32, tuple(shape))])
    with tfl.recording(graph), tfl.scope("the node"):
        graph.outputs = [build(graph.inputs[0])]
    return graph


def merged(build: Build, first: Sequence[int], second: Sequence[int]) -> Graph:
    graph = graph_of(build, first)
    merge_sizes(graph, graph_of(build, second), Prefer.NEAR)
    return graph


def test_products_of_dimensions_are_multiplied_at_run_time() -> None:
    def squares(x: Value) -> Value:
        h, w = x.sizes[:2]
        return tfl.reshape(x, (h * w, 2, h * w))

    text = format_graph(merged(squares, (4, 6, 6, 8), (8, 9, 9, 16)))
    assert [line.split("(")[0].split()[-1] for line in text.splitlines()[1:-1]] == [
        *("SHAPE", "CONCATENATION", "GATHER", "GATHER", "MUL", "MUL", "RESHAPE")
    ]
    assert text.splitlines()[-2].endswith("float32[?,2,?]")


def test_bodies_get_the_sizes_of_what_they_carry() -> None:
    def loop(x: Value) -> Value:
        def step(i: Value, state: Value) -> list[Value]:
            whole = tfl.broadcast_to(np.ones((1, 3), np.float32), state.sizes)
            return [i + 1, state + tfl.reverse(tfl.concatenation([whole, state], 0)[: state.sizes[0]], [1])]

        return tfl.while_(lambda i, _: i < 3, step, [np.zeros((), np.int32), x])[1]

    graph = merged(loop, (2, 3), (7, 3))
    (operation,) = graph.operations
    condition, body = operation.bodies
    assert condition.inputs[1].shape == body.inputs[1].shape == body.outputs[1].shape == (None, 3)
    assert {"SHAPE", "GATHER"} <= {each.code for each in body.operations}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: tfl.pad(x, [[0, x.sizes[0]], [0, 1]]), lambda x: np.pad(x, [(0, len(x)), (0, 1)])),
        (lambda x: tfl.tile(x, [2, x.sizes[0] + 1]), lambda x: np.tile(x, (2, len(x) + 1))),
        (lambda x: x[x.sizes[0] - 1 :], lambda x: x[-1:]),
        (lambda x: tfl.gather(x, np.int32(x.sizes[0] - 1)), lambda x: x[-1]),
    ],
)
def test_numbers_of_any_shape_are_computed(
    build: Build, expected: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    write_tflite(Model(merged(build, (2, 3), (7, 3)), ["x"], ["y"]), path)
    for rows in (3, 4, 9):
        x = np.random.default_rng(0).standard_normal((rows, 3)).astype(np.float32)
        np.testing.assert_array_equal(run_tflite(path, {"x": x})["y"], expected(x))


def test_what_is_told_of_before_is_the_first_graph() -> None:
    graph = graph_of(tfl.relu, (2, 3))
    before = merge_sizes(graph, graph_of(tfl.relu, (5, 3)), Prefer.NEAR)
    assert before == {graph.inputs[0]: (2, 3), graph.outputs[0]: (2, 3)}
    assert graph.outputs[0].shape == (None, 3)


def while_with(limit: Callable[[int], float]) -> Build:
    def build(x: Value) -> Value:
        bound = limit(x.sizes[0])
        return tfl.while_(lambda y: tfl.reduce_max(y, [0, 1]) < bound, lambda y: [y + 1.0], [x])[0]

    return build


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: x * np.float32(1 / x.sizes[0]), "operand 1 of MUL 'the node' is a constant that depends on the"),
        (lambda x: x + x if x.sizes[0] == 2 else x * x, "ADD 'the node' is a MUL at another size"),
        (lambda x: tfl.relu(tfl.relu(x)) if x.sizes[0] == 2 else tfl.relu(x), "the graph has 2 operators at one size"),
        (lambda x: tfl.leaky_relu(x, 1 / x.sizes[0]), "the options of LEAKY_RELU 'the node' depend on the size"),
        (while_with(lambda size: size / 3), "operand 1 of LESS 'the node' is a constant that depends on the size"),
        (lambda x: tfl.full((1,), x.sizes[0]), "output 0 of the graph is a constant that depends on the size"),
        (lambda x: tfl.sub(x, y) if (y := tfl.exp(x)).sizes[0] == 2 else tfl.sub(y, x), "operand 0 of SUB 'the node'"),
    ],
)
def test_what_differs_in_more_than_sizes_is_refused(build: Build, message: str) -> None:
    with pytest.raises(MergeError, match=message):
        merged(build, (2, 3), (7, 3))
