from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest

from layoutopt.backend.litert.inspect import TfliteTensor, count_tflite, signature_of
from layoutopt.errors import InvalidModelError, LayoutoptError, ModelNotFoundError
from layoutopt.tfl.schema import schema

FLOAT, INT32, INT4 = schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.INT4
OPERATORS = schema.BuiltinOperator


@dataclass
class Tensor:
    """A tensor to write; ``dynamic`` is the shape signature, ``data`` makes it a constant."""

    name: str
    shape: Sequence[int]
    dtype: int = FLOAT
    dynamic: Sequence[int] = ()
    data: np.ndarray | None = None


@dataclass
class Graph:
    """A subgraph to write; an operator is (index of its code, operands, results)."""

    tensors: list[Tensor]
    operators: list[tuple[int, list[int], list[int]]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


@dataclass
class Signature:
    """A signature to write: names and tensor indices."""

    key: str
    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]
    graph: int = 0


class Writer:
    """Writes .tflite files field by field, old ones and odd ones included."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder()
        self.buffers: list[np.ndarray | None] = [None]

    def write(
        self,
        path: Path,
        graphs: Sequence[Graph],
        codes: Sequence[tuple[int, int | None, str | None]] = (),
        signatures: Sequence[Signature] = (),
    ) -> Path:
        """``codes`` are (one-byte code, code or None for a file from before that field, custom code)."""
        fields = {
            "OperatorCodes": self.offsets([self.code(*code) for code in codes]),
            "Subgraphs": self.offsets([self.graph(graph) for graph in graphs]),
            "SignatureDefs": self.offsets([self.signature(signature) for signature in signatures]),
            "Buffers": self.offsets([self.buffer(data) for data in self.buffers]),
        }
        self.builder.Finish(self.table("Model", Version=3, **fields), b"TFL3")
        path.write_bytes(self.builder.Output())
        return path

    def table(self, kind: str, **fields: int) -> int:
        getattr(schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(schema, f"{kind}Add{name}")(self.builder, value)
        return int(getattr(schema, f"{kind}End")(self.builder))

    def offsets(self, tables: Sequence[int]) -> int:
        self.builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.builder.PrependUOffsetTRelative(table)
        return int(self.builder.EndVector())

    def integers(self, values: Sequence[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, np.int32)))

    def code(self, deprecated: int, builtin: int | None, custom: str | None) -> int:
        fields = {"DeprecatedBuiltinCode": deprecated}
        if custom is not None:
            fields["CustomCode"] = self.builder.CreateString(custom)
        if builtin is not None:
            fields["BuiltinCode"] = builtin
        return self.table("OperatorCode", **fields)

    def buffer(self, data: np.ndarray | None) -> int:
        return self.table("Buffer", **({} if data is None else {"Data": self.builder.CreateByteVector(data.tobytes())}))

    def tensor(self, tensor: Tensor) -> int:
        fields = {
            "Name": self.builder.CreateString(tensor.name),
            "Shape": self.integers(tensor.shape),
            "Type": tensor.dtype,
        }
        if tensor.dynamic:
            fields["ShapeSignature"] = self.integers(tensor.dynamic)
        if tensor.data is not None:
            fields["Buffer"] = len(self.buffers)
            self.buffers.append(tensor.data)
        return self.table("Tensor", **fields)

    def graph(self, graph: Graph) -> int:
        operators = [
            self.table("Operator", OpcodeIndex=code, Inputs=self.integers(operands), Outputs=self.integers(results))
            for code, operands, results in graph.operators
        ]
        return self.table(
            "SubGraph",
            Tensors=self.offsets([self.tensor(tensor) for tensor in graph.tensors]),
            Operators=self.offsets(operators),
            Inputs=self.integers(graph.inputs),
            Outputs=self.integers(graph.outputs),
        )

    def signature(self, signature: Signature) -> int:
        return self.table(
            "SignatureDef",
            SignatureKey=self.builder.CreateString(signature.key),
            Inputs=self.entries(signature.inputs),
            Outputs=self.entries(signature.outputs),
            SubgraphIndex=signature.graph,
        )

    def entries(self, names: Sequence[tuple[str, int]]) -> int:
        return self.offsets(
            [self.table("TensorMap", Name=self.builder.CreateString(name), TensorIndex=index) for name, index in names]
        )


def transpose(
    path: Path, shape: Sequence[int], perm: Sequence[int] | None, *, dtype: int = FLOAT, dynamic: Sequence[int] = ()
) -> Path:
    """A file of one TRANSPOSE whose result is of ``shape``."""
    order = None if perm is None else np.array(perm, np.int32)
    tensors = [
        Tensor("x", shape, dtype),
        Tensor("perm", [len(shape)], INT32, data=order),
        Tensor("y", shape, dtype, dynamic),
    ]
    graph = Graph(tensors, [(0, [0, 1], [2])], inputs=[0], outputs=[2])
    return Writer().write(path, [graph], [(OPERATORS.TRANSPOSE, OPERATORS.TRANSPOSE, None)])


@pytest.mark.parametrize(
    ("shape", "perm", "dtype", "dynamic", "expected"),
    [
        ((1, 3, 4, 2), (0, 2, 3, 1), FLOAT, (), 96),
        ((1, 1, 1, 8), (0, 2, 3, 1), FLOAT, (), 0),
        ((1, 3, 4, 1), (0, 2, 3, 1), FLOAT, (), 0),
        ((2, 1, 3), (1, 0, 2), FLOAT, (), 0),
        ((2, 3), (1, 0), schema.TensorType.INT8, (), 6),
        ((3, 3), (1, 0), INT4, (), 5),
        ((3, 3), (1, 0), schema.TensorType.BFLOAT16, (), 18),
        ((3, 3), (1, 0), schema.TensorType.BOOL, (), 9),
        ((1, 3, 4, 2), (0, 2, 3, 1), FLOAT, (-1, 3, 4, 2), 96),
        ((1, 3), (1, 0), FLOAT, (-1, 3), 12),
        ((2, 3), None, FLOAT, (), 24),
        ((1, 3), None, FLOAT, (), 0),
        ((), (1, 0), FLOAT, (), 0),
    ],
)
def test_bytes_of_a_transpose(
    tmp_path: Path,
    shape: Sequence[int],
    perm: Sequence[int] | None,
    dtype: int,
    dynamic: Sequence[int],
    expected: int,
) -> None:
    counts = count_tflite(transpose(tmp_path / "t.tflite", shape, perm, dtype=dtype, dynamic=dynamic))
    assert (counts.operators, counts.transposes, counts.bytes_moved) == (1, 1, expected)


def test_names_of_operators_over_all_subgraphs(tmp_path: Path) -> None:
    codes = [
        (OPERATORS.ADD, None, None),  # written before there were more than 127 operators
        (127, OPERATORS.GELU, None),
        (OPERATORS.CUSTOM, OPERATORS.CUSTOM, "FlexErf"),
        (OPERATORS.CUSTOM, None, "Mine"),
        (127, 9999, None),
        (OPERATORS.PADV2, OPERATORS.PADV2, None),
        (OPERATORS.EXPAND_DIMS, OPERATORS.EXPAND_DIMS, None),
        (OPERATORS.SPLIT_V, OPERATORS.SPLIT_V, None),
    ]
    main = Graph([Tensor("x", [1])], [(code, [0], [0]) for code in range(8)])
    body = Graph([Tensor("x", [1])], [(0, [0], [0])])
    counts = count_tflite(Writer().write(tmp_path / "m.tflite", [main, body], codes))
    assert counts.histogram == {
        "ADD": 2,
        "BUILTIN_9999": 1,
        "EXPAND_DIMS": 1,
        "FlexErf": 1,
        "GELU": 1,
        "Mine": 1,
        "PADV2": 1,
        "SPLIT_V": 1,
    }
    assert list(counts.histogram)[:2] == ["ADD", "BUILTIN_9999"]
    assert (counts.operators, counts.pads, counts.reshapes, counts.other_movement) == (9, 1, 1, 1)


TENSORS = [Tensor("a:0", [1, 4], dynamic=[-1, 4]), Tensor("b:0", [2], INT32), Tensor("c:0", [], schema.TensorType.BOOL)]


def test_signature_in_the_order_of_the_graph(tmp_path: Path) -> None:
    graph = Graph(TENSORS, inputs=[1, 0], outputs=[2, 0])
    signatures = [
        Signature("elsewhere", [], [], graph=1),
        Signature("other", [("p", 0)], [("q", 2)]),
        Signature("serving_default", [("first", 0), ("second", 1)], [("one", 0), ("three", 2), ("two", 2)]),
    ]
    found = signature_of(Writer().write(tmp_path / "m.tflite", [graph, Graph([])], signatures=signatures))
    assert found.inputs == (
        TfliteTensor("b:0", "second", (2,), "int32", 1, (2,)),
        TfliteTensor("a:0", "first", (-1, 4), "float32", 0, (1, 4)),
    )
    assert [(tensor.name, tensor.signature_name) for tensor in found.outputs] == [
        ("c:0", "three"),
        ("c:0", "two"),
        ("a:0", "one"),
    ]
    assert (found.outputs[0].shape, found.outputs[0].dtype) == ((), "bool")


@pytest.mark.parametrize("signatures", [[], [Signature("elsewhere", [("p", 0)], [], graph=1)]])
def test_without_a_signature_tensors_keep_their_names(tmp_path: Path, signatures: list[Signature]) -> None:
    graph = Graph(TENSORS, inputs=[1, 0], outputs=[2])
    found = signature_of(Writer().write(tmp_path / "m.tflite", [graph, graph], signatures=signatures))
    assert [tensor.signature_name for tensor in found.inputs] == ["b:0", "a:0"]
    assert [tensor.signature_name for tensor in found.outputs] == ["c:0"]


def refuse(path: Path, error: type[LayoutoptError]) -> None:
    for read in (count_tflite, signature_of):
        with pytest.raises(error) as caught:
            read(path)
        assert str(path) in caught.value.message
        assert "\n" not in caught.value.message


def test_a_missing_file(tmp_path: Path) -> None:
    refuse(tmp_path / "none.tflite", ModelNotFoundError)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"not a model at all", b"\x1c\0\0\0TFL3", b"\xff" * 4 + b"TFL3" * 9])
def test_not_a_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    refuse(path, InvalidModelError)


def test_a_directory(tmp_path: Path) -> None:
    refuse(tmp_path, InvalidModelError)


def test_a_model_without_a_graph(tmp_path: Path) -> None:
    refuse(Writer().write(tmp_path / "empty.tflite", []), InvalidModelError)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    whole = transpose(tmp_path / "whole.tflite", (1, 3, 4, 2), (0, 2, 3, 1)).read_bytes()
    # The very end may be padding, which nothing refers to.
    for size in range(len(whole) - 4):
        path = tmp_path / "cut.tflite"
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidModelError):
            count_tflite(path)


def test_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    whole = transpose(tmp_path / "whole.tflite", (1, 3, 4, 2), (0, 2, 3, 1)).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.tflite"
    readers: Sequence[Callable[[Path], object]] = (count_tflite, signature_of)
    for _ in range(300):
        damaged = bytearray(whole)
        for position in rng.integers(8, len(whole), 3):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        for read in readers:
            with contextlib.suppress(InvalidModelError):
                read(path)


CONVERT = """
    import pathlib, sys
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 3, 8, 8), tf.float32, name="picture")])
    def network(x):
        x = tf.transpose(x, (0, 2, 3, 1))
        x = tf.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), mode="REFLECT")
        x = tf.math.erf(tf.concat([x, tf.exp(x)], axis=3))
        x = tf.transpose(tf.reduce_mean(x, (1, 2), keepdims=True), (0, 3, 1, 2))
        return {"features": tf.reshape(x, (1, 2, 3))}

    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, sys.argv[1] + ".saved", signatures=network)
    converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1] + ".saved")
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    pathlib.Path(sys.argv[1]).write_bytes(converter.convert())
"""


@pytest.mark.onnx_tf
def test_a_file_from_the_converter(tmp_path: Path) -> None:
    path = tmp_path / "converted.tflite"
    # In a process of its own: TensorFlow warns while it is imported.
    subprocess.run([sys.executable, "-c", textwrap.dedent(CONVERT), str(path)], check=True, capture_output=True)
    counts = count_tflite(path)
    assert counts.histogram["FlexErf"] == 1
    assert (counts.transposes, counts.pads, counts.other_movement) == (1, 1, 1)
    assert counts.reshapes >= 1
    assert counts.bytes_moved == 1 * 8 * 8 * 3 * 4
    assert counts.operators == sum(counts.histogram.values())
    signature = signature_of(path)
    assert [(t.signature_name, t.shape, t.dtype) for t in signature.inputs] == [("picture", (1, 3, 8, 8), "float32")]
    assert [(t.signature_name, t.shape, t.dtype) for t in signature.outputs] == [("features", (1, 2, 3), "float32")]
