"""Operators of ONNX that have no lowering, by onnx-tf's own handlers.

Most need TensorFlow at run time, such as random numbers, so their .tflite takes Flex operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir
import tensorflow as tf

from layoutopt.backend.onnx_tf.compat import import_onnx_tf
from layoutopt.tfl.graph import Operation

onnx_tf = import_onnx_tf()
from onnx_tf.pb_wrapper import OnnxNode  # noqa: E402  (importable only now)

_OPERATORS = frozenset(
    (
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("ConstantFill", "ImageScaler"),
    )
)
"""Those that are left to onnx-tf. Others have a lowering, or would come out wrong."""


class ForeignOperators:
    """onnx-tf's handlers of one opset.

    Args:
        opsets: the version of each domain.
    """

    def __init__(self, opsets: Mapping[str, int]) -> None:
        imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        self._handlers: Mapping[str, Mapping[str, Any]] = onnx_tf.TensorflowBackend._get_handlers(imports)

    def handles(self, node: ir.Node) -> bool:
        """Return whether onnx-tf has a handler for a node."""
        if node.op_type not in _OPERATORS:
            return False
        handler = self._handlers.get(node.domain, {}).get(node.op_type)
        return handler is not None and handler.SINCE_VERSION in handler.get_versions()

    def __call__(self, operation: Operation, operands: Sequence[tf.Tensor | None]) -> Sequence[tf.Tensor]:
        """Return what an operation computes whose option ``node`` is the node that it stands for."""
        proto = ir.to_proto(operation.options["node"])
        assert isinstance(proto, onnx.NodeProto)
        proto.name = ""  # which onnx-tf would take for a name in TensorFlow
        tensors = {name: operand for name, operand in zip(proto.input, operands, strict=True) if name}
        handler = self._handlers[proto.domain][proto.op_type]
        found = handler.handle(OnnxNode(proto), tensor_dict=tensors, strict=True)
        return list(found) if isinstance(found, (list, tuple)) else [found]
