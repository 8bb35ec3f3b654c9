"""Every way in which a file or a model can be wrong ends in one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from layoutopt.errors import (
    DynamicShapeError,
    InvalidModelError,
    LayoutoptError,
    ModelNotFoundError,
    UnsupportedOperatorError,
    UsageError,
)
from layoutopt.ir import checking, io
from layoutopt.ir.verify import run_onnx
from tests.ir.files import DYNAMIC, GRAPH, model_of, proto_of, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx", proto_of())


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
    np.testing.assert_array_equal(run_onnx(model, {"x": x, "y": y})["z"], np.broadcast_to(whole, x.shape))


def test_a_shape_of_no_input() -> None:
    with pytest.raises(UsageError, match="--shape w: there is no such input") as error:
        io.set_shapes(model_of(DYNAMIC), {"w": (1,)})
    assert "x, z" in error.value.hint
