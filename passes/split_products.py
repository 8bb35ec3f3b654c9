"""Splits a product whose result is only read in parts, so that each part is a product of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import is_operator
from layoutopt.ir.values import Array, Shape, constant_array, only_reader, static_shape
from layoutopt.layout.analysis.index_maps import Indices, element_sources
from layoutopt.passes.base import NodeRewrite


@dataclass(frozen=True)
class SplitProducts(NodeRewrite):
    """Split each MatMul with a constant matrix whose columns go different ways, with the bias after it.

    Such is the one product that makes queries, keys and values: apart, their weights can each absorb a layout and a
    factor, and the target neither cuts nor copies.
    """

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Split ``node`` if it is a product of which all is read in parts."""
        product = _product(graph, node)
        return product is not None and _split(graph, product)


@dataclass(frozen=True, slots=True)
class _Product:
    """``x @ matrix + bias``, a matrix that is made by ``node``.

    Attributes:
        node: the MatMul.
        result: the sum, or the product itself where there is no bias.
        matrix: of shape ``(rows, columns)``.
        bias: one number per column; None where nothing is added.
    """

    node: ir.Node
    result: ir.Value
    matrix: Array
    bias: Array | None


@dataclass(frozen=True, slots=True)
class _Part:
    """A value that holds some columns of a product.

    Attributes:
        value: the part.
        columns: of the product, in ascending order.
        sizes: the axes of the part in the order in which the product of those columns alone has them.
        perm: which of these each axis of the part is.
    """

    value: ir.Value
    columns: npt.NDArray[np.int64]
    sizes: Shape
    perm: tuple[int, ...]


def _product(graph: ir.Graph, node: ir.Node) -> _Product | None:
    if node.domain != "" or node.op_type != "MatMul":
        return None
    matrix, result = constant_array(node.inputs[1]), node.outputs[0]
    if matrix is None or matrix.ndim != 2 or static_shape(result) is None:
        return None
    reader = only_reader(graph, result)
    if reader is None or not is_operator(reader, "Add"):
        return _Product(node, result, matrix, None)
    other = reader.inputs[1] if reader.inputs[0] is result else reader.inputs[0]
    bias = constant_array(other)
    if bias is None or bias.shape[-1:] != matrix.shape[1:] or bias.size != matrix.shape[1]:
        return _Product(node, result, matrix, None)
    same = static_shape(reader.outputs[0]) == static_shape(result)
    return _Product(node, reader.outputs[0], matrix, bias.reshape(-1)) if same else None


def _split(graph: ir.Graph, product: _Product) -> bool:
    """Split ``product`` where that is possible; whether it was."""
    shape = static_shape(product.result)
    assert shape is not None
    found = [_part(value, indices, shape) for value, indices in _parts(graph, product.result, None)]
    parts = [part for part in found if part is not None]
    if len(parts) < 2 or len(parts) < len(found):
        return False
    columns = np.concatenate([part.columns for part in parts])
    if len(np.unique(columns)) < len(columns):
        return False
    for part in parts:
        edit.replace_uses(graph, part.value, _written(graph, product, part, shape[:-1]))
    for part in parts:
        producer = part.value.producer()
        assert producer is not None
        edit.remove_dead(producer)
    return True


def _parts(graph: ir.Graph, value: ir.Value, indices: Indices | None) -> Iterator[tuple[ir.Value, Indices | None]]:
    """Yield the parts of ``value``, each with its indices, if only views and a Split, Slices or Gathers read it.

    A part that is no part of ``value`` comes without indices.
    """
    readers = {use.node: None for use in value.uses()}
    if value.is_graph_output() or any(reader.graph is not graph for reader in readers):
        yield value, None
        return
    for reader in readers:
        for result in reader.outputs:
            own = element_sources(reader, result)
            if own is None:
                yield value, None
                return
            inner = own if indices is None else indices.reshape(-1)[own]
            if own.size < prod(static_shape(value) or ()):
                yield result, inner
            elif len(readers) == 1:
                yield from _parts(graph, result, inner)
            else:
                yield value, None


def _part(value: ir.Value, indices: Indices | None, shape: Shape) -> _Part | None:
    """Return the part of a product of ``shape`` at ``indices``; None unless it is all rows of some columns."""
    if indices is None:
        return None
    of_row, in_row = np.divmod(indices, shape[-1])
    taken_at_all = np.bincount(in_row.reshape(-1), minlength=shape[-1]) > 0
    rows, columns = prod(shape[:-1]), np.flatnonzero(taken_at_all)
    width = len(columns)
    if indices.size != rows * width:
        return None
    flat = of_row * width + (np.cumsum(taken_at_all) - 1)[in_row]
    strides = [int(flat.take(1, axis).reshape(-1)[0]) if size > 1 else 0 for axis, size in enumerate(flat.shape)]
    grid = sum(
        np.arange(size).reshape(-1, *[1] * (flat.ndim - 1 - axis)) * strides[axis]
        for axis, size in enumerate(flat.shape)
    )
    order = sorted(range(flat.ndim), key=lambda axis: -strides[axis])
    sizes = tuple(flat.shape[axis] for axis in order)
    if not np.array_equal(flat, np.broadcast_to(grid, flat.shape)) or np.bincount(flat.reshape(-1)).max() > 1:
        return None
    return _Part(value, columns, sizes, tuple(order.index(axis) for axis in range(flat.ndim)))


def _written(graph: ir.Graph, product: _Product, part: _Part, rows: Shape) -> ir.Value:
    x, dtype = product.node.inputs[0], part.value.dtype
    assert x is not None
    assert dtype is not None
    write = edit.Writer(graph, product.node, str(part.value.name), dtype)
    shape = (*rows, len(part.columns))
    result = write("MatMul", shape, x, write.constant(product.matrix[:, part.columns]))
    if product.bias is not None:
        result = write("Add", shape, result, write.constant(product.bias[part.columns]))
    return write.transposed(write.reshaped(result, part.sizes), part.perm)
