"""Write quantized operators as float operators between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.ir import edit
from layoutopt.ir.dynamic_quantization import dynamic_lstm, dynamic_matmul, integer_matmul_to_float
from layoutopt.ir.insertion import Inserter
from layoutopt.ir.integer_products import integer_product
from layoutopt.ir.values import Array, constant_array
from layoutopt.layout.rules.applicability import is_view
from layoutopt.passes.base import Rewrite

CONTRIB = "com.microsoft"
_SOFTMAX = 10
"""The first opset of a QLinearSoftmax that is taken for the Softmax of the model's opset."""
_PER_AXIS = 13
"""The first opset whose QuantizeLinear takes an axis."""


@dataclass(frozen=True)
class ExpandQuantizedOperators(Rewrite):
    """Write quantized operators as float operators between DequantizeLinear and QuantizeLinear.

    These are QLinearConv, QLinearMatMul and ONNX Runtime's own.
    So the choice of layouts sees the operators that it knows. Constants become the floats that they stand for, and what
    only moves quantized values moves the floats. ConvInteger and MatMulInteger become float operators where their sums
    are exact in float32.
    """

    since = 10  # brought QuantizeLinear

    def rewrite(self, model: ir.Model) -> bool:
        """Expand in the order of the graph."""
        opset, modified = model.opset_imports.get("", 0), False
        for graph in edit.graphs_of(model):
            for node in list(graph):
                modified |= _expand(graph, node, opset)
        if modified:
            ShapeInferencePass(data_prop=True)(model)
        return modified


def _expand(graph: ir.Graph, node: ir.Node, opset: int) -> bool:
    expansion = _EXPANSIONS.get((node.domain, node.op_type))
    results = expansion(_Writer(graph, node, opset), node) if expansion is not None else None
    if results is None:
        return False
    for old, new in zip(node.outputs, results, strict=True):
        new.shape = new.shape or old.shape
        edit.replace_uses(graph, old, new)
    edit.remove_dead(node)
    return True


Results: TypeAlias = "Sequence[ir.Value] | None"
Expansion: TypeAlias = "Callable[[_Writer, ir.Node], Results]"


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale by which whole numbers stand for real ones: ``(number - zero) * scale``.

    Attributes:
        scale: one, or one for each index along an axis.
        zero: as ``scale``; None is 0.
    """

    scale: ir.Value
    zero: ir.Value | None

    @property
    def is_one(self) -> bool:
        """Return whether there is one for all numbers."""
        return self.scale.shape is not None and self.scale.shape.numpy() in ((), (1,))


@dataclass(frozen=True, slots=True)
class _Writer(Inserter):
    """Insert nodes that also turn numbers into what they stand for, and back."""

    def dequantized(self, value: ir.Value, by: _Scale, axis: int = 1) -> ir.Value:
        """Return the real numbers that ``value`` stands for; constants are computed now."""
        constants = [constant_array(each) for each in (value, by.scale, by.zero)]
        numbers, scale, zero = constants
        if numbers is not None and scale is not None and (by.zero is None or zero is not None):
            return self.constant(_real(numbers, scale, zero, axis))
        attributes = None if by.is_one else {"axis": ir.AttrInt64("axis", axis)}
        return self("DequantizeLinear", value, self.single(by.scale), by.zero, attributes=attributes)

    def quantized(self, value: ir.Value, by: _Scale, dtype: ir.DataType) -> ir.Value:
        """Return ``value`` in whole numbers."""
        zero = by.zero if by.zero is not None else self.constant(np.array(0, dtype.numpy()))
        result = self("QuantizeLinear", value, self.single(by.scale), zero)
        result.dtype = dtype
        return result

    def single(self, value: ir.Value) -> ir.Value:
        """Return ``value`` as float32, in which TFLite computes."""
        if value.dtype == ir.DataType.FLOAT:
            return value
        array = constant_array(value)
        if array is not None:
            return self.constant(array.astype(np.float32))
        return self("Cast", value, attributes={"to": ir.AttrInt64("to", ir.DataType.FLOAT)})


def _real(numbers: Array, scale: Array, zero: Array | None, axis: int) -> Array:
    """Return ``(numbers - zero) * scale`` in float32, as DequantizeLinear computes it."""
    shape = [-1 if index == axis else 1 for index in range(numbers.ndim)] if scale.size > 1 else []
    whole = numbers.astype(np.int64)
    if zero is not None:
        whole = whole - zero.astype(np.int64).reshape(shape if zero.size > 1 else [])
    result: Array = whole.astype(np.float32) * scale.astype(np.float32).reshape(shape)
    return result


def _scales(write: _Writer, *starts: int) -> list[_Scale] | None:
    """Return the scales and zero points from these operands; None if DequantizeLinear could not take one."""
    found, operands = [], write.node.inputs
    for start in starts:
        scale = operands[start]
        zero = operands[start + 1] if start + 1 < len(operands) else None
        if scale is None or scale.shape is None or not scale.shape.is_static() or len(scale.shape) > 1:
            return None
        by = _Scale(scale, zero)
        if not by.is_one and write.opset < _PER_AXIS and constant_array(scale) is None:
            return None
        found.append(by)
    return found


# --- one quantized operator each -------------------------------------------------------------------------------------


def _dequantize_linear(write: _Writer, node: ir.Node) -> Results:
    """Return a constant as the floats that it stands for."""
    scales = _scales(write, 1)
    numbers = constant_array(node.inputs[0])
    if scales is None or numbers is None or node.attributes.get_int("block_size", 0) != 0:
        return None
    (by,) = scales
    if by.scale.dtype != ir.DataType.FLOAT or numbers.dtype.kind not in "iu" or numbers.dtype.itemsize > 4:
        return None
    if node.attributes.get_int("output_dtype", ir.DataType.FLOAT) not in (0, ir.DataType.FLOAT):
        return None
    axis = node.attributes.get_int("axis", 1)
    result = write.dequantized(node.inputs[0], by, axis % max(numbers.ndim, 1))  # type: ignore[arg-type]
    return None if result.producer() is not None else [result]


def _conv(write: _Writer, node: ir.Node) -> Results:
    x, weights = node.inputs[0], node.inputs[3]
    bias = node.inputs[8] if len(node.inputs) > 8 else None
    scales = _scales(write, 1, 4, 6)
    if scales is None or x is None or weights is None:
        return None
    of_x, of_weights, of_result = scales
    operands: list[ir.Value | None] = [write.dequantized(x, of_x), write.dequantized(weights, of_weights, 0)]
    if bias is not None:
        operands.append(_bias(write, bias, of_x, of_weights))
    y = write("Conv", *operands, attributes=dict(node.attributes))
    return [write.quantized(y, of_result, _type(node))]


def _bias(write: _Writer, bias: ir.Value, of_x: _Scale, of_weights: _Scale) -> ir.Value:
    """Return a bias, whose scale is the product of both scales."""
    one, other = constant_array(of_x.scale), constant_array(of_weights.scale)
    if one is not None and other is not None:
        product = write.constant((one.reshape(()).astype(np.float32) * other.astype(np.float32)).astype(np.float32))
    else:
        product = write("Mul", write.single(of_x.scale), write.single(of_weights.scale))
    return write.dequantized(bias, _Scale(product, None), 0)


def _matmul(write: _Writer, node: ir.Node) -> Results:
    a, b = node.inputs[0], node.inputs[3]
    scales = _scales(write, 1, 4, 6)
    if scales is None or a is None or b is None or a.shape is None or b.shape is None:
        return None
    of_a, of_b, of_result = scales
    rows, columns = len(a.shape) - 2, len(b.shape) - 1
    y = write("MatMul", write.dequantized(a, of_a, max(rows, 0)), write.dequantized(b, of_b, columns))
    return [write.quantized(y, of_result, _type(node))]


def _gemm(write: _Writer, node: ir.Node) -> Results:
    """Expand ONNX Runtime's QGemm, whose result is quantized if it names a scale."""
    a, b = node.inputs[0], node.inputs[3]
    c = node.inputs[6] if len(node.inputs) > 6 else None
    is_quantized = len(node.inputs) > 7 and node.inputs[7] is not None
    scales = _scales(write, 1, 4, *([7] if is_quantized else []))
    alpha = node.attributes.get_float("alpha", 1.0)
    if scales is None or a is None or b is None or (c is not None and alpha != 1):
        return None
    operands: list[ir.Value | None] = [
        write.dequantized(a, scales[0]),
        write.dequantized(b, scales[1], 0 if node.attributes.get_int("transB", 0) else 1),
    ]
    if c is not None:
        operands.append(_bias(write, c, scales[0], scales[1]))
    y = write("Gemm", *operands, attributes=dict(node.attributes))
    return [write.quantized(y, scales[2], _type(node)) if is_quantized else y]


def _binary(operator: str) -> Expansion:
    def expand(write: _Writer, node: ir.Node) -> Results:
        scales = _scales(write, 1, 4, 6)
        a, b = node.inputs[0], node.inputs[3]
        if scales is None or a is None or b is None:
            return None
        y = write(operator, write.dequantized(a, scales[0]), write.dequantized(b, scales[1]))
        return [write.quantized(y, scales[2], _type(node))]

    return expand


def _unary(operator: str, *attributes: str) -> Expansion:
    def expand(write: _Writer, node: ir.Node) -> Results:
        scales = _scales(write, 1, 3)
        x = node.inputs[0]
        if scales is None or x is None or node.attributes.get_int("channels_last", 0) != 0:
            return None
        kept = {name: node.attributes[name] for name in attributes if name in node.attributes}
        y = write(operator, write.dequantized(x, scales[0]), attributes=kept)
        return [write.quantized(y, scales[1], _type(node))]

    return expand


def _softmax(write: _Writer, node: ir.Node) -> Results:
    """Write the Softmax of an opset up to 12, which is over all axes from one on."""
    if node.attributes.get_int("opset", _SOFTMAX) < _SOFTMAX:
        return None
    return _unary("Softmax", "axis")(write, node)


def _concat(write: _Writer, node: ir.Node) -> Results:
    operands = range(2, len(node.inputs), 3)
    scales = _scales(write, 0, *(index + 1 for index in operands))
    values = [node.inputs[index] for index in operands]
    if scales is None or any(value is None for value in values):
        return None
    real = [write.dequantized(v, by) for v, by in zip(values, scales[1:], strict=True) if v is not None]
    y = write("Concat", *real, attributes={"axis": node.attributes["axis"]})
    return [write.quantized(y, scales[0], _type(node))]


def _type(node: ir.Node) -> ir.DataType:
    """Return the type of a quantized result: that of the first operand where ONNX Runtime's own operators tell none."""
    first = node.inputs[2] if node.op_type == "QLinearConcat" else node.inputs[0]
    dtype = node.outputs[0].dtype or (first.dtype if first is not None else None)
    return dtype or ir.DataType.UINT8


# --- what only moves quantized values ---------------------------------------------------------------------------------


def _moved(write: _Writer, node: ir.Node) -> Results:
    """Return an operator on quantized values that picks from them, as one on the floats that they stand for."""
    values = _picked_from(node)
    scales = [_quantized_by(value) for value in values]
    by = scales[0]
    if by is None or any(other != by for other in scales) or (node.op_type == "MaxPool" and len(node.outputs) > 1):
        return None
    operands = [write.dequantized(v, by) if v is not None and v in values else v for v in node.inputs]
    first = write(node.op_type, *operands, results=len(node.outputs), attributes=dict(node.attributes))
    producer = first.producer()
    assert producer is not None
    dtype = values[0].dtype
    assert dtype is not None
    return [write.quantized(result, by, dtype) for result in producer.outputs]


def _resized(write: _Writer, node: ir.Node) -> Results:
    """Expand a Resize to the nearest neighbour, which alone is a value that is there already."""
    return _moved(write, node) if node.attributes.get_string("mode", "nearest") == "nearest" else None


def _padded(write: _Writer, node: ir.Node) -> Results:
    """Write a Pad as QDQ; the padding value is quantized too, unless the Pad repeats elements."""
    if node.attributes.get_string("mode", "constant") != "constant":
        return _moved(write, node)
    source, filling = node.inputs[0], node.inputs[2] if len(node.inputs) > 2 else None
    by = _quantized_by(source) if source is not None else None
    if by is None or source is None or filling is None or constant_array(filling) is None or source.dtype is None:
        return None
    operands = [write.dequantized(source, by), node.inputs[1], write.dequantized(filling, by), *node.inputs[3:]]
    return [write.quantized(write("Pad", *operands, attributes=dict(node.attributes)), by, source.dtype)]


def _picked_from(node: ir.Node) -> list[ir.Value]:
    """Return the operands that hold quantized values."""
    count = len(node.inputs) if node.op_type == "Concat" else 1
    return [value for value in node.inputs[:count] if value is not None]


def _quantized_by(value: ir.Value) -> _Scale | None:
    """Return the one scale of the QuantizeLinear that makes ``value``, or what it is a view of."""
    node = value.producer()
    while node is not None and is_view(node) and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.domain != "" or node.op_type != "QuantizeLinear" or len(node.inputs) < 3:
        return None
    scale, zero = constant_array(node.inputs[1]), constant_array(node.inputs[2])
    if scale is None or zero is None or scale.size != 1 or scale.dtype != np.float32 or zero.dtype.itemsize != 1:
        return None
    assert node.inputs[1] is not None
    return _Scale(node.inputs[1], node.inputs[2])


_EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("", "ConvInteger"): integer_product,
    ("", "DequantizeLinear"): _dequantize_linear,
    ("", "MatMulInteger"): integer_product,
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (CONTRIB, "DynamicQuantizeLSTM"): dynamic_lstm,
    (CONTRIB, "DynamicQuantizeMatMul"): dynamic_matmul,
    (CONTRIB, "MatMulIntegerToFloat"): integer_matmul_to_float,
    (CONTRIB, "QGemm"): _gemm,
    (CONTRIB, "QLinearAdd"): _binary("Add"),
    (CONTRIB, "QLinearAveragePool"): _unary(
        "AveragePool", "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"
    ),
    (CONTRIB, "QLinearConcat"): _concat,
    (CONTRIB, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool"),
    (CONTRIB, "QLinearLeakyRelu"): _unary("LeakyRelu", "alpha"),
    (CONTRIB, "QLinearMul"): _binary("Mul"),
    (CONTRIB, "QLinearSigmoid"): _unary("Sigmoid"),
    (CONTRIB, "QLinearSoftmax"): _softmax,
    **dict.fromkeys(
        [
            ("", each)
            for each in ("Concat", "DepthToSpace", "Gather", "MaxPool", "Slice", "SpaceToDepth", "Split", "Tile")
        ],
        _moved,
    ),
    ("", "Pad"): _padded,
    ("", "Resize"): _resized,
}
