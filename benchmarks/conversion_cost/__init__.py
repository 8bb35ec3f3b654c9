"""The cost of a conversion: processor time and memory from an .onnx to a .tflite, beside onnx2tf.

Each model is converted in fresh processes, the ways to a .tflite in turns, several rounds of them. Models and the
environment of onnx2tf stay in directories; the figures go to ``benchmarks/results/conversion_cost.json``, from which
`docs.tools.generate` makes the page.

::

    python -m benchmarks.conversion_cost [--rounds 3] [--way direct|onnx-tf|onnx2tf] [--python3.12 PATH] [NAME ...]

Given names, figures of other models stay as they were; given ways, too.
"""
