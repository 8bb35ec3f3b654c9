"""Constants with their axes split, permuted and merged: large ones stay views until they are read."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from layoutopt.arrays import contiguous
from layoutopt.ir.perm import Perm
from layoutopt.ir.weights import is_large_tensor


def rearranged(tensor: ir.TensorProtocol, split: Sequence[int], perm: Perm, shape: Sequence[int]) -> ir.TensorProtocol:
    """Return ``tensor`` of shape ``split``, with its axes permuted, of shape ``shape``.

    A large one is rearranged each time that it is read: to a view if it can be, to a copy that is not kept if not.
    """

    def read() -> ir.TensorProtocol:
        array = tensor.numpy().reshape(split).transpose(perm)
        return ir.Tensor(array if array.shape == tuple(shape) else contiguous(array).reshape(shape), tensor.dtype)

    return ir.LazyTensor(read, tensor.dtype, ir.Shape(shape)) if is_large_tensor(tensor) else read()


def transposed(tensor: ir.TensorProtocol, perm: Perm) -> ir.TensorProtocol:
    """Return ``tensor`` with its axes permuted."""
    shape = tuple(tensor.shape.numpy())
    return rearranged(tensor, shape, perm, [shape[axis] for axis in perm])
