"""The ways from an optimized graph to a .tflite, and the runtime that runs it. Operators are lowered in `lowering`."""
