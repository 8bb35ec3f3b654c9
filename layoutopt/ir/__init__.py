"""The graph layer: models of ONNX and of the dialect, and what is computed from them."""

import os

from layoutopt.ir.deferred_sympy import import_onnx_ir

# ONNX Runtime reads it as it is loaded; without it, it keeps events in the home directory and sends them to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import_onnx_ir()
