"""Weights stay in their files, or in the bytes that came in, until they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.errors import (
    InvalidModelError,
    OutputError,
)
from layoutopt.ir import io, weights
from tests.ir.files import names
from tests.ir.test_writing import full

WEIGHTS = weights.LARGE // 4 + 1


def weighty(dtype: ir.DataType = ir.DataType.FLOAT, *, above: int = 1) -> ir.Model:
    """A model that adds a weight, the larger one of two constants."""
    array = np.arange(WEIGHTS * above).astype(dtype.numpy())
    x, result = ir.val("x", dtype, array.shape), ir.val("y", dtype, array.shape)
    weight, little = (ir.val(name, const_value=ir.tensor(array[at:], name=name)) for name, at in (("w", 0), ("l", -1)))
    nodes = [ir.node("Add", [x, weight], name="a"), ir.node("Add", [weight, little], name="b")]
    nodes.append(ir.node("Sub", [node.outputs[0] for node in nodes], outputs=[result], name="c"))
    for at, node in enumerate(nodes):
        node.outputs[0].name = "y" if node.outputs[0] is result else f"t{at}"
    graph = ir.Graph([x], [result], nodes=nodes, initializers=[weight, little], opset_imports={"": 17}, name="g")
    return ir.Model(graph, ir_version=10)


def tensor_of(model: ir.Model, name: str = "w") -> ir.TensorProtocol:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor


def is_view(array: np.ndarray) -> bool:
    """Whether the elements are in a mapped file, or in the bytes that came in, and not in memory of their own."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array.base, memoryview)


@pytest.mark.parametrize("apart", [False, True], ids=["inside", "beside"])
def test_weights_stay_in_their_files(tmp_path: Path, apart: bool) -> None:
    path, model = tmp_path / "model.onnx", weighty()
    onnx.save(ir.to_proto(model), path, save_as_external_data=apart, location="weights.bin", size_threshold=0)
    loaded = io.load(path)
    assert is_view(tensor_of(loaded).numpy())
    for file in tmp_path.iterdir():  # as `save` does it: what is mapped stays
        file.unlink()
    assert list(loaded.graph.inputs) == [value for value in loaded.graph.inputs if value.name == "x"]
    for name in ("w", "l"):
        np.testing.assert_array_equal(tensor_of(loaded, name).numpy(), tensor_of(model, name).numpy())


def test_weights_stay_in_the_bytes_that_came_in() -> None:
    loaded = io.parse(ir.to_proto(weighty()).SerializeToString(), "memory")
    assert is_view(tensor_of(loaded).numpy())


@pytest.mark.parametrize(
    "dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.FLOAT]
)
@pytest.mark.parametrize("limit", [io.MAX_BYTES, 10_000], ids=["one file", "two files"])
def test_weights_of_any_type_are_saved_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: ir.DataType, limit: int
) -> None:
    monkeypatch.setattr(io, "MAX_BYTES", limit)
    path, model = tmp_path / "out.onnx", weighty(dtype, above=2)
    io.save(model, path)
    assert sorted(names(tmp_path)) == ["out.onnx", "out.onnx.data"][: 1 if limit > 10_000 else 2]
    for loaded in (io.load(path), ir.from_proto(onnx.load(path))):
        assert [node.op_type for node in loaded.graph] == ["Add", "Add", "Sub"]
        for name in ("w", "l"):
            assert tensor_of(loaded, name).dtype is dtype
            assert tensor_of(loaded, name).tobytes() == tensor_of(model, name).tobytes()


def test_half_bytes_are_saved_and_read(tmp_path: Path) -> None:
    array = (np.arange(4 * weights.LARGE) % 15 - 7).astype(ir.DataType.INT4.numpy())
    weight = ir.val("w", const_value=ir.tensor(array, name="w"))
    scale = ir.val("s", const_value=ir.tensor(np.float32(2), name="s"))
    result = ir.val("t", ir.DataType.FLOAT, array.shape)
    x = ir.val("x", ir.DataType.FLOAT, array.shape)
    nodes = [ir.node("DequantizeLinear", [weight, scale], outputs=[result], name="d"), ir.node("Add", [x, result])]
    y = nodes[1].outputs[0]
    y.name, y.dtype, y.shape = "y", ir.DataType.FLOAT, ir.Shape(array.shape)
    graph = ir.Graph([x], [y], nodes=nodes, initializers=[weight, scale], opset_imports={"": 21}, name="g")
    io.save(ir.Model(graph, ir_version=10), tmp_path / "out.onnx")
    np.testing.assert_array_equal(tensor_of(io.load(tmp_path / "out.onnx")).numpy(), array)


def test_a_full_disk_leaves_the_old_files_of_a_model_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "MAX_BYTES", 10_000)
    monkeypatch.setattr(io, "write_content", full)
    for name in ("out.onnx", "out.onnx.data"):
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(OutputError, match=r"out\.onnx\S* cannot be written"):
        io.save(weighty(), tmp_path / "out.onnx")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "out.onnx": b"old",
        "out.onnx.data": b"old",
    }


def test_nothing_serializes_a_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to read, nor to check, nor to write it."""
    io.save(weighty(), tmp_path / "model.onnx")

    def refuse(*_: object) -> None:
        raise AssertionError("a weight was serialized")

    monkeypatch.setattr(ir.Tensor, "tobytes", refuse)
    model = io.load(tmp_path / "model.onnx")
    io.check_model(model, "model")
    io.check_full(model)
    io.save(model, tmp_path / "again.onnx")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("offset", "-4", "are not within"),
        ("offset", "4", "are not within"),
        ("offset", "9999999999999999999999", "are not within"),
        ("offset", "here", "must be numbers"),
        ("length", "-1", "are no FLOAT of shape"),
        ("length", "4", "are no FLOAT of shape"),
        ("location", "../weights.bin", "not beside the model"),
        ("location", "/etc/hostname", "not beside the model"),
        ("location", "", "not beside the model"),
        ("location", "link/weights.bin", "not beside the model"),
        ("location", "nowhere.bin", "cannot be read"),
        ("location", "\0", "cannot be read"),
    ],
)
def test_weights_that_are_not_where_the_model_says(tmp_path: Path, key: str, value: str, reason: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path, proto = home / "model.onnx", ir.to_proto(weighty())
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=weights.LARGE)
    (tmp_path / "weights.bin").write_bytes((home / "weights.bin").read_bytes())
    (home / "link").symlink_to(tmp_path)
    io.load(path)
    proto = onnx.load(path, load_external_data=False)
    (entries,) = (tensor.external_data for tensor in proto.graph.initializer if tensor.external_data)
    for entry in [each for each in entries if each.key == key]:
        entries.remove(entry)
    entries.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InvalidModelError, match=reason) as error:
        io.load(path)
    assert "'w'" in error.value.message


def test_files_that_links_lead_to(tmp_path: Path) -> None:
    """As a cache keeps them: both under other names in a place of their own."""
    blobs, home = tmp_path / "blobs", tmp_path / "home"
    blobs.mkdir()
    home.mkdir()
    onnx.save(ir.to_proto(weighty()), home / "model.onnx", save_as_external_data=True, location="weights.bin")
    for name, blob in (("model.onnx", "1"), ("weights.bin", "2")):
        (home / name).rename(blobs / blob)
        (home / name).symlink_to(blobs / blob)
    assert tensor_of(io.load(home / "model.onnx")).size == WEIGHTS


def test_weights_of_a_model_in_memory_are_in_no_files() -> None:
    proto = ir.to_proto(weighty())
    onnx.external_data_helper.convert_model_to_external_data(proto, location="weights.bin")
    for tensor in proto.graph.initializer:
        if tensor.external_data:
            tensor.ClearField("raw_data")
    with pytest.raises(InvalidModelError, match="has no files"):
        io.parse(proto.SerializeToString(), "memory")


def test_a_file_with_weights_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    io.save(weighty(), path)
    whole = path.read_bytes()
    for size in range(1, len(whole), len(whole) // 23):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidModelError, match=r"model\.onnx: not an"):
            io.load(path)
