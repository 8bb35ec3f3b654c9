"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`); `types` says which element types the kernels
behind an operator take.
"""

from layoutopt.lowering.lower import lower

__all__ = ["lower"]
