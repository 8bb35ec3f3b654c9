"""Every way in which a file or a path can be wrong ends in one clear error, and no file is left half-written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.errors import (
    DynamicShapeError,
    InvalidModelError,
    LayoutoptError,
    ModelNotFoundError,
    OutputError,
    PassFailedError,
    UnsupportedOperatorError,
    UsageError,
)
from layoutopt.ir import checking, io, weights
from layoutopt.ir.verify import run
from layoutopt.outputs import places

GRAPH = "g (float[1,3,4,4] x) => (float[1,3,4,4] y) { [first] t = Neg (x) [second] y = Relu (t) }"
DYNAMIC = "g (float[N,3,H,4] x, float[2] z) => (float[N,3,H,4] y) { t = Neg (x) y = Relu (t) }"


def proto_of(graph: str = GRAPH, *, imports: str = '"" : 17') -> onnx.ModelProto:
    return onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]>\n{graph}")


def model_of(graph: str = GRAPH) -> ir.Model:
    return ir.from_proto(proto_of(graph))


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def write(path: Path, proto: onnx.ModelProto) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx", proto_of())


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_model_is_read(file: Path) -> None:
    assert [node.op_type for node in io.load(file).graph] == ["Neg", "Relu"]
    assert [node.op_type for node in io.parse(file.read_bytes(), "memory").graph] == ["Neg", "Relu"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"nowhere\.onnx: no such file"):
        io.load(tmp_path / "nowhere.onnx")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="a directory"):
        io.load(tmp_path)


def test_a_truncated_file(file: Path) -> None:
    """Wherever it is cut, the error says so and names the file."""
    whole = file.read_bytes()
    for size in range(0, len(whole), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(LayoutoptError, match=r"model\.onnx: not a"):
            io.load(file)


@pytest.mark.parametrize("name", ["model.onnx", "model.json", "model.textproto", "model.onnxtxt", "model"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"not a model", b"\x00\xff" * 50, b"\x89PNG\r\n\x1a\n"],
    ids=["nothing", "braces", "words", "bytes", "picture"],
)
def test_what_is_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=f"{name}: not an ONNX"):
        io.load(path)
    with pytest.raises(InvalidModelError, match="memory: not an ONNX"):
        io.parse(content, "memory")


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    proto = proto_of("g (float[2] x) => (float[2] y) <float[2] k = {1, 2}> { y = Add (x, k) }")
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones(2, np.float32), "k"))
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    io.load(tmp_path / "model.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InvalidModelError, match=r"model\.onnx"):
        io.load(tmp_path / "model.onnx")


def test_a_model_that_the_checker_refuses(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", proto_of(GRAPH.replace("Relu (t)", "Relu (nothing)")))
    with pytest.raises(InvalidModelError, match="not a valid ONNX model"):
        io.load(path)


def test_an_unknown_operator_is_named_with_its_node(tmp_path: Path) -> None:
    graph = GRAPH.replace("Relu", "Rectify").replace("Neg", "Negate")
    with pytest.raises(UnsupportedOperatorError) as error:
        io.load(write(tmp_path / "model.onnx", proto_of(graph)))
    assert "'first': operator ai.onnx::Negate" in error.value.message
    assert "'second': operator ai.onnx::Rectify" in error.value.message


def test_an_operator_newer_than_the_opset() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"ai[.]onnx::Gelu"):
        checking.check_proto(proto_of(GRAPH.replace("Relu", "Gelu")), "model")


def test_an_unknown_operator_in_a_body() -> None:
    graph = """g (float[2] a, bool flag) => (float[2] y) {
        y = If (flag) <
            then_branch = one () => (float[2] c) { c = Relu (a) },
            else_branch = two () => (float[2] d) { [inner] d = Rectify (a) }
        >
    }"""
    with pytest.raises(UnsupportedOperatorError, match=r"'inner': operator ai[.]onnx::Rectify"):
        checking.check_proto(proto_of(graph), "model")


def test_an_unknown_domain_is_named() -> None:
    proto = proto_of(GRAPH.replace("Relu", "my.domain.Relu"), imports='"" : 17, "my.domain" : 1')
    with pytest.raises(UnsupportedOperatorError, match=r"'second': operator my[.]domain::Relu"):
        checking.check_proto(proto, "model")


def test_a_function_of_the_model_is_known() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "my.domain" : 1]>\n'
        + GRAPH.replace("Relu", "my.domain.Relu")
        + '\n<domain: "my.domain", opset_import: ["" : 17]> Relu (a) => (b) { b = Relu (a) }'
    )
    checking.check_proto(proto, "model")


@pytest.mark.parametrize("opset", [6, checking.NEWEST_OPSET + 1, 99])
def test_an_unknown_opset(opset: int) -> None:
    with pytest.raises(UnsupportedOperatorError, match=f"opset {opset}; known are 7 to"):
        checking.check_proto(proto_of(imports=f'"" : {opset}'), "model")


def test_an_older_opset_becomes_the_oldest_known() -> None:
    """Of the sum, the converter makes one that broadcasts by itself."""
    text = "g (float[2,3] x, float[3] y) => (float[2,3] z) { z = Add <broadcast = 1> (x, y) }"
    model = io.parse(proto_of(text, imports='"" : 6').SerializeToString(), "model")
    assert model.opset_imports[""] == checking.OLDEST_OPSET
    assert not model.graph[0].attributes


@pytest.mark.parametrize("opset", [checking.OLDEST_OPSET, 17, checking.NEWEST_OPSET])
def test_a_known_opset(opset: int) -> None:
    checking.check_proto(proto_of(imports=f'"" : {opset}'), "model")


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_a_dynamic_input_without_a_shape() -> None:
    model = model_of(DYNAMIC)
    with pytest.raises(DynamicShapeError, match=r"input x\[N,3,H,4\]") as error:
        io.require_static(model)
    assert error.value.hint == "Give it a shape: --shape x=1,3,224,4"
    io.make_static(model, {"x": (1, 3, 224, 4)})
    io.require_static(model_of())


def test_shapes_are_set_and_inferred_anew() -> None:
    model = model_of(DYNAMIC)
    io.set_shapes(model, {"x": (2, 3, 5, 4)})
    assert [value.shape and value.shape.numpy() for node in model.graph for value in node.outputs] == [(2, 3, 5, 4)] * 2
    io.require_static(model)


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 3, -1, 4), (1, 3, 4, 4, 1), ()])
def test_a_shape_that_contradicts_the_model(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="--shape x="):
        io.set_shapes(model_of(DYNAMIC), {"x": shape})


def test_a_stated_size_may_be_another_one() -> None:
    """Exporters state the batch that they happened to see; all that was inferred from it is inferred anew."""
    model = model_of("g (float[10,3,4,4] x) => (float[10,3,4,4] y) { r = Relu (x) y = Neg (r) }")
    io.set_shapes(model, {"x": (1, 3, 8, 4)})
    assert [value.shape and value.shape.numpy() for node in model.graph for value in node.outputs] == [(1, 3, 8, 4)] * 2


def test_a_size_of_0() -> None:
    """The past of a text of which nothing was read yet."""
    text = "g (float[1,2,past,4] p, float[1,2,3,4] n) => (float[1,2,all,4] y) { y = Concat <axis = 2> (p, n) }"
    model = model_of(text)
    io.set_shapes(model, {"p": (1, 2, 0, 4)})
    assert model.graph.outputs[0].shape == (1, 2, 3, 4)


def test_an_input_without_a_shape_asks_for_one() -> None:
    proto = proto_of("g (float[1,3] x) => (float[1,3] y) { y = Relu (x) }")
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.ClearField("shape")
    model = io.parse(proto.SerializeToString(), "model")
    with pytest.raises(DynamicShapeError) as error:
        io.require_static(model)
    assert "--shape x=" in error.value.hint
    io.make_static(model, {"x": (2, 5)})
    assert model.graph.outputs[0].shape == (2, 5)


def test_weights_that_are_no_inputs_at_an_ir_version_that_wants_them_to_be() -> None:
    proto = proto_of("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }")
    proto.ir_version = 3
    assert [value.name for value in io.parse(proto.SerializeToString(), "model").graph.inputs] == ["x"]


@pytest.mark.parametrize("version", [3, 4, 8])
def test_weights_that_are_inputs_as_well_are_constants(version: int) -> None:
    proto = proto_of("g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }")
    proto.ir_version = version
    model = io.parse(proto.SerializeToString(), "model")
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [value.name for value in model.graph.initializers.values()] == ["w"]


@pytest.mark.parametrize(("axis", "shape"), [(1, (4,)), (2, (5,)), (0, (2, 4)), (3, (6,)), (-2, (5,))])
def test_old_broadcasting_along_any_axis(axis: int, shape: tuple[int, ...]) -> None:
    """Up to opset 6, the second operand said at which axis of the first it begins."""
    sizes = ",".join(map(str, shape))
    attributes = f"broadcast = 1, axis = {axis}"
    text = f"g (float[2,4,5,6] x, float[{sizes}] y) => (float[2,4,5,6] z) {{ z = Add <{attributes}> (x, y) }}"
    model = io.parse(proto_of(text, imports='"" : 6').SerializeToString(), "model")
    x, y = np.zeros((2, 4, 5, 6), np.float32), np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    whole = y.reshape((1,) * (axis % 4) + shape + (1,) * (4 - axis % 4 - len(shape)))
    np.testing.assert_array_equal(run(model, {"x": x, "y": y})["z"], np.broadcast_to(whole, x.shape))


def test_a_shape_of_no_input() -> None:
    with pytest.raises(UsageError, match="--shape w: there is no such input") as error:
        io.set_shapes(model_of(DYNAMIC), {"w": (1,)})
    assert "x, z" in error.value.hint


# --- writing ---------------------------------------------------------------------------------------------------------


def test_what_is_saved_can_be_loaded(tmp_path: Path) -> None:
    io.save(model_of(), tmp_path / "out.onnx")
    assert ir.to_proto(io.load(tmp_path / "out.onnx")) == ir.to_proto(model_of())
    assert names(tmp_path) == ["out.onnx"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_honours_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        io.save(model_of(), tmp_path / "out.onnx")
        assert os.umask(mask) == mask, "the umask was changed"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.onnx").stat().st_mode) == 0o666 & ~mask


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "function"), [(io, "write"), (Path, "replace"), (places, "_set_aside")], ids=["write", "replace", "aside"]
)
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, function: str
) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(owner, function, full)
    with pytest.raises(OutputError, match=r"out\.onnx: cannot be written \(No space left on device\)"):
        io.save(model_of(), path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.onnx"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        io.save(model_of(), tmp_path / "out.onnx")
    assert names(tmp_path) == []


def test_a_model_over_two_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "MAX_BYTES", 10)
    with pytest.raises(OutputError, match="over 2 GiB without its weights"):
        io.save(model_of(), tmp_path / "out.onnx")
    assert names(tmp_path) == []


# --- weights ---------------------------------------------------------------------------------------------------------


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
    io.check(model, "model")
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


def test_no_directory_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        io.save(model_of(), tmp_path / "missing" / "out.onnx")


# --- the rest --------------------------------------------------------------------------------------------------------


def test_recorded_orders_round_trip(tmp_path: Path) -> None:
    model = model_of()
    model.metadata_props["author"] = "somebody"
    orders = {"x": (0, 2, 3, 1), "layoutopt.order.y": (0, 2, 1), "a.b/c:0": (0, 2, 3, 4, 1)}
    io.record_orders(model, orders)
    io.save(model, tmp_path / "out.onnx")
    assert io.recorded_orders(io.load(tmp_path / "out.onnx")) == orders


def test_check_full_names_the_fault() -> None:
    model = model_of()
    io.check_full(model)
    model.graph.outputs[0].shape = ir.Shape([1, 3, 4, 5])
    with pytest.raises(PassFailedError, match="the optimized model is not valid"):
        io.check_full(model)
