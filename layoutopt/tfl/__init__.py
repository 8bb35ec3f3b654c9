"""LiteRT's builtin operators as a graph: record it, rewrite it, print it, read it from a .tflite.

`build` records operators, `graph` holds them, `opset` is the table of all that is known of each operator, `reader`
makes the same graph of a file, and `rewrites` simplify it. Nothing here knows ONNX or TensorFlow.
"""
