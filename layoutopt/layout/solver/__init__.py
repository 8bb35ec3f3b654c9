"""The layout problem as numbers, and its exact solvers. Nothing here knows of ONNX or of layouts."""
