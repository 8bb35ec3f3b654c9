"""Float operators for what ONNX Runtime's ``quantize_dynamic`` writes: the weights as the numbers they stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.insertion import Inserter
from layoutopt.ir.values import constant_of

Array = npt.NDArray[np.generic]


def dynamic_lstm(insert: Inserter, node: ir.Node) -> list[ir.Value] | None:
    """Expand DynamicQuantizeLSTM: an LSTM, whose weights come as (directions, input, gates)."""
    operands = [*node.inputs, *[None] * (12 - len(node.inputs))]
    weights = [_weights(operands[index], operands[at], operands[at + 1]) for index, at in ((1, 8), (2, 10))]
    if any(each is None for each in weights):
        return None
    inner, recurrent = (insert.constant(each.transpose(0, 2, 1)) for each in weights if each is not None)
    first = insert(
        "LSTM", operands[0], inner, recurrent, *operands[3:8],
        results=len(node.outputs), attributes={each.name: each for each in node.attributes.values()},
    )  # fmt: skip
    made = first.producer()
    assert made is not None
    for result in made.outputs:
        result.dtype = ir.DataType.FLOAT
    return list(made.outputs)


def dynamic_matmul(insert: Inserter, node: ir.Node) -> list[ir.Value] | None:
    """Expand DynamicQuantizeMatMul: a MatMul, and an Add of the bias."""
    x, matrix, scale, zero, bias = (*node.inputs, *[None] * 3)[:5]
    weights = _weights(matrix, scale, zero)
    return None if weights is None else [_with_bias(insert, insert("MatMul", x, insert.constant(weights)), bias)]


def integer_matmul_to_float(insert: Inserter, node: ir.Node) -> list[ir.Value] | None:
    """Expand MatMulIntegerToFloat: a MatMul of what both operands stand for, and an Add of the bias."""
    x, matrix, x_scale, scale, x_zero, zero, bias = (*node.inputs, *[None] * 3)[:7]
    weights = _weights(matrix, scale, zero)
    if weights is None:
        return None
    real = insert("DequantizeLinear", x, x_scale, x_zero)
    return [_with_bias(insert, insert("MatMul", real, insert.constant(weights)), bias)]


def _with_bias(insert: Inserter, y: ir.Value, bias: ir.Value | None) -> ir.Value:
    result = y if bias is None else insert("Add", y, bias)
    result.dtype = ir.DataType.FLOAT
    return result


def _weights(numbers: ir.Value | None, scale: ir.Value | None, zero: ir.Value | None) -> npt.NDArray[np.float32] | None:
    """Return what constant weights stand for; scales are of all, of each direction, or of each column."""
    arrays = [None if each is None else constant_of(each) for each in (numbers, scale, zero)]
    if arrays[0] is None or arrays[1] is None or (zero is not None and arrays[2] is None):
        return None
    whole = arrays[0].numpy().astype(np.float32)
    if arrays[2] is not None:
        whole = whole - _beside(arrays[2].numpy().astype(np.float32), whole.ndim)
    real: npt.NDArray[np.float32] = whole * _beside(arrays[1].numpy().astype(np.float32), whole.ndim)
    return real


def _beside(numbers: npt.NDArray[np.float32], rank: int) -> npt.NDArray[np.float32]:
    """Return a (directions, columns) array, or columns alone, broadcast to (directions, rows, columns)."""
    if numbers.size == 1:
        return numbers.reshape(())
    if rank == 3:
        return numbers.reshape(numbers.shape[0], 1, -1)
    return numbers
