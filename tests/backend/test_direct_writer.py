"""What the writer writes is read by LiteRT, which computes what NumPy does."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Operation, Quantization, Value
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.schema import schema
from tests import conversion_cases

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def recorded(function: Callable[..., list[Value]], *inputs: Value) -> Model:
    """A model of what a function records of its inputs, which are called in0, in1 ..., its results out0 ..."""
    graph = Graph(list(inputs))
    with tfl.recording(graph):
        graph.outputs = function(*inputs)
    names = [[f"{kind}{at}" for at in range(len(each))] for kind, each in (("in", inputs), ("out", graph.outputs))]
    return Model(graph, *names)


def floats(*shape: int | None) -> Value:
    return Value(DType.FLOAT32, shape)


def run(path: Path, **inputs: Array) -> Mapping[str, Array]:
    interpreter = Interpreter(str(path))
    for name, index in interpreter.get_signature_runner().get_input_details().items():
        interpreter.resize_tensor_input(index["index"], inputs[name].shape)
    outputs: Mapping[str, Array] = interpreter.get_signature_runner()(**inputs)
    return outputs


@pytest.mark.parametrize("behind", [None, True])
def test_weights_that_are_views(tmp_path: Path, behind: bool | None) -> None:
    """Transposed, cut, broadcast and negative strides; larger than what is copied at once, in several ways."""
    rng = np.random.default_rng(0)
    weights = [
        rng.standard_normal((1500, 900), np.float32).T,
        rng.standard_normal((3, 700, 800), np.float32).transpose(2, 0, 1),
        rng.standard_normal((2, 1400, 1300), np.float32)[:, ::-1, :1000],
        np.broadcast_to(rng.standard_normal(5, np.float32), (7, 5)),
        np.array(3.5, np.float32),
    ]
    model = recorded(lambda x: [x + weight for weight in weights], floats())
    path = tmp_path / "model.tflite"
    write_tflite(model, path, data_after=behind)
    got = run(path, in0=np.array(1, np.float32))
    for at, weight in enumerate(weights):
        np.testing.assert_array_equal(got[f"out{at}"], weight + 1)


def test_data_are_aligned_and_in_the_flatbuffer(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write_tflite(
        recorded(lambda x: [x + np.ones(3, np.float32), x * np.ones(5, np.int8)[:1].astype("f4")], floats(1)), path
    )
    file = schema.Model.GetRootAs(content := path.read_bytes())
    assert file.BuffersLength() == 3
    for index in (1, 2):
        data = file.Buffers(index).DataAsNumpy()
        assert file.Buffers(index).Offset() == 0
        assert (data.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data) % 16 == 0


def test_data_after_go_by_offset_and_size(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write_tflite(recorded(lambda x: [x + np.ones(3, np.float32)], floats(1)), path, data_after=True)
    buffer = schema.Model.GetRootAs(content := path.read_bytes()).Buffers(1)
    assert (buffer.DataLength(), buffer.Size(), buffer.Offset() % 16) == (0, 12, 0)
    assert content[buffer.Offset() :] == np.ones(3, np.float32).tobytes()


def test_a_file_beyond_two_gigabytes_has_its_data_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layoutopt.backend.direct.writer._MAX_FLATBUFFER", 4000)
    model = recorded(lambda x: [x + np.ones(2000, np.float32)], floats(1))
    path = tmp_path / "model.tflite"
    write_tflite(model, path)
    assert schema.Model.GetRootAs(path.read_bytes()).Buffers(1).Size() == 8000
    np.testing.assert_array_equal(run(path, in0=np.zeros(1, np.float32))["out0"], np.ones(2000))


def test_a_large_view_is_not_copied(tmp_path: Path) -> None:
    weight = np.zeros((4000, 3000), np.float32).T
    model = recorded(lambda x: [x + weight], floats(1))
    tracemalloc.start()
    try:
        write_tflite(model, tmp_path / "model.tflite")
        assert tracemalloc.get_traced_memory()[1] < weight.nbytes / 3
    finally:
        tracemalloc.stop()


def test_equal_constants_are_written_once(tmp_path: Path) -> None:
    """Small ones by their bytes, large ones where they are views of the same elements."""
    large = np.ones((200, 30), np.float32)

    sevens, squares = np.full(4, 7, np.float32), np.full((2, 2), 7, np.float32)
    small = recorded(lambda x: [x + sevens, x * sevens.copy(), x - squares.reshape(1, 4)], floats(4))
    write_tflite(small, tmp_path / "small.tflite")
    views = (large, large[:], large.T.T, large.reshape(30, 200), large.T, large.T[:])
    write_tflite(recorded(lambda x: [x + view for view in views], floats(1)), tmp_path / "large.tflite")
    for name, tensors, buffers in (("small", 2, 1), ("large", 3, 2)):
        file = schema.Model.GetRootAs((tmp_path / f"{name}.tflite").read_bytes())
        assert file.BuffersLength() == buffers + 1
        graph = file.Subgraphs(0)
        assert sum(graph.Tensors(at).Buffer() > 0 for at in range(graph.TensorsLength())) == tensors


def test_outputs_that_nothing_computes(tmp_path: Path) -> None:
    """An input, a constant, another output, what is empty, and an input of sizes known at run time only."""
    constant = Value.constant(np.arange(3))

    def function(x: Value, open_: Value) -> list[Value]:
        y = x + 1.0
        return [x, y, y, constant, constant, Value.constant(np.zeros((0, 2), np.float32)), open_]

    path = tmp_path / "model.tflite"
    write_tflite(recorded(function, floats(2, 3, 4), floats(None, None)), path)
    other = np.ones((2, 5), np.float32)
    got = run(path, in0=X, in1=other)
    wanted: list[Array] = [X, X + 1, X + 1, np.arange(3), np.arange(3), np.zeros((0, 2), np.float32), other]
    for at, want in enumerate(wanted):
        assert got[f"out{at}"].dtype == want.dtype
        np.testing.assert_array_equal(got[f"out{at}"], want)


def test_names(tmp_path: Path) -> None:
    """Those of the interface are the model's; others are told by scopes and roles, and none occurs twice."""
    graph = Graph([floats(1, 4, 4, 2)])
    with tfl.recording(graph):
        with tfl.scope("block/conv"):
            y = tfl.conv_2d(graph.inputs[0], np.ones((3, 1, 1, 2), np.float32))
            y = tfl.transpose(y, [0, 3, 1, 2])
        with tfl.scope("image:0"):
            graph.outputs = [tfl.exp(tfl.neg(y)), tfl.abs_(y)]
    path = tmp_path / "model.tflite"
    write_tflite(Model(graph, ["image:0"], ["a b", "block/conv"]), path)
    interpreter = Interpreter(str(path))
    assert [each["name"] for each in interpreter.get_tensor_details()][:9] == [
        *("image:0", "block/conv/weights", "block/conv/bias", "block/conv_1", "block/conv/perm", "block/conv_2"),
        *("image:0_1", "a b", "block/conv"),
    ]
    signature = interpreter.get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image:0"], "outputs": ["a b", "block/conv"]}


def test_control_flow(tmp_path: Path) -> None:
    """Bodies are graphs of their own; what they capture, pass through or know already comes out right."""

    def function(x: Value, flag: Value) -> list[Value]:
        count, total, same = tfl.while_(
            lambda i, *_: tfl.less(i, 5),
            lambda i, y, z: [i + 1, tfl.if_(flag, lambda: [y + x], lambda: [y * 2.0])[0], z],
            [np.array(0, np.int32), x, x],
        )
        chosen = tfl.if_(flag, lambda: [x, x, np.ones(2, np.float32)], lambda: [total, x, np.zeros(2, np.float32)])
        return [count, total, same, *chosen]

    path = tmp_path / "model.tflite"
    write_tflite(recorded(function, floats(2), Value(DType.BOOL, ())), path)
    x = np.array([1, 2], np.float32)
    for flag, total in ((True, 6 * x), (False, 32 * x)):
        got = run(path, in0=x, in1=np.array(flag))
        for at, want in enumerate([5, total, x, x if flag else total, x, np.full(2, flag)]):
            np.testing.assert_array_equal(got[f"out{at}"], want)


def test_sizes_and_ranks_known_at_run_time_only(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write_tflite(recorded(lambda x, y: [x + 1.0, tfl.neg(y)], floats(None, 3), Value(DType.FLOAT32, None)), path)
    details = Interpreter(str(path)).get_input_details()
    assert [each["shape"].tolist() for each in details] == [[1, 3], []]
    assert [each["shape_signature"].tolist() for each in details] == [[-1, 3], []]
    tensors = schema.Model.GetRootAs(path.read_bytes()).Subgraphs(0)
    assert [tensors.Tensors(at).HasRank() for at in range(2)] == [True, False]
    got = run(path, in0=np.ones((5, 3), np.float32), in1=X)
    assert got["out0"].shape == (5, 3)
    np.testing.assert_array_equal(got["out1"], -X)


@pytest.mark.parametrize("dtype", [each for each in DType if each not in (DType.STRING, DType.RESOURCE, DType.VARIANT)])
def test_every_element_type(tmp_path: Path, dtype: DType) -> None:
    """The interpreter gives back the elements of a constant, packed ones too."""
    array = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]]).astype(dtype.numpy)
    path = tmp_path / "model.tflite"
    write_tflite(recorded(lambda _: [Value.constant(array)], floats(1)), path)
    np.testing.assert_array_equal(read_tflite(path).graph.operations[0][0].array, array)
    if dtype.numpy.kind in "biufc":  # NumPy's own, which the interpreter gives
        got = run(path, in0=np.zeros(1, np.float32))["out0"]
        np.testing.assert_array_equal(got.view(dtype.numpy), array)  # small floats come as integers


def test_int4_weights(tmp_path: Path) -> None:
    """Two to a byte, the first in the lower half; their number is odd."""
    weights = np.array([[[[-8], [7], [3]]]]).astype(ml_dtypes.int4).transpose(0, 1, 3, 2)
    filters = Value.constant(np.ascontiguousarray(weights).reshape(1, 1, 1, 3))
    filters.quantization = Quantization((0.5,), (0,), 0)
    y = Value(DType.FLOAT32, (1, 1, 1, 1))
    x = floats(1, 1, 1, 3)
    graph = Graph([x], [y])
    real = Value(DType.FLOAT32, (1, 1, 1, 3))
    convert = Operation("DEQUANTIZE", [filters], [real], {})
    multiply = Operation(
        "MUL", [x, real], [product := Value(DType.FLOAT32, (1, 1, 1, 3))], {"fused_activation_function": "NONE"}
    )
    add = Operation("SUM", [product, Value.constant(np.array([3], np.int32))], [y], {"keep_dims": True})
    graph.operations = [convert, multiply, add]
    path = tmp_path / "model.tflite"
    write_tflite(Model(graph, ["in0"], ["out0"]), path)
    assert schema.Model.GetRootAs(path.read_bytes()).Buffers(1).DataAsNumpy().tolist() == [0x78, 0x03]
    got = run(path, in0=np.array([1, 10, 100], np.float32).reshape(1, 1, 1, 3))["out0"]
    assert got.item() == (-8 + 70 + 300) / 2


def test_quantization(tmp_path: Path) -> None:
    quantization = Quantization((0.25,), (3,))
    path = tmp_path / "model.tflite"
    write_tflite(recorded(lambda x: [tfl.quantize(x, DType.INT8, quantization)], floats(3)), path)
    (output,) = Interpreter(str(path)).get_output_details()
    assert output["quantization"] == (0.25, 3)
    assert run(path, in0=np.array([-1, 0, 1], np.float32))["out0"].tolist() == [-1, 3, 7]


def test_codes(tmp_path: Path) -> None:
    """One for each operator, at the largest version that is needed; late codes say 127 to old readers."""

    def function(x: Value) -> list[Value]:
        return [tfl.transpose(x, [1, 0]), tfl.transpose(tfl.reshape(x, [1] * 4 + [2, 3]), range(6)[::-1]), tfl.gelu(x)]

    path = tmp_path / "model.tflite"
    write_tflite(recorded(function, floats(2, 3)), path)
    file = schema.Model.GetRootAs(path.read_bytes())
    codes = [file.OperatorCodes(at) for at in range(file.OperatorCodesLength())]
    found = [(code.BuiltinCode(), code.DeprecatedBuiltinCode(), code.Version()) for code in codes]
    number = schema.BuiltinOperator
    assert found == [(number.TRANSPOSE, 39, 6), (number.RESHAPE, 22, 1), (number.GELU, 127, 1)]
    assert (file.Version(), file.Description()) == (3, b"layoutopt")


def test_what_nothing_computes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reads a value of float32 that nothing in 'main' computes"):
        write_tflite(recorded(lambda x: [x + floats(2)], floats(2)), tmp_path / "model.tflite")


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    def function(x: Value) -> list[Value]:
        return tfl.if_(tfl.greater(tfl.sum_(x), 0.0), lambda: [x * np.ones((3, 4), np.float32)], lambda: [x - 1.0])

    for name in "ab":
        write_tflite(recorded(function, floats(2, 3, 4)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_have_the_names_of_inputs_and_outputs_whatever_roles_they_play(tmp_path: Path) -> None:
    """An input that is an output as well, and two outputs that are one value in two orders."""
    body = "same = Identity(image) a = Conv<pads=[1, 1, 1, 1]>(image, w) b = Identity(a)"
    inputs, weights = {"image": conversion_cases.floats(1, 3, 6, 6)}, {"w": conversion_cases.floats(4, 3, 3, 3)}
    case = conversion_cases.Case(body, inputs, weights, outputs=("same", "a", "b"))
    conversion_cases.CaseRunner(tmp_path).check(case)
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    assert [detail["name"] for detail in interpreter.get_input_details()] == ["image"]
    assert [detail["name"] for detail in interpreter.get_output_details()] == ["same", "a", "b"]


def test_loops_that_run_the_same_bodies_share_them(tmp_path: Path) -> None:
    """In the file, and when it is read again."""

    def function(x: Value) -> list[Value]:
        def step(i: Value, y: Value) -> list[Value]:
            return [i + 1, y * 2.0]

        first = tfl.while_(lambda i, _: i < 3, step, [Value.constant(np.array(0, np.int32)), x])
        again = tfl.while_again(first[0], [Value.constant(np.array(1, np.int32)), first[1]])
        return [again[1]]

    path = tmp_path / "model.tflite"
    write_tflite(recorded(function, floats(2, 3, 4)), path)
    np.testing.assert_array_equal(run(path, in0=X)["out0"], X * 32)
    graph = read_tflite(path).graph
    loops = [operation for operation in graph.operations if operation.code == "WHILE"]
    assert len(loops) == 2
    assert loops[0].bodies[1] is loops[1].bodies[1]
    assert len(list(graph.all_graphs())) == 3
