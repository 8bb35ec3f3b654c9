"""ONNX's backend node tests: models, what they take, and what they must give."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Case:
    """One of ONNX's node tests.

    Attributes:
        model: mostly of one node.
        data: what the model takes and what it must give, by name; mostly once.
        rtol: relative tolerance.
        atol: absolute tolerance.
    """

    model: onnx.ModelProto
    data: tuple[tuple[Mapping[str, Array], Mapping[str, Array]], ...]
    rtol: float
    atol: float

    @staticmethod
    def of(test: TestCase) -> Case:
        """Return what ONNX's own runner would make of it."""
        assert test.model is not None
        assert test.data_sets is not None
        graph = test.model.graph
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
        data = tuple((_named(inputs, given), _named(graph.output, wanted)) for given, wanted in test.data_sets)
        return Case(test.model, data, test.rtol, test.atol)


def _named(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[Any]) -> Mapping[str, Array]:
    """Return the tests by name; tests on types that NumPy lacks have their tensors as in a file."""
    unpacked = (onnx.numpy_helper.to_array(array) if isinstance(array, onnx.TensorProto) else array for array in arrays)
    return {value.name: array for value, array in zip(values, unpacked, strict=False)}


@functools.cache
def cases() -> Mapping[str, Case]:
    """Return ONNX's node tests by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's about the overflows that some tests are about
        return {test.name: Case.of(test) for test in load_model_tests(kind="node")}


def with_shapes(proto: onnx.ModelProto, given: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the model with the shapes of these inputs."""
    static = onnx.ModelProto()
    static.CopyFrom(proto)
    for value in static.graph.input:
        if isinstance(array := given.get(value.name), np.ndarray) and value.type.HasField("tensor_type"):
            del value.type.tensor_type.shape.dim[:]
            value.type.tensor_type.shape.dim.extend(
                onnx.TensorShapeProto.Dimension(dim_value=size) for size in array.shape
            )
    return static
