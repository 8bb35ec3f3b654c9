"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`); `types` says which element types the kernels
behind an operator take.
"""

from layoutopt.lowering import conv as conv
from layoutopt.lowering import conv_transpose as conv_transpose
from layoutopt.lowering import depth as depth
from layoutopt.lowering import detection as detection
from layoutopt.lowering import nchw_fallback as nchw_fallback
from layoutopt.lowering import pool as pool
from layoutopt.lowering import quantization as quantization
from layoutopt.lowering import regions as regions
from layoutopt.lowering import resize as resize
from layoutopt.lowering import sampling as sampling
from layoutopt.lowering.lower import lower

__all__ = ["lower"]
