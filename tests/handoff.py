"""Small models through a backend, held against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from layoutopt.backend.onnx_tf.child import Child
from layoutopt.backend.onnx_tf.protocol import Job

Array = npt.NDArray[Any]
_RNG = np.random.default_rng(11)


def floats(*shape: int) -> Array:
    """Standard normal."""
    return _RNG.standard_normal(shape).astype(np.float32)


def integers(low: int, high: int, *shape: int) -> Array:
    """From ``low`` up to ``high``, which is left out."""
    return _RNG.integers(low, high, shape)


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
    """

    body: str
    inputs: Mapping[str, Array]
    constants: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    operators: str = ""
    outputs: tuple[str, ...] = ("y",)
    opset: int = 18
    reference: bool = False

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
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def expected(self) -> list[Array]:
        """What the outputs should be."""
        model = self.model()
        if self.reference:
            found = onnx.reference.ReferenceEvaluator(model).run(None, dict(self.inputs))
            return [np.asarray(array) for array in found]
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return [np.asarray(array) for array in session.run(None, dict(self.inputs))]

    def with_run_time(self, *names: str) -> Case:
        """The same case with some constants as inputs."""
        moved = {name: np.asarray(self.constants[name]) for name in names}
        rest = {name: value for name, value in self.constants.items() if name not in names}
        return replace(self, inputs={**self.inputs, **moved}, constants=rest)


@dataclass(frozen=True, slots=True)
class HandOff:
    """One way to a .tflite.

    Attributes:
        directory: for the files.
        child: converts by onnx-tf; None for the direct backend, in this process.
    """

    directory: Path
    child: Child | None = None

    def convert(self, case: Case, expected: list[Array]) -> Path:
        """The .tflite of a case; raises what the backend raises."""
        model = case.model()
        for value, array in zip(model.graph.output, expected, strict=True):
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, [None] * array.ndim))
        tflite = self.directory / "model.tflite"
        if self.child is None:
            convert_directly(ir.from_proto(model), tflite)
        else:
            path = self.directory / "model.onnx"
            onnx.save(model, path)
            self.child.run(Job(str(path), str(tflite), None, str(self.directory)), None)
        return tflite

    def check(self, case: Case, *, tolerance: float = 1e-5) -> Mapping[str, int]:
        """Holds what LiteRT computes against what is expected, elements relative to the largest of each output.

        Returns:
            How often each operator is in the .tflite.
        """
        expected = case.expected()
        tflite = self.convert(case, expected)
        operators = count_tflite(tflite).histogram
        missing = set() if self.child is not None else set(case.operators.split()) - set(operators)
        assert not missing, f"{sorted(missing)} not among {dict(operators)}"
        found: Mapping[str, Array] = runtime.run(tflite, case.inputs)
        for name, wanted in zip(case.outputs, expected, strict=True):
            assert (found[name].shape, found[name].dtype) == (wanted.shape, wanted.dtype), name
            finite = wanted[np.isfinite(wanted)] if wanted.dtype.kind == "f" else wanted
            largest = float(np.abs(finite).max()) if finite.size and wanted.dtype != bool else 1.0
            margin = tolerance * largest if wanted.dtype.kind == "f" else 0
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=margin, err_msg=name)
        return operators
