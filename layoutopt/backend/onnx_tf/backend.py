"""onnx-tf's backend with a lowered graph in it: its representation, for the operators that we chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir
import tensorflow as tf

from layoutopt.backend.onnx_tf.compat import import_onnx_tf
from layoutopt.backend.onnx_tf.foreign import ForeignOperators
from layoutopt.backend.onnx_tf.replay import replay
from layoutopt.lowering import lower
from layoutopt.tfl.graph import Model

onnx_tf = import_onnx_tf()
from onnx_tf.backend_rep import TensorflowRep  # noqa: E402  (importable only now)

_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


class Replayed(tf.Module):  # type: ignore[misc]
    """A lowered graph as what onnx-tf's representation runs and exports.

    Args:
        model: a graph as it was recorded, before any rewrites.
        foreign: computes the operators of ONNX that stand in it.

    Attributes:
        model: the graph.
        function: the same in TensorFlow; its operands and results are in the order of the ONNX graph.
    """

    def __init__(self, model: Model, foreign: ForeignOperators) -> None:
        super().__init__()
        self.model = model
        self.function: tf.types.experimental.ConcreteFunction = replay(model, foreign)

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """Return the outputs by name, given the inputs by name."""
        results: Sequence[Any] = self.function(*(inputs[name] for name in self.model.input_names))
        return dict(zip(self.model.output_names, results, strict=True))

    def python_operators(self) -> list[str]:
        """Return the names of operators that call back into Python, which no .tflite can."""
        operations = self.function.graph.get_operations()
        return [operation.name for operation in operations if operation.type in _PYTHON]


class LayoutoptBackend(onnx_tf.TensorflowBackend):  # type: ignore[misc,name-defined]
    """onnx-tf's backend; what it overrides is where onnx-tf would translate node by node."""

    @classmethod
    def onnx_model_to_tensorflow_rep(cls, model: onnx.ModelProto, strict: bool, **_: object) -> TensorflowRep:
        """Return onnx-tf's representation of a model, as `represent`."""
        assert strict
        return represent(ir.from_proto(model))


def represent(model: ir.Model) -> TensorflowRep:
    """Return onnx-tf's representation of a model of static shapes.

    Raises:
        UnsupportedOperatorError: nodes that neither a lowering nor onnx-tf handles, or values of types that no .tflite
            holds.
        DynamicShapeError: an input has a symbolic dimension.
    """
    foreign = ForeignOperators(model.graph.opset_imports)
    lowered = lower(model, is_foreign=foreign.handles)
    rep = TensorflowRep(inputs=list(lowered.input_names), outputs=list(lowered.output_names))
    rep.tf_module = Replayed(lowered, foreign)
    return rep
