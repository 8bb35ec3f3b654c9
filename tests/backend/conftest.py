"""A few .tflite files for the tests of what runs, times and reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Shape, Value
from layoutopt.tfl.recorder import one, record
from layoutopt.tfl.schema import IDENTIFIER, schema

WEIGHTS = np.random.default_rng(0).standard_normal((4, 3, 3, 4)).astype(np.float32)


def convolved(x: Value) -> Value:
    """Six convolutions, whose results do not grow."""
    for _ in range(6):
        x = tfl.conv_2d(x, WEIGHTS / 6, padding="SAME")
    return x


def repeated(x: Value) -> Value:
    """Convolutions, four rounds of them, and some more."""
    start: list[Value | np.int32] = [np.int32(0), convolved(x)]
    _, y = tfl.while_(lambda i, _: tfl.less(i, 4), lambda i, x: [tfl.add(i, 1), convolved(x)], start)
    return convolved(y)


def mixed(x: Value) -> Value:
    """Convolutions, an operator between them that XNNPACK does not take, and some more."""
    paddings = tfl.int32([[0, 0], [2, 2], [2, 2], [0, 0]])
    return convolved(one("MIRROR_PAD", convolved(x), paddings, mode="REFLECT"))


def unknown(x: Value) -> Value:
    """An operator that needs TensorFlow at run time."""
    (y,) = record("FlexErf", x, results=[(DType.FLOAT32, x.shape)])
    return y


def chosen(i: Value, m: Value, q: Value) -> Value:
    return tfl.select_v2(m, tfl.cast(i, DType.FLOAT32), tfl.cast(q, DType.FLOAT32))


Build = Callable[..., Value | Sequence[Value]]
FLOAT = DType.FLOAT32
FILES: dict[str, tuple[Build, dict[str, tuple[DType, Shape]], str]] = {
    "small": (convolved, {"x": (FLOAT, (1, 16, 16, 4))}, "y"),
    "large": (convolved, {"x": (FLOAT, (1, 64, 64, 4))}, "y"),
    "loop": (repeated, {"x": (FLOAT, (1, 16, 16, 4))}, "y"),
    "mixed": (mixed, {"x": (FLOAT, (1, 32, 32, 4))}, "y"),
    "two": (lambda b, a: [a - b, a + 2.0 * b], {"b": (FLOAT, (2, 3)), "a": (FLOAT, (2, 3))}, "z y"),
    "unsigned": (lambda b, a: a - b, {"b": (FLOAT, (2, 3)), "a": (FLOAT, (2, 3))}, "z"),
    "dynamic": (lambda x: x * 2.0, {"x": (FLOAT, (None, 3))}, "y"),
    "flex": (unknown, {"x": (FLOAT, (2,))}, "y"),
    "types": (chosen, {"i": (DType.INT64, (4,)), "m": (DType.BOOL, (4,)), "q": (DType.UINT8, (4,))}, "y"),
}
"""What each file computes, its inputs, and the names of its outputs."""


def model_of(name: str) -> Model:
    build, inputs, outputs = FILES[name]
    graph = Graph([Value(dtype, shape) for dtype, shape in inputs.values()])
    with tfl.recording(graph):
        results = build(*graph.inputs)
    graph.outputs = [results] if isinstance(results, Value) else list(results)
    return Model(graph, list(inputs), outputs.split())


def without_signature(content: bytes) -> bytes:
    """A file as converters of before signatures wrote it."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.signatureDefs = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of .tflite files."""
    folder = tmp_path_factory.mktemp("models")
    for name in FILES:
        write_tflite(model_of(name), folder / f"{name}.tflite")
    unsigned = folder / "unsigned.tflite"
    unsigned.write_bytes(without_signature(unsigned.read_bytes()))
    return folder
