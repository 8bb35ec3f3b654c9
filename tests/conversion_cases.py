"""Small models through a backend, held against ONNX Runtime."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.onnx_tf.child import run_job
from layoutopt.backend.onnx_tf.protocol import Job
from layoutopt.ir.dialect import DOMAIN, OPERATORS, define

Array = npt.NDArray[Any]
_RNG = np.random.default_rng(11)


def floats(*shape: int) -> Array:
    """Standard normal."""
    return _RNG.standard_normal(shape).astype(np.float32)


def integers(low: int, high: int, *shape: int) -> Array:
    """From ``low`` up to ``high``, which is left out."""
    return _RNG.integers(low, high, shape)


def indices(*values: int) -> Array:
    """A vector of int64, as operands that tell axes, sizes and places are."""
    return np.array(values, np.int64)


def numbers(*values: float) -> Array:
    """A vector of float32."""
    return np.array(values, np.float32)


@dataclass(frozen=True, slots=True)
class Case:
    """A few nodes in ONNX's text syntax.

    Attributes:
        body: the nodes.
        inputs: an array for each input.
        constants: initializers by name.
        operators: some of the TFLite operators that they should become.
        outputs: names of the results to compare.
        opset: of the default domain.
        reference: ONNX's own evaluator says what to expect, since ONNX Runtime cannot.
        exactly: all of the TFLite operators that they should become; None to leave that open.
        channels_last: operators that the dialect has are converted as its own, inputs and outputs channels-last.
        stated: the model states the shapes of its outputs.
    """

    body: str
    inputs: Mapping[str, Array]
    constants: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    operators: str = ""
    outputs: tuple[str, ...] = ("y",)
    opset: int = 18
    reference: bool = False
    exactly: str | None = None
    channels_last: bool = False
    stated: bool = False

    def model(self) -> onnx.ModelProto:
        """The model, without types of its outputs."""
        graph = onnx.parser.parse_graph(f"g () => () {{ {self.body} }}")
        graph.input.extend(
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in self.inputs.items()
        )
        graph.initializer.extend(
            onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items()
        )
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.outputs)
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return with_definitions(model) if any(node.domain == DOMAIN for node in graph.node) else model

    def model_to_convert(self, expected: list[Array]) -> onnx.ModelProto:
        """The model as a backend gets it, with types of its outputs."""
        model = self.model()
        if self.channels_last:
            _move_channels_last(model.graph)
            model = with_definitions(model)
        for value, array in zip(model.graph.output, self.moved(expected), strict=True):
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            shape = array.shape if self.stated else [None] * array.ndim
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shape))
        return model

    def moved(self, arrays: list[Array]) -> list[Array]:
        """Inputs or outputs as the .tflite has them."""
        return [np.moveaxis(array, 1, -1) for array in arrays] if self.channels_last else arrays

    def fed(self) -> dict[str, Array]:
        """The inputs as the .tflite has them."""
        arrays = self.moved(list(self.inputs.values()))
        return {name: np.array(array, order="C") for name, array in zip(self.inputs, arrays, strict=True)}

    def expected(self) -> list[Array]:
        """What the outputs should be."""
        model = self.model()
        if self.reference:
            with np.errstate(all="ignore"):
                found = onnx.reference.ReferenceEvaluator(model).run(None, dict(self.inputs))
            return [np.asarray(array) for array in found]
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return [np.asarray(array) for array in session.run(None, dict(self.inputs))]

    def with_run_time(self, *names: str) -> Case:
        """The same case with some constants as inputs."""
        moved = {name: np.asarray(self.constants[name]) for name in names}
        rest = {name: value for name, value in self.constants.items() if name not in names}
        return replace(self, inputs={**self.inputs, **moved}, constants=rest)


def with_definitions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with what the dialect's operators are defined by."""
    defined = ir.from_proto(model)
    define(defined)
    return ir.to_proto(defined)


def _move_channels_last(graph: onnx.GraphProto) -> None:
    """Turn a graph of one input to one in the dialect, whose constants for each channel are vectors of (C, 1, 1)."""
    (x,) = graph.input
    sizes = [size.dim_value for size in x.type.tensor_type.shape.dim]
    kept: set[str] = set()
    for node in graph.node:
        if node.op_type in OPERATORS:
            node.domain, node.op_type = DOMAIN, OPERATORS[node.op_type][len(sizes)].name
            kept.update(node.input)
    x.CopyFrom(onnx.helper.make_tensor_value_info(x.name, onnx.TensorProto.FLOAT, (sizes[0], *sizes[2:], sizes[1])))
    for tensor in graph.initializer:
        if tensor.name not in kept and len(tensor.dims) == len(sizes) - 1:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).squeeze(), tensor.name))


def _of_one_input(
    body: str,
    exactly: str | None,
    x: tuple[int, ...] = (2, 6, 8),
    *,
    channels_last: bool,
    opset: int = 13,
    **constants: npt.ArrayLike,
) -> Case:
    inputs = {"x": floats(*x)}
    outputs = tuple(name for name in ("y", "z") if re.search(rf"\b{name}\b", body))
    return Case(body, inputs, constants, "", outputs, opset, exactly=exactly, channels_last=channels_last)


nchw = partial(_of_one_input, channels_last=False)
"""Nodes from ``x`` of some shape to ``y`` (and ``z``), all operators that they should become, and constants."""

nhwc = partial(_of_one_input, channels_last=True)
"""The same for operators of the dialect; everything is written as ONNX has it, and moved."""


@dataclass(frozen=True, slots=True)
class CaseRunner:
    """A backend that converts cases, and the check of what they become.

    Attributes:
        directory: for the files.
        onnx_tf: by onnx-tf, in TensorFlow's process; else by the direct backend, in this one.
    """

    directory: Path
    onnx_tf: bool = False

    def convert(self, case: Case, expected: list[Array]) -> Path:
        """The .tflite of a case; raises what the backend raises."""
        model = case.model_to_convert(expected)
        tflite = self.directory / "model.tflite"
        if self.onnx_tf:
            path = self.directory / "model.onnx"
            onnx.save(model, path)
            run_job(Job(str(path), str(tflite), None, str(self.directory)), verbose=False, progress=None)
        else:
            convert_directly(ir.from_proto(model), tflite)
        return tflite

    def check(self, case: Case, *, tolerance: float = 1e-5, each: bool = False) -> Mapping[str, int]:
        """Holds what LiteRT computes against what is expected.

        Args:
            case: what to convert.
            tolerance: of float elements, relative to the largest of each output.
            each: relative to each element instead.

        Returns:
            How often each operator is in the .tflite.
        """
        expected = case.expected()
        tflite = self.convert(case, expected)
        operators = count_tflite(tflite).histogram
        if not self.onnx_tf:
            missing = set(case.operators.split()) - set(operators)
            assert not missing, f"{sorted(missing)} not among {dict(operators)}"
            assert case.exactly is None or operators == Counter(case.exactly.split())
        found: Mapping[str, Array] = runtime.run_tflite(tflite, case.fed())
        for name, wanted in zip(case.outputs, case.moved(expected), strict=True):
            compare(found[name], wanted, name, tolerance, each=each)
        return operators


def compare(found: Array, wanted: Array, name: str, tolerance: float = 1e-5, *, each: bool = False) -> None:
    """Holds an output against what is expected, floats relative to the largest one or to each."""
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), name
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        return
    largest = float(np.abs(wanted).max(initial=0, where=np.isfinite(wanted))) or 1.0
    relative, absolute = (tolerance, 0.0) if each else (0.0, tolerance * largest)
    np.testing.assert_allclose(found, wanted, relative, absolute, err_msg=name)
