"""Averages over pixels or rows before a product of channels instead of after it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_operand, integer, reduced_axes
from layoutopt.ir.values import Shape, constant_of, has_only_reader, known_shape, static_shape
from layoutopt.layout.analysis.convolutions import TYPES, Convolution, channel_vector, convolution_of, pool_of
from layoutopt.layout.costs.arithmetic import Work, work_of, work_of_elementwise, work_of_product
from layoutopt.passes.base import BROADCASTING, CostDrivenRewrite, NodeRewrite


@dataclass(frozen=True)
class PoolBeforeConvolution(NodeRewrite, CostDrivenRewrite):
    """Compute an AveragePool, GlobalAveragePool or ReduceMean after a Conv of one pixel before it.

    The Conv, y[r] = W x[r] + b, works on channels, the pool, z[q] = sum_r a[q, r] y[r], on pixels, and both are linear:
    z[q] = W (sum_r a[q, r] x[r]) + b sum_r a[q, r]. So they commute as they are without a bias, whatever the padding is
    counted as. With one, the weights a of each window must sum to 1: they do where padding is not counted, or where
    there is none. Groups stay; strides of the Conv and kernels of more than one pixel do not commute. A ReduceMean over
    rows after a MatMul with a constant matrix, and a constant row added to that, is the same.

    What is between the two must have no other reader.
    """

    since = BROADCASTING

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Let the pool ``node`` come before what it reads, where that can be done and is cheaper."""
        if node.domain != "" or node.op_type not in _POOLS or node.outputs[0].dtype not in TYPES:
            return False
        source, result = node.inputs[0], static_shape(node.outputs[0])
        if len(node.outputs) != 1 or source is None or result is None or not has_only_reader(graph, source):
            return False
        swap = _behind_convolution(node, source) or _behind_product(graph, node, source)
        if swap is None or not self.is_worth(node, swap.before, swap.after):
            return False
        write = edit.Writer(graph, node, str(node.outputs[0].name), node.outputs[0].dtype)
        edit.replace_uses(graph, node.outputs[0], swap.write(write, node))
        edit.remove_dead(node)
        return True


_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean"})


@dataclass(frozen=True, slots=True)
class _Swap:
    """A pool that can come first.

    Attributes:
        x: what it reads then.
        pooled: the shape of its result then, with axes that are averaged away of size 1.
        result: the shape of the result of the product, likewise.
        product: the Conv, or the matrix and the row that is added to its product.
        before: what both cost now.
        after: what they cost then.
    """

    x: ir.Value
    pooled: Shape
    result: Shape
    product: Convolution | tuple[ir.Value, ir.Value | None]
    before: Work
    after: Work

    def write(self, write: edit.Writer, pool: ir.Node) -> ir.Value:
        """Return the nodes that compute the result of ``pool`` from now on."""
        kept = {"keepdims": 1} if pool.op_type == "ReduceMean" else None
        x = write.again(pool, self.pooled, self.x, *pool.inputs[1:], attributes=kept)
        if isinstance(self.product, Convolution):
            y = self.product.write(write, x, self.result)
        else:
            matrix, row = self.product
            y = write("MatMul", self.result, x, matrix)
            y = y if row is None else write("Add", self.result, y, row)
        return write.reshaped(y, known_shape(pool.outputs[0]))


def _behind_convolution(node: ir.Node, source: ir.Value) -> _Swap | None:
    """Return a pool of pixels after a Conv of one pixel."""
    producer, shape = source.producer(), static_shape(source)
    conv = convolution_of(producer) if producer is not None and producer.graph is node.graph else None
    if producer is None or shape is None or conv is None or prod(conv.kernel) != 1:
        return None
    x = producer.inputs[0]
    before = static_shape(x)
    if x is None or before is None or before[2:] != shape[2:] or any(conv.begin) or max(conv.strides) > 1:
        return None
    if conv.bias.any() and not _is_mean(node):
        return None
    result = _averaged(node, shape)
    if result is None or result[:2] != shape[:2]:
        return None
    pooled = (*before[:2], *result[2:])
    costs = (
        conv.work(before, shape) + work_of_elementwise(shape, result),
        work_of_elementwise(before, pooled) + conv.work(pooled, result),
    )
    return _Swap(x, pooled, result, conv, *costs)


def _averaged(node: ir.Node, shape: Shape) -> Shape | None:
    """Return the shape after the pool ``node`` of ``shape`` if no axis were dropped; None if it is unknown."""
    if node.op_type != "ReduceMean":
        return static_shape(node.outputs[0])
    axes = reduced_axes(node)
    return None if axes is None else tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _is_mean(node: ir.Node) -> bool:
    """Return whether the weights of each window sum to 1."""
    if node.op_type != "AveragePool" or not integer(node, "count_include_pad", 0):
        return True
    windows, source = pool_of(node), static_shape(node.inputs[0])
    return windows is not None and source is not None and not windows.is_padded(source, known_shape(node.outputs[0]))


def _behind_product(graph: ir.Graph, node: ir.Node, source: ir.Value) -> _Swap | None:
    """Return a ReduceMean of rows after a MatMul with a constant matrix, to which a constant row may be added."""
    shape, row = static_shape(source), None
    producer = source.producer()
    if node.op_type != "ReduceMean" or shape is None or producer is None or producer.domain != "":
        return None
    before = Work()
    if producer.op_type == "Add":
        left, right = producer.inputs
        summed, row = (left, right) if left is not None and constant_of(left) is None else (right, left)
        array = constant_operand(producer, 1 if row is right else 0)
        if summed is None or array is None or channel_vector(array, shape, len(shape) - 1) is None:
            return None
        if not has_only_reader(graph, summed) or static_shape(summed) != shape:
            return None
        before, producer = work_of(producer), summed.producer()
    if producer is None or producer.graph is not graph or producer.op_type != "MatMul" or producer.domain != "":
        return None
    x, matrix = producer.inputs
    pooled, sizes, result = static_shape(x), static_shape(matrix), _averaged(node, shape)
    if x is None or matrix is None or pooled is None or sizes is None or result is None or len(sizes) != 2:
        return None
    if constant_of(matrix) is None or len(pooled) < 2 or result[-1] != shape[-1]:
        return None
    pooled = (*result[:-1], pooled[-1])
    before = before + work_of(producer) + work_of_elementwise(shape, result)
    after = work_of_elementwise(known_shape(x), pooled) + work_of_product(prod(result[:-1]), *sizes)
    return _Swap(
        x, pooled, result, (matrix, row), before, after if row is None else after + work_of_elementwise(result, result)
    )
