"""Dimensions that stay symbolic: at any size, the results are those of ONNX Runtime on the original at that size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import layoutopt
from layoutopt import api
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import DynamicShapeError, UsageError
from layoutopt.ir import symbols
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.verify import to_natural, to_stored
from layoutopt.passes import MergeLinearChains
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import ModelReport
from layoutopt.tfl.reader import read_tflite
from tests.graphs import BATCH_NORM, NORMALIZE, numbers
from tests.harness import model_of

Shape = tuple[int, ...]

CONSTANTS: Mapping[str, str] = {
    "w": numbers("w", 4, 3, 3, 3),
    "w2": numbers("w2", 4, 4, 3, 3),
    "up": numbers("up", 4, 4, 3, 3),
    "wq": numbers("wq", 4, 4),
    "wk": numbers("wk", 4, 4),
    "dense": numbers("dense", 256, 5),
    "position": numbers("position", 1, 65, 4),
    "token": numbers("token", 1, 1, 4),
    "gamma": BATCH_NORM,
    "rows": "int64[2] rows = {0, -1}",
    "tokens": "int64[3] tokens = {0, 4, -1}",
    "four": "int64[1] four = {4}",
    "one": "int64[1] one = {1}",
    "last": "int64[1] last = {3}",
    "zero": "int64[1] zero = {0}",
    "twice": "float[4] twice = {1, 1, 2, 2}",
    "end": "int64[1] end = {9223372036854775807}",
    "around": "int64[8] around = {0, 0, 1, 2, 0, 0, 3, 1}",
}
STEM = "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) t = Relu (c)"
HALF = "p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (t)"

NETWORKS: Mapping[str, str] = {
    "a classifier": f"{STEM} n = {NORMALIZE} f = Reshape (n, rows) y = MatMul (f, dense)",
    "attention with a class token": f"{STEM} r = Reshape (t, tokens) s = Transpose <perm = [0, 2, 1]> (r) "
    "b = Shape <end = 1> (x) e = Concat <axis = 0> (b, one, four) o = Expand (token, e) j = Concat <axis = 1> (o, s) "
    "z = Add (j, position) u = MatMul (z, wq) v = MatMul (z, wk) h = Transpose <perm = [0, 2, 1]> (v) "
    "l = MatMul (u, h) m = Softmax <axis = -1> (l) a = MatMul (m, z) g = Gather <axis = 1> (a, zero) "
    "y = Squeeze (g, one)",
    "an encoder and a decoder": f"{STEM} {HALF} d = Conv <pads = [1, 1, 1, 1]> (p, w2) "
    'i = Resize <coordinate_transformation_mode = "half_pixel", mode = "linear"> (d, , twice) '
    "h = Concat <axis = 1> (i, t) a, b = Split <axis = 1> (h) s = Add (a, b) "
    "y = ConvTranspose <pads = [1, 1, 1, 1], strides = [2, 2], output_padding = [1, 1]> (s, up)",
    "a size taken from another map": f"{STEM} {HALF} k = Shape (t) "
    'i = Resize <coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"> (p, , , k) '
    "y = Add (i, t)",
    "borders": 'g = Pad <mode = "reflect"> (x, around) c = Conv (g, w) s = Slice (c, one, end, last) y = Relu (s)',
    "pooled": f"{STEM} {HALF} g = GlobalAveragePool (p) y = Flatten (g)",
}
CONVOLUTIONAL = ("an encoder and a decoder", "a size taken from another map", "borders", "pooled")
ODD = ("a size taken from another map", "borders", "pooled")


def weights(name: str, *shape: int) -> str:
    """The text of an initializer of small numbers, with which a recurrent operator forgets."""
    values = np.random.default_rng(0).uniform(-0.5, 0.5, shape).reshape(-1)
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(map('{:.4f}'.format, values))}}}"


def network(name: str, shape: str) -> ir.Model:
    body = NETWORKS[name]
    constants = ", ".join(text for word, text in CONSTANTS.items() if word in body.replace(",", " ").replace(")", " "))
    return model_of(f"g (float[{shape}] x) => (float y) <{constants}> {{ {body} }}")


def check(original: ir.Model, optimized: Path, tflite: Path | None, shapes: Sequence[Shape]) -> None:
    """Both files, at these shapes of the one input, against the original in ONNX Runtime with its default settings."""
    orders = recorded_orders(ir.load(optimized))
    reference = ort.InferenceSession(ir.to_proto(original).SerializeToString())
    (image,), (result,) = reference.get_inputs(), reference.get_outputs()
    for shape in shapes:
        inputs = {image.name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
        (expected,) = reference.run(None, inputs)
        stored = to_stored(inputs, orders)
        found = [{result.name: ort.InferenceSession(optimized).run(None, stored)[0]}]
        found += [run_tflite(tflite, stored)] if tflite else []
        for each in found:
            actual = to_natural(each, orders)[result.name].astype(np.float64)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_both_files_take_any_batch(name: str, tmp_path: Path) -> None:
    report = check_batch(network(name, "N,3,16,16"), tmp_path, Backend.DIRECT)
    assert [each.sizes for each in report.dynamic] == [{"batch": 1}, {"batch": 5}]
    assert report.inputs[0].shape[0] == report.outputs[0].shape[0] == -1


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_both_files_take_any_size(name: str, tmp_path: Path) -> None:
    model, onnx, tflite = network(name, "batch,3,height,width"), tmp_path / "out.onnx", tmp_path / "out.tflite"
    symbols = ["height", "batch", "width"]
    report = layoutopt.optimize(
        model, output=onnx, tflite=tflite, dynamic=symbols, baseline=False, backend=Backend.DIRECT
    )
    assert report.inputs[0].shape == signature_of(tflite).inputs[0].shape == (-1, -1, -1, 3)
    odd = [(1, 3, 35, 50), (3, 3, 71, 64)] if name in ODD else []
    check(model, onnx, tflite, [(1, 3, 64, 64), (4, 3, 32, 96), *odd])


@dataclass(frozen=True)
class Special:
    """A network that is more than a chain of operators.

    Attributes:
        signature: of its graph.
        body: of its graph.
        symbols: that stay symbolic.
        shapes: to run it at; the first is the default, and no other takes part in making the files.
        codes: operators that its .tflite must have, so that it is what it is meant to be.
    """

    signature: str
    body: str
    symbols: Sequence[str]
    shapes: Sequence[Shape]
    codes: frozenset[str]


LOOP = "b (int64 i, bool go, float[m,k] s) => (bool more, float[m,k] t)"
STOP = "r = ReduceMax <keepdims = 0> (t) more = Less (r, limit)"
SEQUENCES = [(11, 1, 3), (11, 4, 3), (11, 9, 3)]
ROWS = [(1, 4), (4, 4), (9, 4)]
MASK = (
    "m = Unsqueeze (o, axes) b = Shape <start = 2> (c) d = Shape <end = 2> (m) s = Concat <axis = 0> (d, b) "
    'z = Resize <coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"> '
    "(m, , , s) n = CumSum (z, down) p = Sin (n) y = Add (c, p)"
)
SPECIAL: Mapping[str, Special] = {
    "each position with each row": Special(
        "(float[1,2,height,width] x) => (float y) <int64[1] one = {1}, int64[1] two = {2}>",
        "h = Shape <start = 2, end = 3> (x) w = Shape <start = 3, end = 4> (x) k = Mul (h, w) "
        "p = Concat <axis = 0> (two, k, h) r = Concat <axis = 0> (two, h, w, one, one) a = Reshape (x, r) "
        "q = ReduceMax <axes = [3]> (x) s = Concat <axis = 0> (two, one, one, h, one) b = Reshape (q, s) "
        "m = Mul (a, b) y = Reshape (m, p)",
        ["height", "width"],
        [(1, 2, 8, 12), (1, 2, 9, 7), (1, 2, 15, 16)],
        frozenset({"RESHAPE", "SHAPE", "GATHER"}),
    ),
    "an LSTM in a loop": Special(
        "(float[11,batch,3] x) => (float y) "
        f"<{weights('w', 1, 32, 3)}, {weights('r', 1, 32, 8)}, int64[1] one = {{1}}>",
        "a = LSTM <hidden_size = 8> (x, w, r) s = Squeeze (a, one) y = Relu (s)",
        ["batch"],
        SEQUENCES,
        frozenset({"WHILE"}),
    ),
    "a GRU both ways": Special(
        f"(float[11,batch,3] x) => (float y) <{weights('w', 2, 24, 3)}, {weights('r', 2, 24, 8)}>",
        'a, h = GRU <hidden_size = 8, direction = "bidirectional"> (x, w, r) y = Relu (h)',
        ["batch"],
        SEQUENCES,
        frozenset({"WHILE"}),
    ),
    "an RNN written out": Special(
        f"(float[4,batch,3] x) => (float y) <{weights('w', 1, 8, 3)}, {weights('r', 1, 8, 8)}>",
        "a, h = RNN <hidden_size = 8> (x, w, r) y = Relu (a)",
        ["batch"],
        [(4, 1, 3), (4, 4, 3), (4, 9, 3)],
        frozenset({"SLICE"}),
    ),
    "a loop whose body has the batch": Special(
        "(float[batch,4] x) => (float[m,k] y) <int64 count = {30}, bool yes = {1}, float limit = {9}>",
        f"y = Loop (count, yes, x) <body = {LOOP} {{ u = Tanh (s) t = Add (u, s) {STOP} }}>",
        ["batch"],
        ROWS,
        frozenset({"WHILE"}),
    ),
    "a loop whose body computes a size": Special(
        "(float[batch,4] x) => (float[m,k] y) <int64 count = {30}, bool yes = {1}, float limit = {50}, "
        "float[1,4] token = {1, 2, 3, 4}>",
        f"y = Loop (count, yes, x) <body = {LOOP} {{ h = Shape (s) e = Expand (token, h) "
        "q = Concat <axis = 1> (e, s) u, v = Split <axis = 1> (q) t = Add (v, u) "
        f"{STOP} }}>",
        ["batch"],
        ROWS,
        frozenset({"WHILE", "BROADCAST_TO"}),
    ),
    "a table repeated for each sample": Special(
        f"(float[batch,2,4,4] x) => (float y) <{weights('table', 2, 4, 4)}, int64[1] one = {{1}}, "
        "int64[3] heads = {-1, 4, 4}>",
        "b = Shape <end = 1> (x) r = Concat <axis = 0> (b, one, one) t = Tile (table, r) h = Reshape (x, heads) "
        "y = MatMul (h, t)",
        ["batch"],
        [(1, 2, 4, 4), (4, 2, 4, 4), (9, 2, 4, 4)],
        frozenset({"TILE"}),
    ),
    "places counted in 64 bits": Special(
        "(float[batch,length] x) => (float y) <int64 zero = {0}, int64 one = {1}, int64[1] flat = {-1}>",
        "b = Shape <end = 1> (x) l = Shape <start = 1> (x) c = Squeeze (b) n = Range (zero, c, one) m = Mul (n, l) "
        "f = Reshape (x, flat) y = Gather (f, m)",
        ["batch", "length"],
        [(1, 64), (4, 33), (9, 71)],
        frozenset({"RANGE", "MUL", "GATHER"}),
    ),
    "places beyond 32 bits": Special(
        "(float[batch,length] x) => (float y) <int64 far = {4000000000}>",
        "l = Shape <start = 1> (x) m = Mul (l, far) i = Cast <to = 7> (x) n = Add (i, m) y = Cast <to = 1> (n)",
        ["batch", "length"],
        [(1, 64), (4, 33), (9, 71)],
        frozenset({"ADD"}),
    ),
    "elements picked from each row": Special(
        "(float[batch,length] x) => (float y) <int64[1] two = {2}>",
        "v, i = TopK (x, two) n = Neg (x) y = GatherElements <axis = 1> (n, i)",
        ["batch", "length"],
        [(1, 64), (4, 33), (9, 71)],
        frozenset({"GATHER"}),
    ),
    "numbers as many as a map that is computed": Special(
        f"(float[1,3,height,width] x) => (float y) <{CONSTANTS['w']}, int64 zero = {{0}}, int64 one = {{1}}, "
        "int64[3] rows = {1, 4, -1}, int64[2] axes = {0, 1}>",
        "c = Conv <strides = [2, 2]> (x, w) r = Reshape (c, rows) s = Shape <start = 2> (r) n = Squeeze (s) "
        "k = Range (zero, n, one) u = Unsqueeze (k, axes) f = Cast <to = 1> (u) y = Add (r, f)",
        ["height", "width"],
        [(1, 3, 64, 64), (1, 3, 35, 50), (1, 3, 71, 33)],
        frozenset({"RANGE"}),
    ),
    "a mask that is resized and counted": Special(
        f"(float[1,3,height,width] x) => (float y) <{CONSTANTS['w']}, int64[2] axes = {{0, 1}}, int32 down = {{2}}>",
        "c = Conv <strides = [2, 2]> (x, w) a = Shape <start = 2> (x) o = ConstantOfShape <value = float[1] {1}> (a) "
        f"{MASK}",
        ["height", "width"],
        [(1, 3, 64, 64), (1, 3, 35, 50), (1, 3, 71, 33)],
        frozenset({"CUMSUM"}),
    ),
    "a mask of one element that is resized and counted": Special(
        f"(float[1,3,height,width] x) => (float y) <{CONSTANTS['w']}, int64[2] axes = {{0, 1}}, int32 down = {{2}}, "
        "float single = {1}>",
        f"c = Conv <strides = [2, 2]> (x, w) a = Shape <start = 2> (x) o = Expand (single, a) {MASK}",
        ["height", "width"],
        [(1, 3, 64, 64), (1, 3, 35, 50), (1, 3, 71, 33)],
        frozenset({"CUMSUM"}),
    ),
    "a map padded to the size of another one": Special(
        "(float[1,3,height,width] x) => (float y) <float[4] double = {1, 1, 2, 2}, int64[6] none = {0, 0, 0, 0, 0, 0}>",
        'c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) r = Resize <mode = "nearest"> (c, , double) '
        "s = Shape <start = 2> (x) q = Shape <start = 2> (r) d = Sub (s, q) p = Concat <axis = 0> (none, d) "
        "e = Pad (r, p) y = Concat <axis = 1> (x, e)",
        ["height", "width"],
        [(1, 3, 64, 64), (1, 3, 35, 50), (1, 3, 71, 33)],
        frozenset({"PAD"}),
    ),
    "branches that have the batch": Special(
        "(float[batch,4] x) => (float y) <float limit = {3}>",
        "r = ReduceSum <keepdims = 0> (x) z = Less (r, limit) q = Relu (x) "
        "y = If (z) <then_branch = a () => (float[m,k] t) { t = Tanh (q) }, "
        "else_branch = b () => (float[m,k] e) { e = Neg (q) }>",
        ["batch"],
        ROWS,
        frozenset({"IF"}),
    ),
    "branches that do not": Special(
        "(float[batch,4] x) => (float y) <float limit = {3}, float[1] a = {2}>",
        "r = ReduceSum <keepdims = 0> (x) z = Less (r, limit) "
        "s = If (z) <then_branch = a () => (float[1] t) { t = Tanh (a) }, "
        "else_branch = b () => (float[1] e) { e = Neg (a) }> y = Mul (x, s)",
        ["batch"],
        ROWS,
        frozenset({"IF"}),
    ),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_loops_and_branches_and_products_of_sizes(name: str, tmp_path: Path) -> None:
    special, onnx, tflite = SPECIAL[name], tmp_path / "out.onnx", tmp_path / "out.tflite"
    model = model_of(f"g {special.signature} {{ {special.body} }}")
    layoutopt.optimize(
        model,
        output=onnx,
        tflite=tflite,
        shapes={"x": special.shapes[0]},
        dynamic=special.symbols,
        baseline=False,
        backend=Backend.DIRECT,
    )
    assert {each.code for each in read_tflite(tflite).graph.all_operations()} >= special.codes
    check(model, onnx, tflite, special.shapes)


def test_a_size_that_must_be_a_multiple(tmp_path: Path) -> None:
    body = "r = Reshape (x, s) y = Relu (r)"
    model = model_of(f"g (float[1,3,height,4] x) => (float y) <int64[4] s = {{0, 60, -1, 4}}> {{ {body} }}")
    report = layoutopt.optimize(
        model, output=tmp_path / "out.onnx", shapes={"x": (1, 3, 20, 4)}, dynamic=["height"], convert=False
    )
    assert [each.sizes["height"] for each in report.dynamic] == [20, 40]
    check(model, tmp_path / "out.onnx", None, [(1, 3, 20, 4), (1, 3, 80, 4)])


@pytest.mark.onnx_tf
def test_a_tflite_of_tensorflow_takes_any_batch(tmp_path: Path) -> None:
    check_batch(network("attention with a class token", "N,3,16,16"), tmp_path)


@pytest.mark.onnx_tf
@pytest.mark.long
@pytest.mark.parametrize("name", [*NETWORKS])
def test_every_tflite_of_tensorflow_takes_any_batch(name: str, tmp_path: Path) -> None:
    check_batch(network(name, "N,3,16,16"), tmp_path)


def check_batch(model: ir.Model, directory: Path, backend: Backend = Backend.ONNX_TF) -> layoutopt.OptimizeReport:
    onnx, tflite = directory / "out.onnx", directory / "out.tflite"
    report = layoutopt.optimize(model, output=onnx, tflite=tflite, dynamic=["batch"], baseline=False, backend=backend)
    (image,) = signature_of(tflite).inputs
    assert (image.shape[0], image.default[0]) == (-1, 1)
    assert all(size > 0 for size in image.shape[1:])
    assert all(each.tflite_error is not None for each in report.dynamic)
    shape = report.inputs[0].original_shape
    check(model, onnx, tflite, [(size, *shape[1:]) for size in (1, 4, 9)])
    return report


@pytest.mark.onnx_tf
def test_a_tflite_of_tensorflow_takes_any_size(tmp_path: Path) -> None:
    check_size("borders", tmp_path)


@pytest.mark.onnx_tf
@pytest.mark.long
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_tflite_of_tensorflow_takes_any_size(name: str, tmp_path: Path) -> None:
    check_size(name, tmp_path)


def check_size(name: str, directory: Path) -> None:
    model, onnx, tflite = network(name, "1,3,height,width"), directory / "out.onnx", directory / "out.tflite"
    shapes = {"x": (1, 3, 32, 64)}
    layoutopt.optimize(
        model, output=onnx, tflite=tflite, shapes=shapes, dynamic=["height", "width"], baseline=False, benchmark=True
    )
    (image,) = signature_of(tflite).inputs
    assert (image.shape, image.default) == ((1, -1, -1, 3), (1, 32, 64, 3))
    odd = [(1, 3, 35, 50), (1, 3, 71, 64)] if name in ODD else []
    check(model, onnx, tflite, [(1, 3, 32, 64), (1, 3, 96, 32), *odd])


def test_a_static_batch_may_become_symbolic(tmp_path: Path) -> None:
    model = network("pooled", "1,3,16,16")
    layoutopt.optimize(model, output=tmp_path / "out.onnx", dynamic=["batch"], convert=False)
    image = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)
    one = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    expected = np.concatenate([one.run(None, {"x": each[np.newaxis]})[0] for each in image])
    (actual,) = ort.InferenceSession(tmp_path / "out.onnx").run(None, {"x": image.transpose(0, 2, 3, 1)})
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(float[1,3,4] x) => (float y) <int64[3] s = {1, 4, 3}> { y = Reshape (x, s) }", "does not run at batch=2"),
        ("(float[1,3,4] x) => (float y) { y = ReduceSum <keepdims=0> (x) }", "each sample by itself"),
        ("(float[1,3,4] x) => (float y) <int64[1] s = {0}> { y = CumSum (x, s) }", "each sample by itself"),
    ],
)
def test_a_model_that_is_written_for_one_batch_is_refused(text: str, message: str) -> None:
    with pytest.raises(DynamicShapeError, match=message) as caught:
        layoutopt.optimize(model_of(f"g {text}"), dynamic=["batch"], convert=False)
    assert "export the model so that it takes any size" in caught.value.hint


def test_what_cannot_be_named_is_refused() -> None:
    model = network("pooled", "N,3,height,width")
    with pytest.raises(UsageError, match="--dynamic depth: no input has") as caught:
        layoutopt.optimize(model, dynamic=["depth"], convert=False)
    assert "N, height, width" in caught.value.hint
    with pytest.raises(DynamicShapeError, match=r"dynamic shape of input x\[1,3,height,width\]"):
        layoutopt.optimize(model, dynamic=["batch"], convert=False)
    two = model_of("g (float[2,3] x, float[4,3] z) => (float[2,3] y) { y = Relu (x) }")
    with pytest.raises(UsageError, match="several sizes: 2 in 'x', 4 in 'z'"):
        layoutopt.optimize(two, dynamic=["batch"], convert=False)


def test_branches_that_only_one_size_has_are_refused() -> None:
    body = (
        "s = Shape <start = 2, end = 3> (x) h = Squeeze (s) z = Less (h, limit) "
        "y = If (z) <then_branch = a () => (float[n,m,k,l] t) { r = ReduceSum <keepdims = 0> (x) q = Less (r, zero) "
        "t = If (q) <then_branch = c () => (float[n,m,k,l] u) { u = Tanh (x) }, "
        "else_branch = d () => (float[n,m,k,l] v) { v = Neg (x) }> }, "
        "else_branch = b () => (float[n,m,k,l] e) { e = Relu (x) }>"
    )
    model = model_of(f"g (float[1,3,height,8] x) => (float y) <int64 limit = {{81}}, float zero = {{0}}> {{ {body} }}")
    with pytest.raises(DynamicShapeError, match="cannot stay symbolic"):
        layoutopt.optimize(model, dynamic=["height"], shapes={"x": (1, 3, 64, 8)}, convert=False)


def test_a_network_that_is_bound_to_its_size_is_refused() -> None:
    model = network("attention with a class token", "N,3,height,width")
    shapes = {"x": (1, 3, 16, 16)}
    with pytest.raises(DynamicShapeError, match="the model does not run at height="):
        layoutopt.optimize(model, shapes=shapes, dynamic=["height", "width"], convert=False)
    depends = "a = Shape (x) b = Cast <to = 1> (a) c = ReduceProd <keepdims = 0> (b) y = Div (x, c)"
    scaled = model_of(f"g (float[N,3,4] x) => (float y) {{ {depends} }}")
    with pytest.raises(DynamicShapeError, match=r"operand 1 of Div node .* is a constant that depends on the size"):
        layoutopt.optimize(scaled, dynamic=["batch"], convert=False)


@pytest.mark.onnx_tf
def test_a_saved_model_is_static(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="static"):
        layoutopt.optimize(network("pooled", "N,3,16,16"), saved_model=tmp_path / "saved", dynamic=["batch"])


@pytest.mark.onnx_tf
@pytest.mark.torch
@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2", "vit_4", "swin_4", "unet_bilinear", "unet_transposed", "shufflenet_v2", "yolo_head", "yolov8"],
)
def test_networks_of_pytorch_take_any_batch(name: str, tmp_path: Path) -> None:
    check_batch(exported(name, {0: "batch"}), tmp_path)


@pytest.mark.onnx_tf
@pytest.mark.torch
@pytest.mark.long
@pytest.mark.parametrize("name", ["mobilenet_v2", "unet_bilinear", "unet_transposed"])
def test_networks_of_pytorch_take_any_size(name: str, tmp_path: Path) -> None:
    model, onnx, tflite = exported(name, {2: "height", 3: "width"}), tmp_path / "out.onnx", tmp_path / "out.tflite"
    layoutopt.optimize(model, output=onnx, tflite=tflite, dynamic=["height", "width"], baseline=False)
    odd = [(1, 3, 71, 50)] if name == "mobilenet_v2" else []
    check(model, onnx, tflite, [(1, 3, 64, 64), (1, 3, 32, 96), *odd])


@pytest.mark.torch
@pytest.mark.long
def test_a_vision_transformer_is_bound_to_its_size() -> None:
    with pytest.raises(DynamicShapeError, match=r"does not run at height=\d+, width=\d+: .*Add"):
        layoutopt.optimize(exported("vit_4", {2: "height", 3: "width"}), dynamic=["height", "width"], convert=False)


def exported(name: str, axes: Mapping[int, str]) -> ir.Model:
    from benchmarks.models import NETWORKS as BENCHMARKS
    from benchmarks.models import export_open

    return export_open(BENCHMARKS[name].small, axes)


@pytest.mark.parametrize("ask", [api.explain, api.report], ids=["explain", "report"])
def test_what_is_told_of_a_model_takes_no_further_run(
    ask: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the pipeline nor the search for symbols runs again to explain what was chosen."""
    calls: Counter[str] = Counter()

    def counted(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: object, **kwargs: object) -> object:
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(MergeLinearChains, "__call__")
    counted(symbols, "_require_independent")
    model = network("pooled", "N,3,16,16")
    layoutopt.optimize(model, dynamic=["batch"], convert=ask is api.report)
    once = dict(calls)
    calls.clear()
    options = {"benchmark": False} if ask is api.report else {}
    found = ask(model, dynamic=["batch"], **options)
    told = found.explain if isinstance(found, ModelReport) else found
    assert isinstance(told, ExplainReport)
    assert dict(calls) == once
