"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`); `types` says which element types the kernels
behind an operator take.
"""

from layoutopt.lowering import activations as activations
from layoutopt.lowering import einsum as einsum
from layoutopt.lowering import elementwise as elementwise
from layoutopt.lowering import integers as integers
from layoutopt.lowering import matmul as matmul
from layoutopt.lowering import normalization as normalization
from layoutopt.lowering import reductions as reductions
from layoutopt.lowering import spectra as spectra
from layoutopt.lowering.lower import lower

__all__ = ["lower"]
