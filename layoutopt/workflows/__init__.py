"""The work of the functions of the API, one module each, and what these modules share.

A workflow takes a model, options and a `RunContext`. It calls passes and backends and returns results; how these are
shown is the business of `layoutopt.report`.
"""

import layoutopt.ir  # noqa: F401  # before onnx_ir, which it imports without SymPy
