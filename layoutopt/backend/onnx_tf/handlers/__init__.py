"""What each ONNX operator becomes in TensorFlow: one file per family, each function entered in a registry."""

from layoutopt.backend.onnx_tf.handlers import (  # noqa: F401  (imported so that they enter themselves)
    activations,
    conv,
    conv_transpose,
    depth,
    einsum,
    elementwise,
    integers,
    matmul,
    natural,
    normalization,
    pool,
    quantization,
    reductions,
    resize,
    shapes,
)
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handler_of

__all__ = ["Node", "Operand", "handler_of"]
