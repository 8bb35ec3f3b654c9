"""Questions about single values: shape, size, constant, readers. Questions about nodes belong to ``attributes``."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Shape = tuple[int, ...]
Array = npt.NDArray[np.generic]
Wide = npt.NDArray[np.float64]
"""Constants are worked on in double precision, and rounded once."""


def constant_of(value: ir.Value) -> ir.TensorProtocol | None:
    """Return the tensor that ``value`` always holds; None where it is computed, or where a caller can set it."""
    if value.is_graph_input():
        return None
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    is_constant = node is not None and node.op_type == "Constant"
    return ir.convenience.get_const_tensor(value) if is_constant else None


def is_constant(value: ir.Value) -> bool:
    """Return whether ``value`` is known offline and nobody outside can set it."""
    return constant_of(value) is not None


def constant_array(value: ir.Value | None) -> Array | None:
    """Return the elements that an operand always holds; None where it is empty or computed."""
    tensor = constant_of(value) if value is not None else None
    return None if tensor is None else tensor.numpy()


def wide_constant(value: ir.Value | None) -> Wide | None:
    """Return the elements that an operand always holds in double precision; None where it is empty or computed."""
    array = constant_array(value)
    return None if array is None else np.asarray(array, np.float64)


def static_shape(value: ir.Value | None) -> Shape | None:
    """Return the shape of an operand; None where it is empty, a size is not known, or there is no element."""
    if value is None or value.shape is None:
        return None
    dims = value.shape.dims
    return dims if {*map(type, dims)} <= {int} and 0 not in dims else None  # type: ignore[return-value]


def known_shape(value: ir.Value) -> Shape:
    """Return the shape of a ``value`` that was found to be static before.

    Raises:
        ValueError: it is not static.
    """
    if (shape := static_shape(value)) is None:
        raise ValueError(f"the shape of {value.name!r} is not static")
    return shape


def bits_of(value: ir.Value) -> int:
    """Return the bits per element of ``value``; elements of no fixed size count as 32."""
    return value.dtype.bitwidth if value.dtype not in (None, ir.DataType.UNDEFINED, ir.DataType.STRING) else 32


def tensor_bytes(shape: Iterable[int], bits: int) -> int:
    """Return the bytes of a tensor of ``shape`` whose elements have ``bits`` each, packed and rounded up."""
    return -(-prod(shape) * bits // 8)


def size_in_bytes(value: ir.Value) -> int:
    """Return the bytes that a ``value`` of static shape takes."""
    return tensor_bytes(known_shape(value), bits_of(value))


def only_reader(graph: ir.Graph, value: ir.Value) -> ir.Node | None:
    """Return the node of ``graph`` that reads ``value``, once; None where anything else reads it too."""
    users = [use.node for use in value.uses()]
    return users[0] if len(users) == 1 and users[0].graph is graph and not value.is_graph_output() else None


def has_only_reader(graph: ir.Graph, value: ir.Value) -> bool:
    """Return whether one operand of one node of ``graph`` is ``value``, and nothing else reads it."""
    return only_reader(graph, value) is not None
