"""What loops are built from: WHILE with accumulators of static shape, or the steps one after the other."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from layoutopt.backend.onnx_tf.handlers.node import Operand, shape_of


def written_at(value: Operand, part: Operand, start: Operand) -> Operand:
    """``value`` with ``part`` from element ``start`` of the first axis on: DYNAMIC_UPDATE_SLICE."""
    starts = tf.stack([tf.cast(start, tf.int32), *[np.int32(0)] * (len(shape_of(value)) - 1)])
    return gen_xla_ops.xla_dynamic_update_slice(value, part, starts)
