"""The graph layer: models of ONNX and of the dialect, and what is computed from them."""

from layoutopt.ir.deferral import import_onnx_ir

import_onnx_ir()
