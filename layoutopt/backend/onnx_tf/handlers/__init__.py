"""What each ONNX operator becomes in TensorFlow: one file per family, each function entered in a registry."""

from layoutopt.backend.onnx_tf.handlers import (  # noqa: F401  (imported so that they enter themselves)
    activations,
    control_flow,
    conv,
    conv_transpose,
    depth,
    detection,
    einsum,
    elementwise,
    indexing,
    integers,
    matmul,
    natural,
    normalization,
    placing,
    pool,
    quantization,
    recurrent,
    reductions,
    resize,
    sampling,
    sequences,
    shapes,
    spectra,
)
from layoutopt.backend.onnx_tf.handlers.node import Items, Node, Operand, handler_of

__all__ = ["Items", "Node", "Operand", "handler_of"]
