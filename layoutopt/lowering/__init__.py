"""From ONNX and the dialect ``layoutopt.nhwc`` to LiteRT's operators: a file for each family, `lower` runs them.

Every function is entered in one registry (`layoutopt.lowering.node`); `types` says which element types the kernels
behind an operator take.
"""

from layoutopt.lowering import activations as activations
from layoutopt.lowering import constants as constants
from layoutopt.lowering import control_flow as control_flow
from layoutopt.lowering import conv as conv
from layoutopt.lowering import conv_transpose as conv_transpose
from layoutopt.lowering import depth as depth
from layoutopt.lowering import detection as detection
from layoutopt.lowering import einsum as einsum
from layoutopt.lowering import elementwise as elementwise
from layoutopt.lowering import indexing as indexing
from layoutopt.lowering import integers as integers
from layoutopt.lowering import matmul as matmul
from layoutopt.lowering import nchw_fallback as nchw_fallback
from layoutopt.lowering import normalization as normalization
from layoutopt.lowering import pad as pad
from layoutopt.lowering import pool as pool
from layoutopt.lowering import quantization as quantization
from layoutopt.lowering import recurrent as recurrent
from layoutopt.lowering import reductions as reductions
from layoutopt.lowering import regions as regions
from layoutopt.lowering import resize as resize
from layoutopt.lowering import sampling as sampling
from layoutopt.lowering import selection as selection
from layoutopt.lowering import sequences as sequences
from layoutopt.lowering import shapes as shapes
from layoutopt.lowering import slicing as slicing
from layoutopt.lowering import spectra as spectra
from layoutopt.lowering import unpool as unpool
from layoutopt.lowering.lower import lower

__all__ = ["lower"]
