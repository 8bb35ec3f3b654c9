"""What is known offline is folded, and what a caller can set is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from benchmarks.conformance.cases import cases
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import InvalidModelError
from layoutopt.passes import FoldConstants
from layoutopt.pipeline.manager import PassManager
from tests.graphs import numbers
from tests.harness import check_golden, check_pass, model_of


@pytest.mark.parametrize(
    ("pass_", "case"),
    [(FoldConstants(), "fold_constants.simplify"), (FoldConstants(simplify=False), "fold_constants.lift")],
)
def test_golden(pass_: FoldConstants, case: str) -> None:
    check_golden(pass_, case)


@pytest.mark.parametrize("simplify", [True, False])
def test_a_default_that_a_caller_can_set_stays_one(simplify: bool) -> None:
    """Onnxsim alone would take it for a constant, and drop the input."""
    model = model_of("g (float[1,2] x) => (float[1,2] y) <float[1,2] k = {1, 2}> { n = Neg (k) y = Add (x, n) }")
    model.graph.inputs.append(model.graph.initializers["k"])
    result = check_pass(FoldConstants(simplify=simplify), model).model
    assert [value.name for value in result.graph.inputs] == ["x", "k"]
    assert result.graph.inputs[1].is_initializer()
    assert [node.op_type for node in result.graph] == ["Neg", "Add"]


def test_metadata_is_kept() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.metadata_props["author"] = "somebody"
    assert FoldConstants()(model).model.metadata_props == {"author": "somebody"}


def test_the_model_that_came_in_is_not_touched() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { k = Constant <value = float[2] {1, 2}> () y = Add (x, k) }")
    before = ir.to_proto(model)
    FoldConstants()(model)
    assert ir.to_proto(model) == before


def test_what_onnxsim_refuses_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxsim

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr(onnxsim, "simplify", refuse)
    with pytest.raises(InvalidModelError, match="no idea") as error:
        FoldConstants()(model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }"))
    assert "simplify=false" in error.value.hint


def test_pads_whose_axes_are_computed_stay_as_they_are() -> None:
    text = """g (float[2,3] x, int64[1] axes) => (float[N,M] y) {
        pads = Constant <value = int64[2] {1, 1}> () y = Pad (x, pads, "", axes)
    }"""
    result = check_pass(FoldConstants(simplify=False), model_of(text, opset=18), execute=False).model
    assert len(result.graph[0].inputs) == 4


def test_sequences_of_no_stated_type_stay_sequences() -> None:
    """Shape inference through onnx_ir alone would make tensors of them, and the model invalid."""
    model = model_of(
        """g (float[2] x) => (float[n] y) <int64 m = {3}, bool c = {1}> {
            e = SequenceEmpty () i = Identity (e)
            s = Loop (m, c, i) <body = b (int64 k, bool on, seq(float[2]) v) => (bool go, seq(float[2]) w) {
                go = Identity (on) w = SequenceInsert (v, x) }>
            y = ConcatFromSequence <axis = 0> (s) }"""
    )
    check_pass(FoldConstants(), model)


def test_a_sequence_may_be_an_output() -> None:
    model = model_of("g (float[2] x) => (seq(float) y) { y = SplitToSequence <axis = 0> (x) }")
    assert len(PassManager((FoldConstants(),)).run(model).model.graph.outputs) == 1


def test_onnxsim_makes_no_operators_of_its_own() -> None:
    """It would make com.microsoft's Attention of this, which nothing but ONNX Runtime can run."""
    weights = ", ".join(numbers(f"{name}{of}", *shape) for of in "qkvo" for name, shape in (("w", (8, 8)), ("b", (8,))))
    linear = " ".join(f"m{of} = MatMul (x, w{of}) a{of} = Add (m{of}, b{of})" for of in "qkv")
    split = " ".join(f"r{of} = Reshape (a{of}, s)" for of in "qkv")
    text = f"""g (float[1,5,8] x) => (float[1,5,8] y) <{weights}, int64[4] s = {{1, 5, 2, 4}},
        int64[3] flat = {{1, 5, 8}}, float root = {{2}}> {{ {linear} {split}
        q = Transpose <perm = [0, 2, 1, 3]> (rq) k = Transpose <perm = [0, 2, 3, 1]> (rk)
        v = Transpose <perm = [0, 2, 1, 3]> (rv) c = MatMul (q, k) d = Div (c, root) p = Softmax <axis = -1> (d)
        o = MatMul (p, v) t = Transpose <perm = [0, 2, 1, 3]> (o) f = Reshape (t, flat) l = MatMul (f, wo)
        y = Add (bo, l) }}"""
    result = check_pass(FoldConstants(), model_of(text))
    operators = {node.op_identifier()[:2] for node in result.model.graph}
    assert {domain for domain, _ in operators} == {""}
    assert "Gemm" not in {operator for _, operator in operators}  # it would stand between two Reshapes


def test_onnxsim_takes_no_activation_apart() -> None:
    """The factor of a GELU is part of it, although the weights behind could take it."""
    text = """g (float[1,1,2,2] x) => (float[1,1,2,2] y) <float[1,1,1,1] w = {3}, float r = {1.4142135},
        float one = {1}, float half = {0.5}> { a = Div (x, r) b = Erf (a) c = Add (b, one) d = Mul (x, c)
        e = Mul (d, half) y = Conv (e, w) }"""
    result = check_pass(FoldConstants(), model_of(text))
    assert [node.op_type for node in result.model.graph].count("Mul") == 2


def test_branches_that_onnxsim_puts_in_the_wrong_place() -> None:
    case = cases()["test_affine_grid_3d_expanded"]
    assert check_pass(FoldConstants(), ir.from_proto(case.model), execute=False).modified


# --- weights ---------------------------------------------------------------------------------------------------------


def with_weights(body: str, **shapes: tuple[int, ...]) -> ir.Model:
    """A model of ``body`` whose initializers, of these shapes, are random."""
    generator = np.random.default_rng(0)
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {body}')
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_onnxsim_sees_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxsim

    sizes, simplify = [], onnxsim.simplify

    def measure(proto: onnx.ModelProto, **options: object) -> tuple[onnx.ModelProto, bool]:
        sizes.append(proto.ByteSize())
        result: tuple[onnx.ModelProto, bool] = simplify(proto, **options)
        return result

    monkeypatch.setattr(onnxsim, "simplify", measure)
    model = with_weights("g (float[1,64] x) => (float[1,512] y) { i = Identity (x) y = MatMul (i, w) }", w=(64, 512))
    result = check_pass(FoldConstants(), model).model
    assert operators(result) == ["MatMul"]
    assert max(sizes) < 64 * 512
    assert [value.name for value in result.graph.inputs] == ["x"]


def test_the_weights_that_come_out_are_those_that_came_in() -> None:
    model = with_weights("g (float[1,64] x) => (float[1,512] y) { i = Identity (x) y = MatMul (i, w) }", w=(64, 512))
    result = FoldConstants()(model).model
    assert result.graph.initializers["w"].const_value is model.graph.initializers["w"].const_value


FOLDED = {
    "a node": "t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t)",
    "a chain": "s = Mul (w, w) t = Transpose <perm = [1, 0]> (s) y = MatMul (x, t)",
    "a shape that is computed": """f = Flatten <axis = 0> (w) o = Shape (x) l = Constant <value_ints = [512]> ()
        d = Constant <value_ints = [1]> () c = Gather <axis = 0> (o, d) n = Concat <axis = 0> (c, l)
        s = Reshape (f, n) y = MatMul (x, s)""",
    "what is of no weight any more": "k = ReduceMax <axes = [0], keepdims = 0> (w) y = Mul (x, k)",
    "two results": "a, b = Split <axis = 0> (w) s = Sub (a, b) t = Transpose <perm = [1, 0]> (s) y = MatMul (x, t)",
    "a constant node": """k = ConstantOfShape (n) s = Add (w, k) t = Transpose <perm = [1, 0]> (s) y = MatMul (x, t)
        """.replace("n)", "m)").replace("k =", "m = Constant <value_ints = [512, 64]> () k ="),
}


@pytest.mark.parametrize("case", FOLDED)
def test_what_weights_alone_decide_is_folded(case: str) -> None:
    model = with_weights(f"g (float[1,64] x) => (float[M,N] y) {{ {FOLDED[case]} }}", w=(512, 64))
    assert len(operators(check_pass(FoldConstants(), model).model)) == 1


def test_a_large_constant_node_is_a_weight() -> None:
    tensor = ir.tensor(np.ones((64, 512), np.float32))
    node = ir.node("Constant", [], {"value": tensor}, name="constant")
    model = with_weights("g (float[1,64] x) => (float[1,512] y) { y = MatMul (x, w) }", w=(64, 512))
    model.graph.insert_before(model.graph[0], node)
    node.outputs[0].name = "constant"
    model.graph[1].replace_input_with(1, node.outputs[0])
    result = check_pass(FoldConstants(), model).model
    assert operators(result) == ["MatMul"]
    assert list(result.graph.initializers) == ["constant"]


@pytest.mark.parametrize("operator", ["RandomUniformLike", "Multinomial", "Bernoulli"])
def test_what_is_random_is_not_folded(operator: str) -> None:
    body = f"g (float[512,64] x) => (float[M,N] y) {{ r = {operator} (w) c = Cast <to = 1> (r) y = Sub (x, c) }}"
    body = body if operator != "Multinomial" else body.replace("512,64", "1,1")
    result = check_pass(FoldConstants(), with_weights(body, w=(512, 64)), execute=False).model
    assert operator in operators(result)


def test_quantized_weights_stay_quantized() -> None:
    model = with_weights(
        """g (float[1,64] x) => (float[1,512] y) <float s = {0.5}> {
        q = QuantizeLinear (w, s) d = DequantizeLinear (q, s) y = MatMul (x, d) }""",
        w=(64, 512),
    )
    assert operators(check_pass(FoldConstants(), model).model) == ["QuantizeLinear", "DequantizeLinear", "MatMul"]


def test_a_large_default_that_a_caller_can_set_stays_one() -> None:
    model = with_weights(
        "g (float[1,64] x) => (float[1,512] y) { n = Neg (w) i = Identity (x) y = MatMul (i, n) }", w=(64, 512)
    )
    model.graph.inputs.append(model.graph.initializers["w"])
    result = check_pass(FoldConstants(), model).model
    assert [value.name for value in result.graph.inputs] == ["x", "w"]
    assert result.graph.inputs[1].is_initializer()
    assert operators(result) == ["Neg", "MatMul"]


def test_equal_weights_become_one() -> None:
    model = with_weights(
        "g (float[1,64] x) => (float[1,512] y) { a = MatMul (x, w) b = MatMul (x, v) r = Relu (b) y = Sub (a, r) }",
        w=(64, 512),
        v=(64, 512),
    )
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    model.graph.initializers["v"].const_value = ir.tensor(weight.numpy().copy())
    assert list(check_pass(FoldConstants(), model).model.graph.initializers) == ["w"]


def test_pytorch_is_not_imported() -> None:
    """Where it is installed, onnxsim would import it: 3 s and 300 MB."""
    script = """if True:
        import importlib.util, sys
        import onnx, onnx_ir
        from layoutopt.passes import FoldConstants
        proto = onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { i = Identity (x) y = Relu (i) }'
        )
        FoldConstants()(onnx_ir.from_proto(proto))
        assert "onnxsim" in sys.modules and "torch" not in sys.modules
        print(importlib.util.find_spec("torch") is not None)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("True", "False"), done.stderr


def test_a_static_input_stays_static() -> None:
    """onnxsim infers less of `v` than the model states, where a Reshape that it reads is of a computed shape."""
    text = """g (float[2,4] x, float[2] a, float[2] v) => (float[2] y)
        <int64[1] two = {2}, int64[1] big = {9223372036854775807}, int64[1] zero = {0}> {
        sx = Shape (x) rest = Slice (sx, two, big, zero) sa = Shape (a) to = Concat <axis = 0> (sa, rest)
        r = Reshape (v, to) y = Mul (r, r)
    }"""
    folded = FoldConstants()(model_of(text)).model
    assert [value.shape for value in folded.graph.inputs] == [(2, 4), (2,), (2,)]


GRID = """g (float[1,1,600,600] x) => (float[1,1,600,600] y)
    <int64[4] shape = {1, 1, 600, 600}, float[1,1,1,1] c = {2}> { e = Expand (c, shape) y = Add (x, e) }"""


def test_a_constant_that_would_grow_large_is_computed() -> None:
    """Here 4 bytes would become 1.4 MB, in the .onnx and in the .tflite."""
    folded = FoldConstants()(model_of(GRID)).model
    assert [node.op_type for node in folded.graph] == ["Expand", "Add"]
    folded = FoldConstants(limit=1 << 22)(model_of(GRID)).model
    assert [node.op_type for node in folded.graph] == ["Add"]


@pytest.mark.parametrize("repeated", ["e = Expand (c, shape)", "e = Tile (c, shape)", "e = ConstantOfShape (shape)"])
def test_nor_does_it_grow_on_its_way_to_the_tflite(repeated: str, tmp_path: Path) -> None:
    model = model_of(GRID.replace("e = Expand (c, shape)", repeated))
    convert_directly(FoldConstants()(model).model, tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").stat().st_size < 10_000
    x = np.ones((1, 1, 600, 600), np.float32)
    expected = 1.0 if "OfShape" in repeated else 3.0
    assert (run_tflite(tmp_path / "model.tflite", {"x": x})["y"] == expected).all()
