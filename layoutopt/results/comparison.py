"""The result of `layoutopt.compare`: frozen data, ready for JSON."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt.errors import VerificationError
from layoutopt.ir.perm import Perm
from layoutopt.ir.verify import OutputDifference
from layoutopt.results.result import Json, Result, to_json


class MatchedBy(enum.Enum):
    """The evidence that two tensors are the same."""

    INTERFACE = "interface"
    """They are the same input or output."""
    CONTENT = "content"
    """They hold the same, under a permutation of the axes or of the slices along one."""
    NAME = "name"
    """The tensor has the name of the node."""
    LIKENESS = "likeness"
    """Nothing else that depends on the same inputs is nearly as alike."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor of the .tflite beside the value of the ONNX model that it should hold.

    Attributes:
        position: of its operator's result in the order of execution, inputs first.
        tensor: its name in the .tflite.
        index: its index there.
        operator: of the .tflite, that computes it.
        shape: of the tensor.
        value: name of the value.
        node: of the ONNX model, that computes it; empty for an input.
        onnx_operator: of that node.
        onnx_shape: of the value.
        layout: of the tensor in terms of the value.
        order: in which it stores the axes of the value; empty where no order of them will do.
        matched_by: what tells that the two are the same.
        max_abs_error: the largest absolute difference.
        relative_error: that over the largest absolute value of the ONNX value.
        mse: the mean of the squared differences.
        inherited: the largest relative error of the nearest matched tensors that it is computed from.
        own_error: the relative error against what ONNX Runtime makes of these very tensors, be they right or wrong:
            what the operator, with those in between, adds by itself.
        sqnr: signal-to-quantization-noise ratio in dB, of the ONNX value against the difference; infinite where there
            is none.
        own_sqnr: likewise of what the operator adds by itself.
    """

    position: int
    tensor: str
    index: int
    operator: str
    shape: tuple[int, ...]
    value: str
    node: str
    onnx_operator: str
    onnx_shape: tuple[int, ...]
    layout: str
    order: Perm
    matched_by: MatchedBy
    max_abs_error: float
    relative_error: float
    mse: float
    inherited: float
    own_error: float
    sqnr: float
    own_sqnr: float

    @property
    def growth(self) -> float:
        """Return how many times as large as the error of its inputs it is."""
        if self.inherited:
            return self.relative_error / self.inherited
        return math.inf if self.relative_error else 1.0

    def to_json(self) -> Json:
        """Return plain data, with the growth."""
        plain = to_json(self)
        assert isinstance(plain, dict)
        return {**plain, "growth": to_json(self.growth)}


@dataclass(frozen=True, slots=True)
class ErrorOrigin:
    """The layer at which the error enters.

    Attributes:
        layer: the first tensor in the order of execution that is off by more than the tolerance.
        after: names of the nearest matched values that it is computed from, all of them within the tolerance.
        suspects: the operators of the .tflite between these and the tensor, each with the name of its result; the last
            one is the tensor's own.
    """

    layer: Layer
    after: tuple[str, ...]
    suspects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutputErrors:
    """One output of the .tflite against the ONNX model's.

    Attributes:
        name: of the output of the ONNX model.
        builtin: on LiteRT's own kernels, as the layers were run.
        xnnpack: with XNNPACK, as a phone runs it.
    """

    name: str
    builtin: OutputDifference
    xnnpack: OutputDifference

    @property
    def relative_error(self) -> float:
        """Return the larger of the two."""
        return max(self.builtin.relative_error, self.xnnpack.relative_error)


@dataclass(frozen=True, slots=True)
class ComparisonReport(Result):
    """A .tflite beside the ONNX model that it should compute, layer by layer.

    Attributes:
        model: the ONNX file; None for a model in memory.
        tflite: the .tflite.
        inputs: what both ran on.
        tolerance: the bound on relative errors.
        tensors: how many tensors of the .tflite depend on its inputs, these included.
        layers: those of them that are matched, in the order of execution.
        first: where the error enters; None where no layer is off by more than the tolerance.
        outputs: in the order of the ONNX model.
        versions: of the packages that took part.
        quantized: whether operators of the .tflite compute with integers that stand for real numbers.
    """

    model: Path | None
    tflite: Path
    inputs: str
    tolerance: float
    tensors: int
    layers: tuple[Layer, ...]
    first: ErrorOrigin | None
    outputs: tuple[OutputErrors, ...]
    versions: Mapping[str, str]
    quantized: bool = False

    @property
    def passed(self) -> bool:
        """Return whether every output is within the tolerance, with XNNPACK and without."""
        return all(output.relative_error <= self.tolerance for output in self.outputs)

    @property
    def largest(self) -> Layer:
        """Return the layer with the largest relative error."""
        return max(self.layers, key=lambda layer: layer.relative_error)

    def adding_most(self, count: int) -> tuple[Layer, ...]:
        """Return the layers with the largest errors of their own, the worst first; of quantized ones the least SQNR."""
        adding = [layer for layer in self.layers if layer.own_error]
        return tuple(sorted(adding, key=lambda layer: layer.own_sqnr if self.quantized else -layer.own_error)[:count])

    def require(self) -> None:
        """Raise unless the outputs agree.

        Raises:
            VerificationError: names the output that is off the most, and where the error enters.
        """
        if self.passed:
            return
        worst = max(self.outputs, key=lambda output: output.relative_error)
        message = (
            f"{self.tflite} differs from the original at output {worst.name!r}: relative error "
            f"{worst.relative_error:.3g}, tolerance {self.tolerance:g}, {self.inputs}"
        )
        if self.first is None:
            raise VerificationError(message, hint="No layer is off without XNNPACK, so XNNPACK makes the difference.")
        layer = self.first.layer
        raise VerificationError(
            message, hint=f"It enters at node {layer.node or layer.value!r} ({layer.onnx_operator})."
        )

    def to_json(self) -> Json:
        """Return plain lists, dicts, numbers and text."""
        plain = to_json(self)
        assert isinstance(plain, dict)
        first: Json = None
        if self.first is not None:
            first = {
                "layer": self.first.layer.to_json(),
                "after": to_json(self.first.after),
                "suspects": to_json(self.first.suspects),
            }
        return {
            **plain,
            "layers": [layer.to_json() for layer in self.layers],
            "first": first,
            "largest": self.largest.to_json(),
            "matched": len(self.layers),
            "passed": self.passed,
        }
