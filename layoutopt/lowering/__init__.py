"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`), with the element types that the kernels take
(`kernel_types`); `types` converts others.
"""

from layoutopt.lowering import (  # noqa: F401  (imported so that they enter themselves)
    activations,
    constants,
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
    nchw_fallback,
    ngrams,
    normalization,
    pad,
    pool,
    quantization,
    recurrent,
    reductions,
    regions,
    resize,
    sampling,
    selection,
    sequences,
    shapes,
    slicing,
    spectra,
    unpool,
)
from layoutopt.lowering.lower import lower

__all__ = ["lower"]
