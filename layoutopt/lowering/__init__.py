"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`); `types` says which element types the kernels
behind an operator take.
"""

from layoutopt.lowering import (  # noqa: F401  (imported so that they enter themselves)
    constants,
    control_flow,
    conv,
    conv_transpose,
    depth,
    detection,
    indexing,
    nchw_fallback,
    pad,
    pool,
    quantization,
    recurrent,
    regions,
    resize,
    sampling,
    selection,
    sequences,
    shapes,
    slicing,
)
from layoutopt.lowering.lower import lower

__all__ = ["lower"]
