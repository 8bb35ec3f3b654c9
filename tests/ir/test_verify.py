"""The judge: it passes what is equal, and names what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from layoutopt.errors import InvalidModelError, VerificationError
from layoutopt.ir.io import record_orders
from layoutopt.ir.verify import Reference, random_inputs, run_onnx, to_natural, to_stored
from tests.harness import model_of

GRAPH = "g (float[1,3,4,5] x) => (float[1,3,4,5] y, float[1,3,4,5] z) { y = Relu (x) z = Neg (x) }"


def test_a_right_result_passes_with_nothing_to_report() -> None:
    verification = Reference(model_of(GRAPH), seed=3).check(model_of(GRAPH))
    assert verification.passed
    assert (verification.seed, verification.max_abs_error, verification.mse) == (3, 0.0, 0.0)
    assert [output.name for output in verification.outputs] == ["y", "z"]
    assert all(output.variance > 0.1 for output in verification.outputs)


def test_a_wrong_result_names_the_output_and_the_seed() -> None:
    with pytest.raises(
        VerificationError, match=r"behind fold differs from the original at output 'z': .* seed 42"
    ) as error:
        Reference(model_of(GRAPH), seed=42).check(model_of(GRAPH.replace("Neg", "Abs")), what="the model behind fold")
    assert "--verify each" in error.value.hint


def test_the_error_is_the_largest_over_the_largest_value() -> None:
    scaled = "g (float[1,3,4,5] x) => (float[1,3,4,5] y) { k = Constant <value = float {FACTOR}> () y = Mul (x, k) }"
    reference = Reference(model_of(scaled.replace("FACTOR", "1.0")))
    verification = reference.check(model_of(scaled.replace("FACTOR", "1.00005")))
    (difference,) = verification.outputs
    assert difference.relative_error == pytest.approx(5e-5, rel=0.02)
    assert difference.max_abs_error == pytest.approx(5e-5 * np.abs(reference.outputs["y"]).max(), rel=0.02)
    assert 0 < difference.mse < difference.max_abs_error**2
    with pytest.raises(VerificationError, match="tolerance 1e-05"):
        reference.check(model_of(scaled.replace("FACTOR", "1.00005")), tolerance=1e-5)
    with pytest.raises(VerificationError):
        reference.check(model_of(scaled.replace("FACTOR", "1.0002")))


def test_nan_equals_nan_and_nothing_else() -> None:
    """Square roots of negative numbers; NaN in the same places is equal, a number there or NaN elsewhere is not."""
    graph = "g (float[9] x) => (float[9] y) { y = Sqrt (x) }"
    reference = Reference(model_of(graph))
    assert 0 < np.isnan(reference.outputs["y"]).sum() < 9
    assert reference.check(model_of(graph)).passed
    with pytest.raises(VerificationError):
        reference.check(model_of("g (float[9] x) => (float[9] y) { a = Abs (x) y = Sqrt (a) }"))
    numbers = Reference(model_of("g (float[9] x) => (float[9] y) { a = Abs (x) y = Sqrt (a) }"))
    with pytest.raises(VerificationError, match="max abs error inf"):
        numbers.check(model_of(graph))


def test_infinities() -> None:
    graph = "g (float[9] x) => (float[9] y) { z = Sub (x, x) y = Div (x, z) }"
    reference = Reference(model_of(graph))
    assert np.isinf(reference.outputs["y"]).all()
    assert reference.check(model_of(graph)).passed
    with pytest.raises(VerificationError):
        reference.check(model_of(graph.replace("Div (x, z)", "Div (z, x)")))
    with pytest.raises(VerificationError):
        reference.check(model_of(graph.replace("Div (x, z)", "Div (w, z)").replace("z =", "w = Neg (x) z =")))


def test_an_output_that_is_zero_throughout() -> None:
    zero = "g (float[9] x) => (float[9] y) { y = Sub (x, x) }"
    assert Reference(model_of(zero)).check(model_of(zero)).passed
    with pytest.raises(VerificationError):
        Reference(model_of(zero)).check(model_of(zero.replace("Sub", "Add")))


def test_an_output_of_another_shape() -> None:
    with pytest.raises(VerificationError, match="output 'y'"):
        Reference(model_of("g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }")).check(
            model_of("g (float[2,3] x) => (float[3,2] y) { y = Transpose (x) }")
        )


def test_what_orders_rows_is_told() -> None:
    ranked = "g (float[9] x) => (float[k] v, int64[k] y) { c = Constant<value_ints = [4]>() v, y = TopK (x, c) }"
    other = "g (float[9] x) => (float[k] v, int64[k] y) { c = Constant<value_ints = [3]>() v, y = TopK (x, c) }"
    with pytest.raises(VerificationError, match=r"gives output 'v' the shape \[3\]") as caught:
        Reference(model_of(ranked)).check(model_of(other))
    assert "rounding exchanges those that are nearly equal" in caught.value.hint
    with pytest.raises(VerificationError) as caught:
        Reference(model_of(GRAPH)).check(model_of(GRAPH.replace("Neg", "Abs")))
    assert "nearly equal" not in caught.value.hint


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "bool", "float16", "double"])
def test_inputs_of_every_type(kind: str) -> None:
    graph = f"g ({kind}[40] x) => ({kind}[40] y) {{ y = Identity (x) }}"
    model = model_of(graph)
    inputs = random_inputs(model, 0)
    assert str(inputs["x"].dtype) == {"double": "float64"}.get(kind, kind)
    assert len(np.unique(inputs["x"])) > 1
    assert Reference(model).check(model_of(graph)).passed


def test_inputs_follow_the_seed() -> None:
    model = model_of(GRAPH)
    assert np.array_equal(random_inputs(model, 1)["x"], random_inputs(model, 1)["x"])
    assert not np.array_equal(random_inputs(model, 1)["x"], random_inputs(model, 2)["x"])


def test_defaults_are_left_to_the_model() -> None:
    model = model_of("g (float[2] x) => (float[2] y) <float[2] k = {1, 2}> { y = Add (x, k) }")
    model.graph.inputs.append(model.graph.initializers["k"])
    assert set(random_inputs(model, 0)) == {"x"}


def nhwc_model(*, wrong: bool = False) -> ir.Model:
    perm = "[0, 2, 3, 1]" if wrong else "[0, 3, 1, 2]"
    graph = f"""g (float[1,4,5,3] x) => (float[1,3,4,5] y, float[1,4,5,3] z) {{
        r = Relu (x) t = Transpose <perm = {perm}> (r) y = {"Reshape (t, s)" if wrong else "Identity (t)"} z = Neg (x)
    }}"""
    if wrong:
        graph = graph.replace("r = Relu", "s = Constant <value = int64[4] {1, 3, 4, 5}> () r = Relu")
    model = model_of(graph)
    record_orders(model, {"x": (0, 2, 3, 1), "z": (0, 2, 3, 1)})
    return model


def test_layouts_are_applied() -> None:
    reference = Reference(model_of(GRAPH))
    assert reference.check(nhwc_model()).max_abs_error == 0
    with pytest.raises(VerificationError, match="output 'y'"):
        reference.check(nhwc_model(wrong=True))


def test_layouts_that_the_original_had_already_are_not_applied_again() -> None:
    reference = Reference(nhwc_model())
    assert reference.inputs["x"].shape == (1, 4, 5, 3)
    assert reference.check(nhwc_model()).max_abs_error == 0


def test_stored_and_natural_are_inverse() -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {"x": np.arange(60).reshape(1, 3, 4, 5), "k": np.arange(3)}
    orders = {"x": (0, 2, 3, 1)}
    stored = to_stored(arrays, orders)
    assert stored["x"].shape == (1, 4, 5, 3)
    assert stored["x"].flags.c_contiguous
    assert all(np.array_equal(array, arrays[name]) for name, array in to_natural(stored, orders).items())


def broken() -> ir.Model:
    """A model that loads nowhere: its operator has no kernel in ONNX Runtime."""
    model = model_of("g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }")
    model.graph[0].domain = "nobody.knows"
    model.opset_imports["nobody.knows"] = 1
    return model


def test_an_original_that_does_not_run() -> None:
    with pytest.raises(InvalidModelError, match="ONNX Runtime cannot run the model") as error:
        Reference(broken())
    assert "--verify none" in error.value.hint


def test_an_original_that_is_as_unsteady_as_the_result_is_off() -> None:
    """The sine of a large multiple of x hangs on the last bits of x."""
    steep = "g (float[2,3] x) => (float[2,3] y) <float k = {{{}}}> {{ m = Mul (x, k) y = Sin (m) }}"
    reference = Reference(model_of(steep.format(1e5)))
    assert 1e-3 < reference.unsteadiness() < 0.1
    with pytest.raises(VerificationError, match="differs from the original") as error:
        reference.check(model_of(steep.format(100000.02)))
    assert "itself moves by 0.0" in error.value.hint
    assert "--tolerance 0." in error.value.hint
    with pytest.raises(VerificationError) as error:
        reference.check(model_of(steep.format(2e5)))
    assert "itself" not in error.value.hint


def test_an_output_of_another_rank_than_the_model_says() -> None:
    text = "g (float[2,3] x, int64[3] s) => (float[n,m] y) <int64[3] t = {2,3,1}> { r = Max (s, t) y = Reshape (x, r) }"
    model = ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'))
    Reference(model).correct_ranks(model)
    assert model.graph.outputs[0].shape == (2, 3, 1)


def test_a_result_that_does_not_run() -> None:
    reference = Reference(model_of("g (float[2,3] x) => (float[2,3] y) { y = Relu (x) }"))
    with pytest.raises(VerificationError, match="after pass 2 does not run"):
        reference.check(broken(), what="the model after pass 2")
    with pytest.raises(RuntimeError):
        run_onnx(broken(), reference.inputs)


@pytest.mark.parametrize(("off", "passes"), [(5e-7, True), (2e-6, False)])
def test_vanishing_outputs_are_judged_as_small_ones(off: float, passes: bool) -> None:
    """ONNX Runtime's Sigmoid is off by 1e-7 wherever it vanishes, which is no error of the model."""
    reference = Reference(model_of("g (float[1,4] x) => (float[1,4] y) { k = Sub (x, x) y = Sigmoid (k) }"))
    reference.outputs = {"y": np.full((1, 4), 1e-6)}
    assert reference.compare({"y": np.full((1, 4), 1e-6 + off)}).passed is passes


def test_sums_of_quantized_operators_do_not_saturate() -> None:
    """On processors without VNNI, ONNX Runtime adds two products of bytes in 16 bits unless it is told not to."""
    text = (
        "g (uint8[1,8,2,2] x) => (uint8[1,1,2,2] y) <float s = {1}, uint8 o = {0}, int8 wo = {0}, float fine = {4096}, "
        f"int8[1,8,1,1] w = {{{','.join(['127'] * 8)}}}> {{ y = QLinearConv (x, s, o, w, s, wo, fine, o) }}"
    )
    found = run_onnx(model_of(text), {"x": np.full((1, 8, 2, 2), 255, np.uint8)})["y"]
    np.testing.assert_array_equal(found, round(8 * 127 * 255 / 4096))


def test_weights_on_floats_stay_as_they_are() -> None:
    """Beside DequantizeLinear and QuantizeLinear, ONNX Runtime quantizes them anew unless it is told not to."""
    text = (
        "g (float[1,2,1,1] x) => (float[1,2,1,1] y) <float s = {1}, uint8 o = {0}, float[2,2,1,1] w = {1000, 0, 0, 1}> "
        "{ a = QuantizeLinear (x, s, o) b = DequantizeLinear (a, s, o) c = Conv (b, w) "
        "d = QuantizeLinear (c, s, o) y = DequantizeLinear (d, s, o) }"
    )
    found = run_onnx(model_of(text), {"x": np.array([0, 7], np.float32).reshape(1, 2, 1, 1)})["y"]
    np.testing.assert_array_equal(found.reshape(-1), [0, 7])


def large(operator: str, dtype: type[np.generic], **attributes: float) -> ir.Model:
    """A product of an input and a weight of many more bytes than all else."""
    weight = np.random.default_rng(0).integers(-9, 9, (300, 400)).astype(dtype)
    x = ir.val("x", ir.DataType.from_numpy(np.dtype(dtype)), (2, 300))
    w = ir.val("w", const_value=ir.tensor(weight, name="w"))
    result = ir.val("y", ir.DataType.INT32 if operator == "MatMulInteger" else x.dtype, (2, 400))
    node = ir.node(operator, [x, w], attributes, outputs=[result])
    return ir.Model(ir.Graph([x], [result], nodes=[node], initializers=[w], opset_imports={"": 17}), ir_version=8)


@pytest.mark.parametrize(
    ("model", "is_fed"),
    [
        (large("MatMul", np.float32), True),
        (large("MatMul", np.float64), True),
        (large("MatMulInteger", np.int8), False),
    ],
    ids=["float", "double", "integer"],
)
def test_large_floats_are_not_serialized(model: ir.Model, is_fed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    sizes, session = [], onnxruntime.InferenceSession

    def measure(content: bytes, *options: object, **more: object) -> object:
        sizes.append(len(content))
        return session(content, *options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", measure)
    inputs = random_inputs(model, 0)
    weight = model.graph.initializers["w"].const_value
    assert weight is not None
    assert list(inputs) == ["x"]
    expected = inputs["x"].astype(np.float64) @ weight.numpy().astype(np.float64)
    np.testing.assert_allclose(run_onnx(model, inputs)["y"].astype(np.float64), expected, rtol=1e-4, atol=1e-4)
    assert (max(sizes) < 1000) is is_fed
    assert list(model.graph.inputs) == [model.graph[0].inputs[0]], "the model was changed"
    assert model.graph.initializers["w"].const_value is weight


def test_a_large_default_is_used_where_nobody_sets_it() -> None:
    model = large("MatMul", np.float32)
    inputs = random_inputs(model, 0)
    expected = run_onnx(model, inputs)["y"]
    model.graph.inputs.append(model.graph.initializers["w"])
    np.testing.assert_array_equal(run_onnx(model, inputs)["y"], expected)
    zeros = np.zeros((300, 400), np.float32)
    assert not run_onnx(model, {**inputs, "w": zeros})["y"].any()


def test_onnx_runtime_keeps_no_events(tmp_path: Path) -> None:
    code = """
from layoutopt.ir.io import parse
from layoutopt.ir.verify import Reference
import onnx, onnxruntime
text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) { y = Add(x, x) }'
Reference(parse(onnx.parser.parse_model(text).SerializeToString(), "m"))
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_only_what_lies_between_bounds_has_rounding_of_its_own() -> None:
    """A vanishing Sigmoid is off by 1e-7; a sum that is off by as much where it is as small is wrong."""
    plain = Reference(model_of("g (float[1,4] x) => (float[1,4] y) { y = Sub (x, x) }"))
    plain.outputs = {"y": np.full((1, 4), 1e-6)}
    assert not plain.compare({"y": np.full((1, 4), 1e-6 + 5e-7)}).passed


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("g (float16[9] x) => (float16[9] y) { y = Relu (x) }", 1e-2),
        ("g (float[9] x) => (float[9] y) { h = Cast <to = 10> (x) r = Relu (h) y = Cast <to = 1> (r) }", 1e-2),
        ("g (float[9] x) => (float[9] y) { h = Cast <to = 16> (x) y = Cast <to = 1> (h) }", 8e-2),
        ("g (float[2] x) => (float[2] y) <float16[2] w = {1, 2}> { h = Cast <to = 1> (w) y = Add (x, h) }", 1e-4),
        ("g (float[9] x) => (float[9] y) { y = Relu (x) }", 1e-4),
    ],
    ids=["float16", "float16 inside", "bfloat16", "weights alone", "float32"],
)
def test_the_tolerance_is_that_of_the_element_type(text: str, least: float) -> None:
    reference = Reference(model_of(text))
    assert reference.compare(reference.outputs).tolerance == least
    assert reference.compare(reference.outputs, tolerance=0.5).tolerance == 0.5


def test_what_is_not_finite_is_told() -> None:
    roots = Reference(model_of("g (float[9] x) => (float[9] y) { y = Sqrt (x) }"))
    (note,) = roots.notes
    assert f"holds {np.isnan(roots.outputs['y']).sum()} of 9 elements that are infinite or no number" in note
    assert roots.compare(roots.outputs).outputs[0].not_finite == np.isnan(roots.outputs["y"]).sum()
    model = model_of("g (float[1,2] x) => (float[1,2] y, float[1,2] z) { y = MatMul (x, w) z = Add (x, mask) }")
    for name, array in (("w", [[np.nan, 0], [0, 1]]), ("mask", [[0, -np.inf]])):
        weight = ir.val(name, const_value=ir.tensor(np.array(array, np.float32), name=name))
        model.graph.register_initializer(weight)
        for node in model.graph:
            for index, value in enumerate(node.inputs):
                if value is not None and value.name == name:
                    node.replace_input_with(index, weight)
    weights, *outputs = Reference(model).notes
    assert "weight 'w' holds 1 of 4" in weights
    assert ["'y'" in outputs[0], "'z'" in outputs[1]] == [True, True]
