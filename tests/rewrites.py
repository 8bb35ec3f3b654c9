"""How a rewrite to fewer multiplications is judged: in double precision, and by its rounding beside the original's."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnx_ir as ir
from onnx import numpy_helper

from layoutopt.ir.verify import random_inputs, run_onnx
from tests.harness import check_pass

MAX_ROUNDING = 4
"""How many times the original's own error against double precision a rewritten network may have."""

Array = npt.NDArray[np.generic]


def network(text: str, **weights: npt.ArrayLike) -> ir.Model:
    """A model of the text of a graph, with initializers; lists of whole numbers are int64, all else float32."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    for output in proto.graph.output:
        if not output.type.HasField("tensor_type") or not output.type.tensor_type.elem_type:
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            output.type.tensor_type.ClearField("shape")
    for name, values in weights.items():
        array = np.asarray(values)
        kept = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(kept, name))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True, strict_mode=True))


def normal(*shape: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Random weights of a size that keeps the variance of what goes through them."""
    return np.random.default_rng([seed, *shape]).normal(0, prod(shape[1:]) ** -0.5, shape)


def check_rewrite(pass_: ir.passes.PassBase, model: ir.Model, *, tolerance: float = 1e-12) -> ir.Model:
    """What ``pass_`` makes of ``model``: it keeps its contract, is exact in double precision, and rounds no worse."""
    result = check_pass(pass_, model)
    before = in_double(model)
    after = pass_(ir.from_proto(before)).model
    inputs = random_inputs(model, 0)
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in inputs.items()}
    exact, found = evaluated(before, wide), evaluated(ir.to_proto(after), wide)
    own, others = run_onnx(model, inputs), run_onnx(result.model, inputs)
    for name, array in exact.items():
        scale = max(1.0, float(np.abs(array).max(initial=0.0)))
        assert _distance(found[name], array) <= tolerance * scale, name
        least = float(np.finfo(np.float32).eps) * scale
        assert _distance(others[name], array) <= MAX_ROUNDING * max(least, _distance(own[name], array)), name
    return result.model


def _distance(one: Array, other: Array) -> float:
    """The largest difference."""
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def check_untouched(pass_: ir.passes.PassBase, model: ir.Model) -> None:
    """``pass_`` finds nothing to do."""
    assert not check_pass(pass_, model).modified


def evaluated(proto: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """By ONNX's own evaluator."""
    names = [value.name for value in proto.graph.output]
    return dict(zip(names, onnx.reference.ReferenceEvaluator(proto).run(names, dict(inputs)), strict=True))


def in_double(model: ir.Model) -> onnx.ModelProto:
    """The same network in double precision; the scales of a resize stay as they are."""
    proto = ir.to_proto(model)
    kept = {name for node in proto.graph.node if node.op_type in ("Resize", "Upsample") for name in node.input[1:]}
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name not in kept:
            array = numpy_helper.to_array(tensor).astype(np.float64)
            proto.graph.initializer[index].CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in (*proto.graph.input, *proto.graph.output):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    del proto.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(proto, data_prop=True)


def operators(model: ir.Model) -> list[str]:
    """Of the main graph, in order."""
    return [node.op_type for node in model.graph]
