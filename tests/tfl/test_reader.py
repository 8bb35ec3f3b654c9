"""What the reader makes of files that others wrote, of odd ones, and of damaged ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.reader import DamagedFileError, read_tflite
from layoutopt.tfl.schema import IDENTIFIER, OPERATOR_CODES, schema
from layoutopt.tfl.text import format_graph

FLOAT = schema.TensorType.FLOAT32


def tensor(name: str, *shape: int, dtype: int = FLOAT, buffer: int = 0, **fields: Any) -> Any:
    return schema.TensorT(name=name, shape=list(shape), type=dtype, buffer=buffer, **fields)


def operator(index: int, read: list[int], written: list[int], **fields: Any) -> Any:
    return schema.OperatorT(opcodeIndex=index, inputs=read, outputs=written, **fields)


def code(name: str, **fields: Any) -> Any:
    number = OPERATOR_CODES[name]
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(number, 127), builtinCode=number, **fields)


def packed(codes: list[Any], graphs: list[Any], data: Sequence[Array] | None = None, **fields: Any) -> bytes:
    """A file; the first buffer is the empty one."""
    buffers = [schema.BufferT(), *(schema.BufferT(data=each.reshape(-1).view(np.uint8)) for each in data or [])]
    model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=graphs, buffers=buffers, **fields)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def graph_of(
    tensors: list[Any], operators: list[Any], inputs: list[int], outputs: list[int], name: str = "main"
) -> Any:
    return schema.SubGraphT(tensors=tensors, operators=operators, inputs=inputs, outputs=outputs, name=name)


def test_custom_and_unknown_operators() -> None:
    content = packed(
        [code("CUSTOM", customCode="FlexErf"), schema.OperatorCodeT(deprecatedBuiltinCode=127, builtinCode=9999)],
        [
            graph_of(
                [tensor("x", 2), tensor("y", 2), tensor("z", 2)],
                [operator(0, [0], [1], customOptions=list(b"what")), operator(1, [1, -1], [2])],
                [0],
                [2],
            )
        ],
    )
    model = read_tflite(content)
    assert format_graph(model.graph).splitlines()[1:-1] == [
        "  %1 = FlexErf(%0){custom_options=b'what'} : float32[2]",
        "  %2 = BUILTIN_9999(%1, -) : float32[2]",
    ]
    assert (model.input_names, model.output_names) == (["x"], ["z"])  # there is no signature
    assert [each.scope for each in model.graph.operations] == ["y", "z"]


def test_a_custom_operator_is_written_again(tmp_path: Path) -> None:
    tensors = [tensor("x", 2), tensor("y", 2)]
    custom = operator(0, [0], [1], customOptions=list(b"what"))
    content = packed([code("CUSTOM", customCode="Mine")], [graph_of(tensors, [custom], [0], [1])])
    write_tflite(model := read_tflite(content), tmp_path / "model.tflite")
    assert format_graph(read_tflite(tmp_path / "model.tflite").graph) == format_graph(model.graph)
    assert schema.Model.GetRootAs((tmp_path / "model.tflite").read_bytes()).OperatorCodes(0).CustomCode() == b"Mine"


def test_signatures_in_another_order() -> None:
    """Of several for the main graph it is the default one; its entries come by name, the graph's do not."""
    tensors = [tensor("a", 2), tensor("b", 2), tensor("c", 2)]
    maps = [schema.TensorMapT("first", 0), schema.TensorMapT("second", 1)], [schema.TensorMapT("sum", 2)]
    signatures = [
        schema.SignatureDefT([schema.TensorMapT("x", 0)], [], "other", 0),
        schema.SignatureDefT(*maps, "serving_default", 0),
    ]
    content = packed(
        [code("ADD")], [graph_of(tensors, [operator(0, [1, 0], [2])], [1, 0], [2])], signatureDefs=signatures
    )
    model = read_tflite(content)
    assert (model.input_names, model.output_names) == (["second", "first"], ["sum"])


def test_ranks() -> None:
    """Of a file that tells ranks, none means unknown; of one that never does, a scalar."""
    for told, shapes in ((True, [(), None]), (False, [(), ()])):
        tensors = [tensor("x", hasRank=told), tensor("y")]
        content = packed([code("ABS")], [graph_of(tensors, [operator(0, [0], [1])], [0], [1])])
        graph = read_tflite(content).graph
        assert [graph.inputs[0].shape, graph.outputs[0].shape] == shapes


def test_dynamic_sizes_and_quantization() -> None:
    quantized = schema.QuantizationParametersT(scale=[0.5, 0.25], zeroPoint=[1, 2], quantizedDimension=1)
    tensors = [tensor("x", 1, 2, shapeSignature=[-1, 2], quantization=quantized), tensor("y", 1, 2)]
    value = read_tflite(packed([], [graph_of(tensors, [], [0], [1])])).graph.inputs[0]
    assert value.shape == (None, 2)
    assert value.quantization == Quantization((0.5, 0.25), (1, 2), 1)


def test_strings(tmp_path: Path) -> None:
    """A constant of strings is read, and written again as LiteRT has it."""
    words = [b"a", b"", b"long"]
    places = np.cumsum([4 * (len(words) + 2), *map(len, words)])
    raw = np.array([len(words), *places], np.int32).tobytes() + b"".join(words)
    text = schema.TensorType.STRING
    tensors = [
        tensor("x", 3, dtype=text, buffer=1),
        tensor("shape", 2, dtype=schema.TensorType.INT32, buffer=2),
        tensor("y", 3, 1, dtype=text),
    ]
    graph = graph_of(tensors, [operator(0, [0, 1], [2])], [], [2])
    data: list[Array] = [np.frombuffer(raw, np.uint8), np.array([3, 1], np.int32)]
    model = read_tflite(packed([code("RESHAPE")], [graph], data))
    assert model.graph.operations[0][0].array.tolist() == words
    write_tflite(model, tmp_path / "model.tflite")
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == [[b"a"], [b""], [b"long"]]


def test_sparse_constants_are_what_densify_makes_of_them() -> None:
    """Rows, and blocks of 2 x 2 in columns."""

    def dense(size: int) -> Any:
        return schema.DimensionMetadataT(denseSize=size)

    def listed(segments: list[int], indices: list[int]) -> Any:
        one, other = schema.Uint8VectorT(segments), schema.Int32VectorT(indices)
        return schema.DimensionMetadataT(1, 0, 3, one, 1, other)

    rows = schema.SparsityParametersT([0, 1], None, [dense(4), listed([0, 2, 2, 3, 4], [0, 3, 1, 2])])
    columns = [dense(2), listed([0, 1, 3], [1, 0, 2]), dense(2), dense(2)]
    blocks = schema.SparsityParametersT([1, 0, 3, 2], [0, 1], columns)
    for sparsity, shape, count in ((rows, (4, 4), 4), (blocks, (6, 4), 12)):
        tensors = [tensor("x", *shape, buffer=1, sparsity=sparsity), tensor("y", *shape)]
        content = packed(
            [code("DENSIFY")],
            [graph_of(tensors, [operator(0, [0], [1])], [], [1])],
            [np.arange(1, count + 1, dtype=np.float32)],
        )
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
        interpreter.allocate_tensors()
        interpreter.invoke()
        mine = read_tflite(content).graph.operations[0][0].array
        assert np.count_nonzero(mine) == count
        np.testing.assert_array_equal(mine, interpreter.get_tensor(1))


def test_constants_are_views_on_the_file(tmp_path: Path) -> None:
    graph = Graph([x := Value(DType.FLOAT32, (1, 500))])
    with tfl.recording(graph):
        graph.outputs = [tfl.fully_connected(x, np.ones((400, 500), np.float32))]
    for behind in (False, True):
        write_tflite(Model(graph, ["x"], ["y"]), path := tmp_path / "model.tflite", data_after=behind)
        content = path.read_bytes()
        for source in (content, memoryview(content), path):
            weights = read_tflite(source).graph.operations[0][1].array
            assert not weights.flags.owndata
            if source is not path:
                assert np.shares_memory(weights, np.frombuffer(content, np.uint8))


def flipped(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + bytes([value]) + content[at + 1 :]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with weights, control flow, options and quantization."""
    graph = Graph([x := Value(DType.FLOAT32, (1, 4, 4, 2)), flag := Value(DType.BOOL, ())])
    with tfl.recording(graph):
        y = tfl.conv_2d(x, np.ones((3, 1, 1, 2), np.float32))
        y = tfl.if_(flag, lambda: [y * 2.0], lambda: [tfl.neg(y)])[0]
        graph.outputs = [tfl.quantize(y, DType.INT8, Quantization((0.5,), (0,)))]
    path = tmp_path_factory.mktemp("whole") / "model.tflite"
    write_tflite(Model(graph, ["x", "flag"], ["y"]), path)
    return path.read_bytes()


@given(data=st.data())
def test_damaged_files_raise_one_error(whole: bytes, data: st.DataObject) -> None:
    """Each is cut off, or has a byte changed; what it says may be another model then, but nothing else is raised."""
    damages: list[Callable[[], bytes]] = [
        lambda: whole[: data.draw(st.integers(0, len(whole) - 1))],
        lambda: flipped(whole, data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))),
    ]
    content = data.draw(st.sampled_from(damages))()
    with contextlib.suppress(DamagedFileError):
        format_graph(read_tflite(content).graph)


def test_a_constant_without_a_size() -> None:
    constant = schema.TensorT(shape=[2], shapeSignature=[-1], buffer=1, name="c", type=schema.TensorType.FLOAT32)
    content = packed([], [graph_of([constant], [], [], [0])], [np.ones(2, np.float32)])
    with pytest.raises(DamagedFileError):
        read_tflite(content)


def test_truncated_and_foreign_files(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes(whole[:-20])
    (tmp_path / "foreign").write_bytes(b"\x08\x07\x12\x07pytorch")
    for name, message in (("empty", "not a .tflite file"), ("foreign", "not a .tflite"), ("cut", "truncated")):
        with pytest.raises(DamagedFileError, match=message):
            read_tflite(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_tflite(tmp_path / "missing")
    with pytest.raises(DamagedFileError, match="no subgraph"):
        read_tflite(packed([], []))


def test_a_graph_that_runs_itself() -> None:
    tensors = [tensor("flag", dtype=schema.TensorType.BOOL), tensor("y")]
    options = {"builtinOptionsType": schema.BuiltinOptions.IfOptions, "builtinOptions": schema.IfOptionsT(0, 0)}
    content = packed([code("IF")], [graph_of(tensors, [operator(0, [0], [1], **options)], [0], [1])])
    with pytest.raises(DamagedFileError, match="runs itself"):
        read_tflite(content)
