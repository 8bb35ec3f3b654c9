"""The page of conformance: ONNX's own backend node tests through the whole path, beside plain onnx-tf.

Each test is a model with inputs and the outputs to expect. It is optimized, converted by the direct backend or through
onnx-tf, and run in LiteRT; plain onnx-tf gets it folded, as the baseline does, and as it is where that fails. Verdicts
stay in a directory, so that a run goes on where the last one ended. What is known of the tests that all were judged on
goes to ``benchmarks/results/conformance.json``, from which `docs.tools.generate` makes the page.

::

    python -m benchmarks.conformance [--verdicts build/conformance] [--again] [--route direct|onnx-tf|plain] [PART ...]

A PART is a part of a test's name; without any, all tests are run. ``--again`` judges tests again that have a verdict;
``--route``, which may be repeated, leaves out the other ways to a .tflite.
"""
