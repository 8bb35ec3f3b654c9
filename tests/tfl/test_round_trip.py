"""Random graphs: what is recorded is written, runs in LiteRT as NumPy computes it, and is read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.folding import fold
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.text import format_graph

Step = Callable[[st.DrawFn, Value], Value]


def axis_of(draw: st.DrawFn, x: Value) -> int:
    return draw(st.integers(0, x.rank - 1))


def unary(name: str, *dtypes: DType) -> tuple[Step, Sequence[DType]]:
    return lambda draw, x: getattr(tfl, name)(x), dtypes


def binary(name: str, *dtypes: DType, divides: bool = False) -> tuple[Step, Sequence[DType]]:
    def step(draw: st.DrawFn, x: Value) -> Value:
        shape = [size if draw(st.booleans()) else 1 for size in x.sizes]
        other = np.random.default_rng(len(shape)).integers(1, 4, shape).astype(x.dtype.numpy)
        result: Value = getattr(tfl, name)(*((x, other) if divides or draw(st.booleans()) else (other, x)))
        return result

    return step, dtypes


def reduction(name: str, *dtypes: DType) -> tuple[Step, Sequence[DType]]:
    def step(draw: st.DrawFn, x: Value) -> Value:
        result: Value = getattr(tfl, name)(x, [axis_of(draw, x)], keep_dims=draw(st.booleans()))
        return result

    return step, dtypes


def sliced(draw: st.DrawFn, x: Value) -> Value:
    begins = [draw(st.integers(0, size - 1)) for size in x.sizes]
    steps = [draw(st.sampled_from([1, 1, 2])) for _ in x.sizes]
    return x[tuple(slice(begin, None, step) for begin, step in zip(begins, steps, strict=True))]


def transposed(draw: st.DrawFn, x: Value) -> Value:
    return tfl.transpose(x, draw(st.permutations(range(x.rank))))


def padded(draw: st.DrawFn, x: Value) -> Value:
    amounts = [[draw(st.integers(0, 1)), draw(st.integers(0, 1))] for _ in x.sizes]
    return tfl.pad(x, amounts, draw(st.sampled_from([0, 2])))


def concatenated(draw: st.DrawFn, x: Value) -> Value:
    return tfl.concatenation([x, np.ones(x.sizes, x.dtype.numpy), x], axis_of(draw, x))


def gathered(draw: st.DrawFn, x: Value) -> Value:
    axis = axis_of(draw, x)
    return tfl.gather(x, np.array([x.sizes[axis] - 1, 0], np.int32), axis)


def multiplied(draw: st.DrawFn, x: Value) -> Value:
    weights = np.random.default_rng(0).integers(-3, 4, (3, x.sizes[-1])).astype(np.float32)
    return tfl.fully_connected(x, weights, np.arange(3, dtype=np.float32))


def looped(draw: st.DrawFn, x: Value) -> Value:
    return tfl.while_(lambda i, _: tfl.less(i, 3), lambda i, y: [i + 1, y + x], [np.array(0, np.int32), x])[1]


F, I, B = DType.FLOAT32, DType.INT32, DType.BOOL  # noqa: E741
STEPS: Sequence[tuple[Step, Sequence[DType]]] = [
    *(unary(name, F) for name in ("abs_", "neg", "floor", "ceil", "round_", "relu", "relu6", "square")),
    *(unary(name, B) for name in ("logical_not",)),
    *(binary(name, F, I) for name in ("add", "sub", "mul", "maximum", "minimum", "squared_difference")),
    *(binary(name, F, I) for name in ("less", "equal", "greater_equal")),
    *(binary(name, F, I, divides=True) for name in ("floor_div", "floor_mod")),
    *(binary(name, B) for name in ("logical_and", "logical_or")),
    *(reduction(name, F, I) for name in ("sum_", "reduce_max", "reduce_min")),
    *(reduction(name, B) for name in ("reduce_any", "reduce_all")),
    (sliced, (F, I, B)),
    (transposed, (F, I, B)),
    (padded, (F, I)),
    (concatenated, (F, I, B)),
    (gathered, (F, I, B)),
    (multiplied, (F,)),
    (looped, (F, I)),
    (lambda draw, x: tfl.tile(x, [draw(st.integers(1, 2)) for _ in x.sizes]), (F, I, B)),
    (lambda draw, x: tfl.reshape(x, [-1, *x.sizes[2:]]), (F, I, B)),
    (lambda draw, x: tfl.pack([x, x], axis_of(draw, x)), (F, I)),
    (lambda draw, x: tfl.unpack(x, axis_of(draw, x))[0], (F, I, B)),
    (lambda draw, x: tfl.reverse(x, [axis_of(draw, x)]), (F, I, B)),
    (lambda draw, x: tfl.cumsum(x, axis_of(draw, x), exclusive=draw(st.booleans())), (F, I)),
    (lambda draw, x: tfl.leaky_relu(x, 0.25), (F,)),
    (lambda draw, x: tfl.cast(x, draw(st.sampled_from([F, I]))), (F, I, B)),
    (lambda draw, x: tfl.select_v2(tfl.greater(x, 1), x, 0), (F, I)),
]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Some steps from one input, each from what an earlier one gave."""
    x = Value(draw(st.sampled_from([F, I, B])), tuple(draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))))
    graph, values = Graph([x]), [x]
    with tfl.recording(graph):
        for at in range(draw(st.integers(1, 8))):
            source = values[draw(st.integers(0, len(values) - 1))]
            fitting = [step for step, dtypes in STEPS if source.dtype in dtypes]
            with tfl.scope(f"step{at}"):
                y = draw(st.sampled_from(fitting))(draw, source)
                if y.dtype is not B:  # so that products of products stay exact
                    y = tfl.minimum(tfl.maximum(y, -50), 50)
            if 1 < y.rank <= 4 and 0 < y.count <= 500:
                values.append(y)
        if len(values) == 1:
            values.append(tfl.tile(x, [2] * x.rank))
    graph.outputs = list(dict.fromkeys(value for value in values if value is not x))
    return Model(graph, ["x"], [f"y{at}" for at in range(len(graph.outputs))])


def evaluated(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """What folding makes of a graph, operation by operation."""
    arrays: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))

    def known(value: Value | None) -> Array:
        assert value is not None
        return value.array if value.is_constant else arrays[value]

    for operation in graph.operations:
        operands = [known(each) for each in operation.operands if each is not None]
        if operation.code == "WHILE":
            condition, body = operation.bodies
            while evaluated(condition, operands)[0]:
                operands = evaluated(body, operands)
            results: Sequence[Array] | None = operands
        else:
            results = fold(operation.code, operands, {**operation.options, "dtype": operation.results[0].dtype.value})
        assert results is not None, operation.code
        arrays.update(zip(operation.results, results, strict=True))
    return [known(output) for output in graph.outputs]


@settings(max_examples=150)
@given(model=models(), behind=st.sampled_from([None, True]))
def test_what_is_written_runs_and_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, model: Model, behind: bool | None
) -> None:
    folder = tmp_path_factory.mktemp("round-trip")
    path, again = folder / "model.tflite", folder / "again.tflite"
    write_tflite(model, path, data_after=behind)
    (x,) = model.graph.inputs
    array = np.random.default_rng(0).integers(-3, 4, x.sizes).astype(x.dtype.numpy)
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], array)
    interpreter.invoke()
    got = [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
    for mine, want in zip(got, evaluated(model.graph, [array]), strict=True):
        assert mine.dtype == want.dtype
        np.testing.assert_allclose(mine, want, rtol=1e-6)
    read = read_tflite(path)
    assert format_graph(read.graph) == format_graph(model.graph)
    assert (read.input_names, read.output_names) == (model.input_names, model.output_names)
    write_tflite(read, again, data_after=behind)
    assert again.read_bytes() == path.read_bytes()
