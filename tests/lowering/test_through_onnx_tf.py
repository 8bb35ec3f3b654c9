"""Lowerings through TensorFlow: all cases of an opset side by side in one model, which is converted once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import onnx
import pytest

from layoutopt.backend.litert import runtime
from layoutopt.backend.onnx_tf.convert import convert_model
from tests.conversion_cases import Array, Case, compare, with_definitions
from tests.lowering import (
    test_activations,
    test_conv,
    test_conv_transpose,
    test_elementwise,
    test_normalization,
    test_pool,
    test_products,
    test_reductions,
    test_resize,
    test_shapes,
    test_slicing,
)

pytestmark = pytest.mark.onnx_tf

FAMILIES = (
    test_activations,
    test_conv,
    test_conv_transpose,
    test_elementwise,
    test_normalization,
    test_pool,
    test_products,
    test_reductions,
    test_resize,
    test_shapes,
    test_slicing,
)
OPSET = 13


def cases_of(opset: int) -> Iterator[tuple[str, Case]]:
    for family in FAMILIES:
        for name, case in family.CASES.items():
            if case.opset == opset:
                yield f"{family.__name__.rsplit('_', 1)[-1]} {name}", case


CASES = dict(cases_of(OPSET))


@cache
def expected_of(name: str) -> list[Array]:
    return CASES[name].expected()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Array]:
    """What LiteRT computes, by case and result."""
    path = tmp_path_factory.mktemp("cases") / "cases.onnx"
    merged: onnx.ModelProto | None = None
    inputs: dict[str, Array] = {}
    for name, case in CASES.items():
        model = onnx.compose.add_prefix(case.model_to_convert(expected_of(name)), f"{name}/", rename_functions=False)
        del model.functions[:]  # each operator of the dialect is defined once
        merged = model if merged is None else onnx.compose.merge_models(merged, model, io_map=[])
        inputs |= {f"{name}/{key}": array for key, array in case.fed().items()}
    assert merged is not None
    onnx.save(with_definitions(merged), path)
    conversion = convert_model(path, tflite=path.with_suffix(".tflite"))
    given = {conversion.input_names[name]: array for name, array in inputs.items()}
    outputs = runtime.run_tflite(path.with_suffix(".tflite"), given)
    return {name: outputs[theirs] for name, theirs in conversion.output_names.items()}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, found: Mapping[str, Array]) -> None:
    case = CASES[name]
    for output, wanted in zip(case.outputs, case.moved(expected_of(name)), strict=True):
        compare(found[f"{name}/{output}"], wanted, name)
