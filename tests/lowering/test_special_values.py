"""Operators on numbers that random inputs never are: zeros, constants, very large ones, infinities, none at all.

Each of ONNX's node tests of float32 goes through the direct backend, and ONNX Runtime says what to expect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from benchmarks.conformance.cases import Case, cases, with_shapes
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import ConversionError
from layoutopt.ir import io as modelio
from layoutopt.passes import FoldConstants, InlineFunctions
from layoutopt.pipeline.manager import PassManager
from tests.conversion_cases import Case as SmallCase
from tests.conversion_cases import CaseRunner

Array = npt.NDArray[Any]
MOST, LEAST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
SPECIAL: Mapping[str, float] = {
    "zeros": 0, "ones": 1, "least": LEAST, "large": 1e15, "most": MOST, "infinity": np.inf, "-infinity": -np.inf,
    "nan": np.nan,
}  # fmt: skip
EVERYWHERE = ("zeros", "ones", "least", "large")
"""The others are single elements among those of the test."""


def special(name: str, usual: Array) -> Array:
    """An array of the shape of ``usual``."""
    if name in EVERYWHERE:
        return np.full_like(usual, SPECIAL[name])
    array = usual.copy()
    array.reshape(-1)[: max(1, usual.size // 8)] = SPECIAL[name]
    return array


def plain_tests() -> Iterator[tuple[str, str, Case]]:
    """Name and operator of the tests of one node that takes float32."""
    for name, case in cases().items():
        given, _ = case.data[0]
        (node, *more) = case.model.graph.node
        if "_expanded" not in name and not more and node.domain == "" and any(map(is_float, given.values())):
            yield name, node.op_type, case


def is_float(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == np.float32 and array.size > 0


def complaint(found: Array, wanted: Array) -> str:
    """What is wrong with an output: relative to its largest element, or to 1."""
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return f"{found.dtype}{found.shape}, not {wanted.dtype}{wanted.shape}"
    if wanted.dtype.kind != "f":
        wrong = found != wanted
    else:
        largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=1)
        wrong = ~np.isclose(found, wanted, rtol=1e-4, atol=float(largest) * 1e-5, equal_nan=True)
    return f"{found[wrong][0]}, not {wanted[wrong][0]}" if wrong.any() else ""


def differences(case: Case, tflite: Path) -> Iterator[tuple[str, str]]:
    """The special values for which LiteRT gives something else, and what; none where one of the two takes no such."""
    given, _ = case.data[0]
    static = with_shapes(case.model, given).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(static, providers=["CPUExecutionProvider"])
        session.run(None, dict(given))
        passes = (InlineFunctions(), FoldConstants(simplify=False))
        convert_directly(PassManager(passes).run(modelio.parse(static, "the test")).model, tflite)
    except Exception:  # ONNX Runtime's own derive from Exception alone
        return
    floats_in = [name for name, array in given.items() if is_float(array)]
    for name in SPECIAL:
        for changed in (floats_in[:1], floats_in)[: len(floats_in)]:
            inputs = {**given, **{each: special(name, given[each]) for each in changed}}
            yield from ((name, wrong) for wrong in complaints(session, tflite, inputs))


def complaints(session: onnxruntime.InferenceSession, tflite: Path, inputs: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the outputs for these inputs, if ONNX Runtime takes them."""
    try:
        wanted = session.run(None, dict(inputs))
    except Exception:
        return
    try:
        found = run_tflite(tflite, inputs)
    except ConversionError:
        yield "LiteRT gives up"
        return
    for output, expected in zip(session.get_outputs(), wanted, strict=True):
        if wrong := complaint(found[output.name], expected):
            yield f"{output.name}: {wrong}"


REASONS: Mapping[str, Mapping[str, str]] = {
    "LiteRT's comparisons pass over what is no number": {
        "ArgMax ArgMin Hardmax Max MaxPool Min ReduceMax ReduceMin ScatterElements ScatterND TopK": "nan",
        "DynamicQuantizeLinear NonMaxSuppression": "nan infinity -infinity most",
        "AveragePool LpPool": "nan",
    },
    "XNNPACK's products and pools end at the largest number, and lose what is beyond it or not finite": {
        "AveragePool CausalConvWithState Conv ConvTranspose DeformConv Gemm LpPool MatMul MaxPool Pow ScatterND": (
            "most infinity -infinity"
        ),
        "AffineGrid Resize": "most",
        "LpPool": "large",
    },
    "kernels' functions are wrong far out: EXP of nan, LOGISTIC from 1e30 on, SIN and COS from 1e8 on": {
        "Cosh Exp Sinh": "nan",
        "CausalConvWithState GRU LSTM": "large most",
        "Cos Sin Tan": "large most",
        "Acosh Asinh Log ReduceLogSum Sqrt": "most",
    },
    "in formulas, infinities meet zeros and other infinities, or squares overflow": {
        "Attention": "most infinity -infinity nan",
        "DFT GRU LSTM RNN": "most infinity -infinity nan",
        "DeformConv GridSample": "large most infinity -infinity nan",
        "LayerNormalization": "large most infinity -infinity",
        "GroupNormalization InstanceNormalization": "large most",
        "LinearAttention RotaryEmbedding": "most",
        "PRelu": "infinity -infinity nan",
    },
    "ONNX Runtime does otherwise than ONNX's own evaluator": {
        "Attention": "zeros ones least large",
        "Clip MaxPool": "infinity -infinity",
        "MeanVarianceNormalization": "zeros ones least",
        "SpaceToDepth": "most infinity -infinity nan",
    },
    "the tests' number is none for the type": {"Pow": "large", "Upsample": "ones", "DynamicQuantizeLinear": "least"},
}
"""Why LiteRT gives something else, by operators and special values."""
KNOWN = {
    (operator, name)
    for members in REASONS.values()
    for operators, names in members.items()
    for operator in operators.split()
    for name in names.split()
}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # numpy's, about infinities
def test_special_values_give_what_onnx_runtime_gives(tmp_path: Path) -> None:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, operator, case in plain_tests():
        for kind, wrong in differences(case, tmp_path / "model.tflite"):
            if (operator, kind) not in KNOWN:
                found[operator].setdefault(kind, f"{name}: {wrong}")
    assert found == {}


NO_AREA = np.array([[[0, 0, 1, 1], [2, 2, 2, 3], [0, 0, 0, 0], [5, 5, 6, 6], [2, 2, 2, 3]]], np.float32)
WITH_A_ROW_OF_ZEROS = np.diag([1, 0, -3]).astype(np.float32)
SMALL = {
    "a sum of absolute values that is 0": SmallCase("y = LpNormalization<p=1>(x)", {"x": WITH_A_ROW_OF_ZEROS}),
    "a length that is 0": SmallCase("y = LpNormalization(x)", {"x": WITH_A_ROW_OF_ZEROS}),
    "atanh beyond 1": SmallCase("y = Atanh(x)", {"x": np.array([-3, -1, 0, 0.5, 1, 1.5], np.float32)}),
    "asinh near 0": SmallCase("y = Asinh(x)", {"x": np.array([1e-40, -1e-40, 1e-30], np.float32)}),
    "boxes without an area": SmallCase(
        "y = NonMaxSuppression(x, s, n, t)",
        {"x": NO_AREA, "s": np.arange(5, 0, -1, dtype=np.float32).reshape(1, 1, 5)},
        {"n": [5], "t": np.array([0.5], np.float32)},
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_numbers_that_once_gave_something_else(name: str, direct: CaseRunner) -> None:
    direct.check(SMALL[name])
