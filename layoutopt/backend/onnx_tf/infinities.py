"""Infinities among constants: the TFLite converter turns them into the largest finite numbers without a word.

So they go through the converter as the largest numbers but one, which no model has, and are put back in the .tflite.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layoutopt.tfl.schema import schema

_STAND_IN = np.nextafter(np.finfo(np.float32).max, np.float32(0))


def hidden(operand: Any) -> Any:
    """A float32 constant with stand-ins for infinities; anything else as it is."""
    if not isinstance(operand, np.ndarray) or operand.dtype != np.float32 or not np.isinf(operand).any():
        return operand
    return np.where(np.isinf(operand), np.copysign(_STAND_IN, operand), operand)


def restore(model: schema.ModelT) -> None:
    """Puts the infinities back into the constants of a .tflite."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT32 or data is None or not len(data):
                continue
            values = np.asarray(data, np.uint8).view(np.float32)
            stand_ins = np.abs(values) == _STAND_IN
            if stand_ins.any():
                infinite = np.where(stand_ins, np.copysign(np.float32(np.inf), values), values)
                model.buffers[tensor.buffer].data = infinite.view(np.uint8)
