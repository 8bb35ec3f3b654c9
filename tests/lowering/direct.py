"""ONNX models straight to .tflite files, without TensorFlow: the lowerings, and nothing after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.lowering import lower
from layoutopt.tfl.graph import Graph, Model
from tests.handoff import Array, Case


def lowered(model: onnx.ModelProto) -> Model:
    """The graph of LiteRT's operators, without those whose results nobody reads."""
    found = lower(ir.from_proto(model))
    for graph in found.graph.all_graphs():
        drop_unread(graph)
    return found


def drop_unread(graph: Graph) -> None:
    """Drop operations whose results nobody reads."""
    read, kept = set(graph.outputs), []
    for operation in reversed(graph.operations):
        if read.intersection(operation.results):
            read.update(operand for operand in operation.operands if operand is not None)
            kept.append(operation)
    graph.operations = kept[::-1]


@dataclass(frozen=True, slots=True)
class Direct:
    """What `tests.handoff.HandOff` does, by way of the lowerings alone.

    Attributes:
        directory: for the files.
    """

    directory: Path

    def check(self, case: Case, *, tolerance: float = 1e-5) -> Mapping[str, int]:
        """Hold what LiteRT computes against what is expected, elements relative to the largest of each output.

        Returns:
            How often each operator is in the .tflite.
        """
        expected, path = case.expected(), self.directory / "model.tflite"
        model = case.model()
        for value, array in zip(model.graph.output, expected, strict=True):
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, [None] * array.ndim))
        write_tflite(lowered(model), path)
        operators = count_tflite(path).histogram
        missing = set(case.operators.split()) - set(operators)
        assert not missing, f"{sorted(missing)} not among {dict(operators)}"
        found: Mapping[str, Array] = runtime.run(path, case.inputs)
        for name, wanted in zip(case.outputs, expected, strict=True):
            assert (found[name].shape, found[name].dtype) == (wanted.shape, wanted.dtype), name
            finite = wanted[np.isfinite(wanted)] if wanted.dtype.kind == "f" else wanted
            largest = float(np.abs(finite).max()) if finite.size and wanted.dtype != bool else 1.0
            margin = tolerance * largest if wanted.dtype.kind == "f" else 0
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=margin, err_msg=name)
        return operators
