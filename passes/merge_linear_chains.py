"""Makes one linear operator of two that follow each other, and leaves out what changes no order."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd, prod

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import axis_of, constant_operand, integer, is_operator
from layoutopt.ir.values import Shape, Wide, has_only_reader, known_shape, static_shape
from layoutopt.layout.analysis.convolutions import TYPES, channel_vector, compose_convolutions, convolution_of
from layoutopt.layout.costs.arithmetic import Work, work_of, work_of_elementwise, work_of_product
from layoutopt.passes.base import CostDrivenRewrite, NodeRewrite


@dataclass(frozen=True)
class MergeLinearChains(NodeRewrite, CostDrivenRewrite):
    """Compute two linear operators as one, where their product is cheaper.

    *Conv after Conv.* Both are linear in what they read, so their composition is a Conv: see `compose_convolutions`.
    Padding of the second reads zeros where the first would have gone on beyond the border; that is the same only if the
    first has one pixel, no padding and no bias, for then it is zero of zeros. Without padding of the second, any
    kernels will do.

    *MatMul after MatMul.* (x A + a) B is x (A B) + a B. Rows of a constant table that a Gather takes are rows of a
    product, too: Gather(T, i) A is Gather(T A, i), unless that makes the table larger.

    *Order.* Sigmoid is increasing, Softmax and LogSoftmax are along their axis, so an ArgMax, an ArgMin or the indices
    of a TopK are the same without. The values of a TopK and a ReduceMax or ReduceMin of a Sigmoid are the Sigmoid of
    those of its operand. Elements that only rounding makes equal are told apart then.

    What is between two operators must have no other reader.
    """

    since = 13  # brought Softmax as it is read here
    backwards = True

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Merge ``node`` with the operator that it reads, if that is possible and cheaper."""
        source = node.inputs[0] if node.inputs else None
        if node.domain != "" or source is None or not has_only_reader(graph, source):
            return False
        producer = source.producer()
        if producer is None or producer.graph is not graph or producer.domain != "" or not producer.inputs:
            return False
        if node.op_type == "Conv":
            return self._convolutions(graph, producer, node)
        if node.op_type == "MatMul":
            return self._products(graph, node)
        return _without_order(graph, producer, node)

    def _convolutions(self, graph: ir.Graph, before: ir.Node, after: ir.Node) -> bool:
        first, second = convolution_of(before), convolution_of(after)
        x, result = before.inputs[0], after.outputs[0]
        if first is None or second is None or x is None:
            return False
        source, between, shape = known_shape(x), known_shape(before.outputs[0]), known_shape(result)
        is_pointwise = prod(first.kernel) == 1 and not first.is_padded(source, between) and not first.bias.any()
        if second.is_padded(between, shape) and not is_pointwise:
            return False
        cost = first.work(source, between) + second.work(between, shape)
        groups, taps = gcd(first.groups, second.groups), max(prod(first.kernel), prod(second.kernel))
        least = work_of_product(prod(shape) // shape[1], source[1] // groups * taps, shape[1], groups=groups)
        if result.dtype is None or not self.is_worth(after, cost, least):  # before weights are worked out
            return False
        merged = compose_convolutions(first, second)
        if not merged.is_finite(result.dtype) or not self.is_worth(after, cost, merged.work(source, shape)):
            return False
        write = edit.Writer(graph, after, str(result.name), result.dtype)
        edit.replace_uses(graph, result, merged.write(write, x, shape))
        edit.remove_dead(after)
        return True

    def _products(self, graph: ir.Graph, node: ir.Node) -> bool:
        chain = _chain(graph, node)
        if chain is None or not self.is_worth(node, chain.before, chain.after):
            return False
        result = node.outputs[0]
        assert result.dtype is not None
        write = edit.Writer(graph, node, str(result.name), result.dtype)
        edit.replace_uses(graph, result, chain.write(write))
        edit.remove_dead(node)
        return True


# --- products ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Chain:
    """A product with a constant matrix of another such product, or of rows of a constant table.

    Attributes:
        node: the last product.
        head: the first product, or the Gather.
        table: its constant operand.
        matrix: the constant operand of the last product.
        row: what is added between them; None for nothing.
        before: what they cost.
    """

    node: ir.Node
    head: ir.Node
    table: Wide
    matrix: Wide
    row: Wide | None = None
    before: Work = field(default_factory=Work)

    @property
    def after(self) -> Work:
        """Return the cost of one product, or of one table, and of the bias."""
        shape = self.shape
        row = Work() if self.row is None else work_of_elementwise(shape, shape)
        if self.head.op_type == "Gather":
            return work_of_elementwise(shape, shape) + row
        return work_of_product(prod(shape[:-1]), len(self.table), shape[-1]) + row

    @property
    def shape(self) -> Shape:
        """Return the shape of the result."""
        return known_shape(self.node.outputs[0])

    def write(self, write: edit.Writer) -> ir.Value:
        """Return the result, computed by new nodes."""
        dtype = write.dtype.numpy()
        merged = write.constant((self.table @ self.matrix).astype(dtype))
        x, other = self.head.inputs[:2]
        operands = (merged, other) if self.head.op_type == "Gather" else (x, merged)
        y = write.again(self.head, self.shape, *operands)
        if self.row is None:
            return y
        return write("Add", self.shape, y, write.constant((self.row @ self.matrix).astype(dtype)))


def _chain(graph: ir.Graph, node: ir.Node) -> _Chain | None:
    """Return the chain that ends with the MatMul ``node``; None where there is none."""
    matrix, source, row = constant_operand(node, 1), node.inputs[0], None
    shape = static_shape(source)
    if matrix is None or matrix.ndim != 2 or source is None or node.outputs[0].dtype not in TYPES:
        return None
    if shape is None or len(shape) < 2:
        return None
    head, before = source.producer(), work_of(node)
    if head is not None and is_operator(head, "Add"):
        at = next((at for at in (0, 1) if constant_operand(head, at) is not None), None)
        array = constant_operand(head, at) if at is not None else None
        source = head.inputs[1 - at] if at is not None else None
        row = channel_vector(array, shape, len(shape) - 1) if array is not None else None
        if source is None or row is None or static_shape(source) != shape or not has_only_reader(graph, source):
            return None
        before, head = before + work_of(head), source.producer()
    if head is None or head.graph is not graph or static_shape(node.outputs[0]) is None:
        return None
    if is_operator(head, "Gather"):
        table = constant_operand(head, 0)
        if table is None or table.ndim != 2 or integer(head, "axis", 0) != 0 or matrix.shape[1] > table.shape[1]:
            return None
        return _Chain(node, head, table, matrix, row, before + work_of_elementwise(shape, shape))
    table = constant_operand(head, 1) if is_operator(head, "MatMul") else None
    if table is None or table.ndim != 2 or len(static_shape(head.inputs[0]) or ()) < 2:
        return None
    return _Chain(node, head, table, matrix, row, before + work_of(head))


# --- order -------------------------------------------------------------------------------------------------------

_EXTREMES = frozenset({"ArgMax", "ArgMin", "ReduceMax", "ReduceMin", "TopK"})
_SOFTMAX = frozenset({"Softmax", "LogSoftmax"})


def _without_order(graph: ir.Graph, function: ir.Node, node: ir.Node) -> bool:
    """Let an operator that only compares read the input of an increasing ``function``; return whether that was done."""
    x, shape = function.inputs[0], static_shape(function.outputs[0])
    if node.op_type not in _EXTREMES or x is None or shape is None or x.dtype not in TYPES:
        return False
    values = None if node.op_type.startswith("Arg") else node.outputs[0]
    is_read = values is not None and (bool(values.uses()) or values.is_graph_output())
    if function.op_type in _SOFTMAX:
        own, asked = axis_of(function, -1, len(shape)), axis_of(node, -1 if node.op_type == "TopK" else 0, len(shape))
        if is_read or own != asked:
            return False
    elif function.op_type != "Sigmoid" or (is_read and static_shape(values) is None):
        return False
    node.replace_input_with(0, x)
    if is_read:
        assert values is not None
        readers = list(values.uses())
        after = ir.node(function.op_type, [values])
        result = edit.insert_after(graph, values, after, known_shape(values), f"{values.name}_{function.op_type}")
        for use in readers:
            use.node.replace_input_with(use.idx, result)
        if values.is_graph_output():
            edit.replace_output(graph, list(graph.outputs).index(values), result)
    edit.remove_dead(function)
    return True
