"""TensorFlow's spelling of each builtin operator: what the TFLite converter makes that operator of again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from layoutopt.backend.onnx_tf.fake_quantization import replay_dequantize, replay_quantize
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Operation

Operand: TypeAlias = "Array | tf.Tensor"
"""A constant is an array."""
Spelling: TypeAlias = "Callable[[Call], Any]"
"""Returns what an operator computes: one result, or a sequence of them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that is to be replayed.

    Attributes:
        operation: as it was recorded.
        operands: as TensorFlow has them; None for an optional one that is left out.
        run: replays a body on its operands.
    """

    operation: Operation
    operands: Sequence[Operand | None]
    run: Callable[[Graph, Sequence[Operand]], list[tf.Tensor]]

    def __getitem__(self, index: int) -> Any:
        """Return an operand, whose static type would be in the way."""
        return self.operands[index] if index < len(self.operands) else None

    def __call__(self, name: str) -> Any:
        """Return the option ``name``."""
        return self.operation.options[name]

    @property
    def dtype(self) -> tf.DType:
        """Element type of the first result."""
        return tf.as_dtype(self.operation.results[0].dtype.numpy)

    def dtype_of(self, option: str) -> tf.DType:
        """Return the element type that an option names."""
        return tf.as_dtype(DType(self(option)).numpy)


def _plain(function: Callable[..., Any]) -> Spelling:
    """Return a function of the operands in their order."""
    return lambda call: function(*call.operands)


def _reduction(function: Callable[..., Any]) -> Spelling:
    return lambda call: function(call[0], call[1], keepdims=call("keep_dims"))


# --- windows -------------------------------------------------------------------------------------------------------


def _with_bias(y: tf.Tensor, bias: Operand | None) -> tf.Tensor:
    """Return a bias, or None for zeros: the converter gives a bias to every kernel that needs one."""
    if bias is None or (isinstance(bias, np.ndarray) and not bias.any()):
        return y
    return tf.nn.bias_add(y, bias)


def _permuted(operand: Any, perm: Sequence[int]) -> Any:
    return operand.transpose(perm) if isinstance(operand, np.ndarray) else tf.transpose(operand, perm)


def _plane(call: Call, name: str) -> list[int]:
    return [call(name.format("h")), call(name.format("w"))]


_STRIDE, _DILATION = "stride_{}", "dilation_{}_factor"


def _conv_2d(call: Call) -> tf.Tensor:
    # Groups follow from the shapes: a filter with C / group input channels makes one grouped CONV_2D.
    filters = _permuted(call[1], (1, 2, 3, 0))
    y = tf.nn.conv2d(call[0], filters, _plane(call, _STRIDE), call("padding"), dilations=_plane(call, _DILATION))
    return _with_bias(y, call[2])


def _depthwise_conv_2d(call: Call) -> tf.Tensor:
    """Use the raw operator: `tf.nn.depthwise_conv2d` writes dilations as SPACE_TO_BATCH_ND."""
    x, filters = call[0], call[1]
    _, height, width, outputs = filters.shape
    shape = (height, width, x.shape[3], outputs // x.shape[3])
    y = tf.raw_ops.DepthwiseConv2dNative(
        input=x,
        filter=filters.reshape(shape) if isinstance(filters, np.ndarray) else tf.reshape(filters, shape),
        strides=[1, *_plane(call, _STRIDE), 1],
        dilations=[1, *_plane(call, _DILATION), 1],
        padding=call("padding"),
    )
    return _with_bias(y, call[2])


def _transpose_conv(call: Call) -> tf.Tensor:
    filters = _permuted(call[1], (1, 2, 0, 3))
    y = tf.nn.conv2d_transpose(call[2], filters, call[0], _plane(call, _STRIDE), call("padding"))
    return _with_bias(y, call[3])


def _conv_3d(call: Call) -> tf.Tensor:
    strides, dilations = _volume(call)
    return _with_bias(tf.nn.conv3d(call[0], call[1], strides, call("padding"), dilations=dilations), call[2])


def _conv_3d_transpose(call: Call) -> tf.Tensor:
    strides, dilations = _volume(call)
    y = tf.nn.conv3d_transpose(call[2], call[1], call[0], strides, call("padding"), dilations=dilations)
    return _with_bias(y, call[3])


def _volume(call: Call) -> tuple[list[int], list[int]]:
    """Return strides and dilations."""
    strides, dilations = ([call(name.format(axis)) for axis in "dhw"] for name in (_STRIDE, _DILATION))
    return [1, *strides, 1], [1, *dilations, 1]


def _pool(function: Callable[..., Any]) -> Spelling:
    def pooled(call: Call) -> tf.Tensor:
        kernel = [call("filter_height"), call("filter_width")]
        return function(call[0], kernel, _plane(call, _STRIDE), call("padding"))

    return pooled


def _resize(function: Callable[..., Any]) -> Spelling:
    return lambda call: function(
        images=call[0],
        size=call[1],
        align_corners=call("align_corners"),
        half_pixel_centers=call("half_pixel_centers"),
    )


# --- products ------------------------------------------------------------------------------------------------------


def _fully_connected(call: Call) -> tf.Tensor:
    x, weights, bias = call[0], call[1], call[2]
    if not call("keep_num_dims") and len(x.shape) != 2:
        x = tf.reshape(x, [-1, weights.shape[1]])
    return _with_bias(tf.matmul(x, weights, transpose_b=True), bias)


def _batch_matmul(call: Call) -> tf.Tensor:
    return tf.raw_ops.BatchMatMulV2(x=call[0], y=call[1], adj_x=call("adj_x"), adj_y=call("adj_y"))


# --- elements ------------------------------------------------------------------------------------------------------


def _relu_n1_to_1(x: Operand) -> tf.Tensor:
    return tf.maximum(tf.minimum(x, 1.0), -1.0)


def _prelu(x: Operand, slope: Any) -> tf.Tensor:
    """Return the converter knows a slope by its negative, if that is a constant."""
    if not isinstance(slope, np.ndarray):
        return tf.nn.relu(x) + slope * tf.minimum(x, 0)
    return tf.nn.relu(x) + -slope * tf.nn.relu(tf.negative(x))


def _softmax(call: Call) -> tf.Tensor:
    """Write ``beta`` as a product, since TensorFlow's Softmax knows nothing of it."""
    return tf.nn.softmax(call[0] if call("beta") == 1 else call[0] * np.float32(call("beta")))


def _divide(a: Any, b: Operand) -> tf.Tensor:
    """Return integers towards zero, as DIV has it."""
    return tf.divide(a, b) if tf.as_dtype(a.dtype).is_floating else tf.raw_ops.Div(x=a, y=b)


ACTIVATIONS: Mapping[str, Callable[[Operand], tf.Tensor]] = {
    "RELU": tf.nn.relu,
    "RELU6": tf.nn.relu6,
    "RELU_N1_TO_1": _relu_n1_to_1,
}
"""Those that are fused into an operator, by their names in the schema."""


# --- shapes --------------------------------------------------------------------------------------------------------


def _strided_slice(call: Call) -> tf.Tensor:
    masks = {f"{name}_mask": call(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    return tf.raw_ops.StridedSlice(input=call[0], begin=call[1], end=call[2], strides=call[3], **masks)


def _squeeze(call: Call) -> tf.Tensor:
    dims = call("squeeze_dims")
    return tf.squeeze(call[0], None if dims is None else [int(axis) for axis in dims])


def _padded(x: Operand, paddings: Operand, value: Any) -> tf.Tensor:
    return tf.raw_ops.PadV2(input=x, paddings=paddings, constant_values=tf.reshape(value, ()))


def _non_max_suppression(*operands: Operand) -> Sequence[tf.Tensor]:
    boxes, scores, count, overlap, score = operands
    found: Sequence[tf.Tensor] = tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=tf.reshape(count, ()),
        iou_threshold=tf.reshape(overlap, ()),
        score_threshold=tf.reshape(score, ()),
        pad_to_max_output_size=True,
    )
    return found


# --- control flow --------------------------------------------------------------------------------------------------


def _cast(call: Call) -> tf.Tensor:
    if call[0].dtype != call.dtype:
        return tf.cast(call[0], call.dtype)
    line = tf.reshape(call[0], [-1])  # a copy that a loop needs, which TensorFlow would drop as a Cast
    return tf.reshape(tf.gather(line, tf.range(tf.size(line))), tf.shape(call[0]))


def _if(call: Call) -> Sequence[tf.Tensor]:
    given = _tensors(call.operands[1:])
    then, otherwise = (_function(call, body, given) for body in call.operation.bodies)
    stateless = not _is_stateful(then) and not _is_stateful(otherwise)
    found: Sequence[tf.Tensor] = (tf.raw_ops.StatelessIf if stateless else tf.raw_ops.If)(
        cond=tf.reshape(call[0], ()),
        input=given,
        Tout=[tf.as_dtype(result.dtype.numpy) for result in call.operation.results],
        then_branch=then,
        else_branch=otherwise,
        output_shapes=_shapes(call),
    )
    return found


def _while(call: Call) -> Sequence[tf.Tensor]:
    """Use the raw operator: `tf.while_loop` counts the rounds, for gradients, which is not always without cost."""
    start = _tensors(call.operands)
    condition, body = (_function(call, each, start, _shapes(call)) for each in call.operation.bodies)
    stateless = not _is_stateful(condition) and not _is_stateful(body)
    found: Sequence[tf.Tensor] = (tf.raw_ops.StatelessWhile if stateless else tf.raw_ops.While)(
        input=start, cond=condition, body=body, output_shapes=_shapes(call)
    )
    return found


def _tensors(operands: Sequence[Operand | None]) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(operand) for operand in operands]


def _shapes(call: Call) -> list[tf.TensorShape]:
    return [tf.TensorShape(result.shape) for result in call.operation.results]


def _function(
    call: Call, body: Graph, operands: Sequence[tf.Tensor], shapes: Sequence[tf.TensorShape] | None = None
) -> tf.types.experimental.ConcreteFunction:
    """Return a body as a function of operands of these types, and of ``shapes`` where those are not the operands'."""
    held = [operand.shape for operand in operands] if shapes is None else shapes
    specs = [tf.TensorSpec(shape, operand.dtype) for operand, shape in zip(operands, held, strict=True)]
    return tf.function(lambda *given: call.run(body, given), autograph=False).get_concrete_function(*specs)


def _is_stateful(function: tf.types.experimental.ConcreteFunction) -> bool:
    return any(operation.op_def.is_stateful for operation in function.graph.get_operations())


# --- the table -----------------------------------------------------------------------------------------------------

TENSORFLOW_OPERATORS: Mapping[str, Spelling] = {
    "ABS": _plain(tf.abs),
    "ADD": _plain(tf.add),
    "ARG_MAX": lambda call: tf.raw_ops.ArgMax(input=call[0], dimension=call[1], output_type=call.dtype),
    "ARG_MIN": lambda call: tf.raw_ops.ArgMin(input=call[0], dimension=call[1], output_type=call.dtype),
    "ATAN2": _plain(tf.atan2),
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "BATCH_MATMUL": _batch_matmul,
    "BITCAST": lambda call: tf.bitcast(call[0], call.dtype),
    "BITWISE_XOR": _plain(tf.bitwise.bitwise_xor),
    "BROADCAST_TO": _plain(tf.broadcast_to),
    "CAST": _cast,
    "CEIL": _plain(tf.math.ceil),
    "CONCATENATION": lambda call: tf.concat(call.operands, call("axis")),
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _conv_3d_transpose,
    "COS": _plain(tf.cos),
    "CUMSUM": lambda call: tf.cumsum(call[0], call[1], call("exclusive"), call("reverse")),
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DEPTH_TO_SPACE": lambda call: tf.nn.depth_to_space(call[0], call("block_size")),
    "DEQUANTIZE": lambda call: replay_dequantize(call.operation, call[0]),
    "DIV": _plain(_divide),
    "DYNAMIC_UPDATE_SLICE": _plain(gen_xla_ops.xla_dynamic_update_slice),
    "ELU": _plain(tf.nn.elu),
    "EQUAL": _plain(tf.equal),
    "EXP": _plain(tf.exp),
    "EXPAND_DIMS": _plain(tf.expand_dims),
    "FILL": _plain(tf.fill),
    "FLOOR": _plain(tf.floor),
    "FLOOR_DIV": _plain(tf.math.floordiv),
    "FLOOR_MOD": _plain(tf.math.floormod),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": lambda call: tf.gather(call[0], call[1], axis=call("axis"), batch_dims=call("batch_dims")),
    "GATHER_ND": _plain(tf.gather_nd),
    "GELU": lambda call: tf.nn.gelu(call[0], call("approximate")),
    "GREATER": _plain(tf.greater),
    "GREATER_EQUAL": _plain(tf.greater_equal),
    "HARD_SWISH": lambda call: call[0] * tf.nn.relu6(call[0] + 3) * np.float32(1 / 6),
    "IF": _if,
    "LEAKY_RELU": lambda call: tf.nn.leaky_relu(call[0], call("alpha")),
    "LESS": _plain(tf.less),
    "LESS_EQUAL": _plain(tf.less_equal),
    "LOCAL_RESPONSE_NORMALIZATION": lambda call: tf.nn.local_response_normalization(
        call[0], call("radius"), call("bias"), call("alpha"), call("beta")
    ),
    "LOG": _plain(tf.math.log),
    "LOGICAL_AND": _plain(tf.logical_and),
    "LOGICAL_NOT": _plain(tf.logical_not),
    "LOGICAL_OR": _plain(tf.logical_or),
    "LOGISTIC": _plain(tf.sigmoid),
    "LOG_SOFTMAX": _plain(tf.nn.log_softmax),
    "MAXIMUM": _plain(tf.maximum),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": _reduction(tf.reduce_mean),
    "MINIMUM": _plain(tf.minimum),
    "MIRROR_PAD": lambda call: tf.pad(call[0], call[1], call("mode")),
    "MUL": _plain(tf.multiply),
    "NEG": _plain(tf.negative),
    "NON_MAX_SUPPRESSION_V4": _plain(_non_max_suppression),
    "NOT_EQUAL": _plain(tf.not_equal),
    "ONE_HOT": lambda call: tf.one_hot(call[0], call[1], call[2], call[3], call("axis")),
    "PACK": lambda call: tf.stack(call.operands, call("axis")),
    "PAD": _plain(tf.pad),
    "PADV2": _plain(_padded),
    "POW": _plain(tf.pow),
    "PRELU": _plain(_prelu),
    "QUANTIZE": lambda call: replay_quantize(call.operation, call[0]),
    "RANGE": _plain(tf.range),
    "REDUCE_ALL": _reduction(tf.reduce_all),
    "REDUCE_ANY": _reduction(tf.reduce_any),
    "REDUCE_MAX": _reduction(tf.reduce_max),
    "REDUCE_MIN": _reduction(tf.reduce_min),
    "REDUCE_PROD": _reduction(tf.reduce_prod),
    "RELU": _plain(tf.nn.relu),
    "RELU6": _plain(tf.nn.relu6),
    "RELU_N1_TO_1": _plain(_relu_n1_to_1),
    "RESHAPE": _plain(tf.reshape),
    "RESIZE_BILINEAR": _resize(tf.raw_ops.ResizeBilinear),
    "RESIZE_NEAREST_NEIGHBOR": _resize(tf.raw_ops.ResizeNearestNeighbor),
    "REVERSE_SEQUENCE": lambda call: tf.reverse_sequence(call[0], call[1], call("seq_dim"), call("batch_dim")),
    "REVERSE_V2": _plain(tf.reverse),
    "RIGHT_SHIFT": _plain(tf.bitwise.right_shift),
    "ROUND": _plain(tf.round),
    "RSQRT": _plain(tf.math.rsqrt),
    "SCATTER_ND": _plain(tf.scatter_nd),
    "SELECT_V2": _plain(tf.where),
    "SHAPE": lambda call: tf.shape(call[0], call.dtype),
    "SIGN": _plain(tf.sign),
    "SIN": _plain(tf.sin),
    "SLICE": _plain(tf.slice),
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": lambda call: tf.nn.space_to_depth(call[0], call("block_size")),
    "SPLIT": lambda call: tf.split(call[1], call("num_splits"), call[0]),
    "SPLIT_V": lambda call: tf.split(call[0], call[1], call[2], call("num_splits")),
    "SQRT": _plain(tf.sqrt),
    "SQUARE": _plain(tf.square),
    "SQUARED_DIFFERENCE": _plain(tf.math.squared_difference),
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _plain(tf.subtract),
    "SUM": _reduction(tf.reduce_sum),
    "TANH": _plain(tf.tanh),
    "TILE": _plain(tf.tile),
    "TOPK_V2": _plain(lambda x, count: tf.math.top_k(x, tf.reshape(count, ()))),
    "TRANSPOSE": _plain(tf.transpose),
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIQUE": lambda call: tf.unique(call[0], call.dtype_of("idx_out_type")),
    "UNPACK": lambda call: tf.unstack(call[0], call("num"), call("axis")),
    "UNSORTED_SEGMENT_MAX": _plain(tf.math.unsorted_segment_max),
    "UNSORTED_SEGMENT_MIN": _plain(tf.math.unsorted_segment_min),
    "UNSORTED_SEGMENT_PROD": _plain(tf.math.unsorted_segment_prod),
    "UNSORTED_SEGMENT_SUM": _plain(tf.math.unsorted_segment_sum),
    "WHERE": _plain(tf.where),
    "WHILE": _while,
}
"""By the codes of the operators; as many as `layoutopt.tfl.opset.OPSET` has."""
