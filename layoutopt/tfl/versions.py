"""The version of each operator: the first one whose kernels know the types, ranks and options that an operation has.

A version that a runtime does not know keeps it from loading the file, so none is higher than it needs to be. Rules are
told per operator, the first that holds goes; an operator without any has version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value

Condition: TypeAlias = "Callable[[Operation], bool]"
Versions: TypeAlias = "Sequence[tuple[int, Condition]]"


def version_of(operation: Operation) -> int:
    """Return the least version that has what an operation needs."""
    rules = VERSIONS.get(operation.code, ())
    return next((version for version, holds in rules if holds(operation)), 1)


# --- conditions ----------------------------------------------------------------------------------------------------


def _dtype(value: Value | None) -> DType | None:
    return None if value is None else value.dtype


def _takes(*dtypes: DType, at: int = 0) -> Condition:
    """Return the condition that an operand is of one of the types."""
    return lambda operation: _dtype(operation.operand(at)) in dtypes


def _gives(*dtypes: DType) -> Condition:
    """Return the condition that the first result is of one of the types."""
    return lambda operation: operation.results[0].dtype in dtypes


def _converts(*dtypes: DType) -> Condition:
    """Return the condition that the first operand or the first result is of one of the types."""
    return _any(_takes(*dtypes), _gives(*dtypes))


def _weighs(x: DType, weights: DType) -> Condition:
    """Return the condition that operand 0 and the result are of the first type, and operand 1 is of the second."""
    return _all(_takes(x), _takes(weights, at=1), _gives(x))


def _says(option: str, *values: object) -> Condition:
    """Return the condition that an option is one of the values, or unless some are given, anything but false and 0."""
    return lambda operation: operation.options[option] in values if values else bool(operation.options[option])


def _is_set(option: str, default: str) -> Condition:
    """Return the condition that an option is another member of its enumeration than the default."""
    return lambda operation: operation.options[option] != default


def _rank(value: Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _rank_above(limit: int) -> Condition:
    """Return the condition that the first operand has more axes."""
    return lambda operation: _rank(operation.operand(0)) > limit


def _all(*conditions: Condition) -> Condition:
    return lambda operation: all(holds(operation) for holds in conditions)


def _any(*conditions: Condition) -> Condition:
    return lambda operation: any(holds(operation) for holds in conditions)


def _not(condition: Condition) -> Condition:
    return lambda operation: not condition(operation)


def _always(_: Operation) -> bool:
    return True


def _broadcasts_above(limit: int) -> Condition:
    """Return the condition that two operands of different shapes have more axes."""

    def holds(operation: Operation) -> bool:
        a, b = operation[0], operation[1]
        return a.shape != b.shape and max(_rank(a), _rank(b)) > limit

    return holds


def _is_quantized(operation: Operation) -> bool:
    """Return whether operand 0 stands for real numbers."""
    return operation[0].quantization is not None


def _has_scale_per_channel(axis: int) -> Condition:
    """Return the condition that the weights, operand 1, have as many scales as indices along an axis."""

    def holds(operation: Operation) -> bool:
        weights = operation[1]
        return (
            weights.quantization is not None
            and weights.shape is not None
            and len(weights.quantization.scales) == weights.shape[axis]
        )

    return holds


def _has_several_scales(value: Value) -> bool:
    return value.quantization is not None and len(value.quantization.scales) > 1


def _is_grouped(operation: Operation) -> bool:
    """Return whether filters see some of the channels only."""
    x, filters = operation[0], operation[1]
    return bool(x.shape and filters.shape) and x.shape[3] != filters.shape[3]  # type: ignore[index]


def _is_dilated(operation: Operation) -> bool:
    return any(operation.options[f"dilation_{axis}_factor"] != 1 for axis in "hw")


def _scales_up(operation: Operation) -> bool:
    """Return whether one step of both operands is a step of the result or more."""
    tensors = (operation[0], operation[1], operation.results[0])
    if any(tensor.quantization is None or not tensor.quantization.scales for tensor in tensors):
        return False
    a, b, y = (tensor.quantization.scales[0] for tensor in tensors if tensor.quantization is not None)
    return a * b / y >= 1


def _has_bias(at: int) -> Condition:
    return lambda operation: operation.operand(at) is not None


def _has_operands(count: int) -> Condition:
    return lambda operation: len(operation.operands) == count


# --- rules ---------------------------------------------------------------------------------------------------------

_B, _S = DType.BOOL, DType.STRING
_I2, _I4, _U4 = DType.INT2, DType.INT4, DType.UINT4
_I8, _U8, _I16, _U16 = DType.INT8, DType.UINT8, DType.INT16, DType.UINT16
_I32, _U32, _I64 = DType.INT32, DType.UINT32, DType.INT64
_F16, _BF16, _F32, _F64 = DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64

_int8: Versions = ((2, _takes(_I8)),)
_int8_int16: Versions = ((3, _takes(_I16)), *_int8)
_bias_type = _is_set("quantized_bias_type", "FLOAT32")

_arg_extreme: Versions = ((3, _takes(_B)), *_int8)
_minimum: Versions = ((4, _takes(_I16)), (3, _broadcasts_above(4)), *_int8)
_pad: Versions = ((5, _takes(_B)), (4, _rank_above(4)), *_int8_int16)
_either_small: Versions = ((2, _takes(_I8, _I16)),)
_batch_and_space: Versions = ((4, _takes(_I16)), (3, lambda operation: _rank(operation[0]) != 4), *_int8)

VERSIONS: Mapping[str, Versions] = {
    "ABS": (
        (5, _takes(_I32)),
        (3, _all(_takes(_I16), _is_quantized)),
        (4, _takes(_I16)),
        (2, _takes(_I8, _U8)),
    ),
    "ADD": (
        (6, _takes(_F16)),
        (5, _all(_takes(_I16), _not(_is_quantized))),
        (4, _takes(_I64)),
        (3, _all(_takes(_I16), _not(_says("pot_scale_int16")))),
        *_int8,
    ),
    "ARG_MAX": _arg_extreme,
    "ARG_MIN": _arg_extreme,
    "AVERAGE_POOL_2D": _int8_int16,
    "BATCH_MATMUL": (
        *_int8_int16,
        (4, _all(_weighs(_F32, _I8), _says("asymmetric_quantize_inputs"))),
    ),
    "BATCH_TO_SPACE_ND": _batch_and_space,
    "BROADCAST_TO": ((3, _takes(_I8, _I16)), (2, _always)),
    "CAST": (
        (8, _converts(_I2, _U4)),
        (7, _converts(_BF16)),
        (6, _all(_takes(_I4), _gives(_F32))),
        (5, _converts(_F64, _F16)),
        (4, _converts(_U16)),
        (3, _converts(_I8)),
        (2, _converts(_U32)),
    ),
    "CONCATENATION": ((5, _takes(_I4)), (4, _takes(_U32)), *_int8_int16),
    "CONV_2D": (
        (8, _all(_weighs(_I16, _I8), _bias_type)),
        (6, _is_grouped),
        (4, _weighs(_I16, _I16)),
        (3, _weighs(_I8, _I8)),
        (7, _weighs(_I8, _I4)),
        (5, _all(_weighs(_F32, _I8), _has_scale_per_channel(0))),
        (2, _weighs(_F32, _I8)),
    ),
    "DEPTHWISE_CONV_2D": (
        (5, _weighs(_I16, _I16)),
        (6, _all(_weighs(_F32, _I8), _has_scale_per_channel(3))),
        (4, _weighs(_F32, _I8)),
        (3, _weighs(_I8, _I8)),
        (7, _weighs(_I8, _I4)),
        (2, _is_dilated),
    ),
    "DEPTH_TO_SPACE": _int8,
    "DEQUANTIZE": (
        (8, _takes(_U4)),
        (7, _takes(_I2)),
        (6, _takes(_I4)),
        (3, _takes(_I16, _F16)),
        (5, _all(_takes(_I8), lambda operation: _has_several_scales(operation[0]))),
        *_int8,
    ),
    "DIV": ((2, _broadcasts_above(4)),),
    "DYNAMIC_UPDATE_SLICE": (
        (6, _takes(_BF16)),
        (5, _takes(_I4)),
        (4, _takes(_I16)),
        (3, _takes(_F16)),
        (2, _takes(_I64, at=2)),
    ),
    "EMBEDDING_LOOKUP": ((4, _any(_takes(_I4, at=1), _has_scale_per_channel(0))), (5, _takes(_I2, at=1))),
    "EQUAL": ((5, _takes(_I16)), (3, _takes(_S)), *_int8),
    "EXP": _either_small,
    "FAKE_QUANT": ((2, _says("narrow_range")),),
    "FILL": ((4, _takes(_F16, at=1)), (3, _takes(_I8, _I16, at=1)), (2, _takes(_B, _S, at=1))),
    "FLOOR_DIV": ((3, _takes(_I16, _I8)), (2, _takes(_F32))),
    "FLOOR_MOD": _either_small,
    "FULLY_CONNECTED": (
        (14, _takes(_I2, at=1)),
        (13, _weighs(_I16, _I4)),
        (12, _all(_any(_weighs(_F32, _I8), _weighs(_F32, _I4)), _has_scale_per_channel(0))),
        (11, _all(_weighs(_I16, _I8), _bias_type)),
        (7, _weighs(_I16, _I16)),
        (6, _has_operands(2)),
        (5, _says("keep_num_dims")),
        (4, _weighs(_I8, _I8)),
        (10, _weighs(_I8, _I4)),
        (9, _all(_weighs(_F32, _I8), _says("asymmetric_quantize_inputs"))),
        (3, _weighs(_F32, _I8)),
        (2, _says("weights_format", "SHUFFLED4x16INT8")),
    ),
    "GATHER": (
        (7, _takes(_I4)),
        (6, _takes(_I16, at=1)),
        (5, _says("batch_dims")),
        (4, _takes(_I16)),
        (3, _takes(_B)),
        *_int8,
    ),
    "GATHER_ND": ((5, _takes(_B)), (4, _takes(_I16, at=1)), (3, _takes(_I16)), (2, _takes(_S))),
    "GELU": ((2, _takes(_I8, _U8)),),
    "GREATER": _int8,
    "GREATER_EQUAL": _int8_int16,
    "L2_NORMALIZATION": _int8,
    "LEAKY_RELU": ((2, _takes(_I16)),),
    "LESS": _int8_int16,
    "LESS_EQUAL": _int8,
    "LOG": _either_small,
    "LOGISTIC": _int8_int16,
    "LOG_SOFTMAX": _int8,
    "LSTM": (
        (5, _all(_says("kernel_type", 0), _takes(_I16), _takes(_I8, at=2))),
        (4, _all(_says("kernel_type", 0), _takes(_F32), _takes(_I8, at=2), _says("asymmetric_quantize_inputs"))),
        (3, _all(_says("kernel_type", 0), _takes(_F32), _takes(_I8, at=2))),
        (2, _says("kernel_type", 1)),
    ),
    "MAXIMUM": _minimum,
    "MAX_POOL_2D": _int8_int16,
    "MEAN": _int8_int16,
    "MINIMUM": _minimum,
    "MIRROR_PAD": _int8_int16,
    "MUL": (
        (8, _takes(_F16)),
        (7, _any(_takes(_U32), _all(_takes(_I16), _not(_is_quantized)))),
        (6, _takes(DType.COMPLEX64)),
        (5, _takes(_I64)),
        (4, _takes(_I16)),
        (3, _scales_up),
        *_int8,
    ),
    "NOT_EQUAL": ((4, _takes(_I16)), (3, _takes(_S)), *_int8),
    "PACK": ((2, _takes(_I8)), (3, _takes(_I16)), (4, _takes(_U32))),
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": (
        (5, _converts(_U4)),
        (4, _converts(_I4)),
        (3, lambda operation: _has_several_scales(operation.results[0])),
        (2, _gives(_I16)),
    ),
    "RANGE": ((2, _takes(_I64)),),
    "REDUCE_MAX": _int8_int16,
    "REDUCE_MIN": _int8_int16,
    "REDUCE_PROD": _either_small,
    "RELU": ((3, _takes(_I16)), (2, _takes(_I8, _U8))),
    "RELU6": _int8_int16,
    "RESIZE_BILINEAR": ((4, _takes(_I16)), (3, _says("half_pixel_centers")), *_int8),
    "RESIZE_NEAREST_NEIGHBOR": (
        (4, _takes(_I16)),
        (3, _any(_says("half_pixel_centers"), _says("align_corners"))),
        *_int8,
    ),
    "REVERSE_V2": ((3, _takes(_I8)), (2, _takes(_B))),
    "RSQRT": _int8_int16,
    "SELECT": (
        (4, _takes(_U32)),
        (3, lambda operation: any(_rank(operation[at]) == 5 for at in range(3))),
        *_int8,
    ),
    "SELECT_V2": ((2, _takes(_U32)),),
    "SIGN": ((2, _takes(_I32)),),
    "SLICE": (
        (7, _takes(_I4)),
        (6, _takes(_U32)),
        (5, _rank_above(4)),
        (4, _takes(_I16)),
        (3, _takes(_S)),
        *_int8,
    ),
    "SOFTMAX": _int8_int16,
    "SPACE_TO_BATCH_ND": _batch_and_space,
    "SPACE_TO_DEPTH": _int8,
    "SPARSE_TO_DENSE": ((3, _takes(_I8, _U8, at=2)), (2, _takes(_I64, at=2))),
    "SPLIT": ((4, _takes(_I16, at=1)), (3, _takes(_I32, at=1)), (2, _takes(_I8, at=1))),
    "SPLIT_V": _int8,
    "SQRT": _either_small,
    "SQUARED_DIFFERENCE": _int8,
    "SQUEEZE": ((2, _takes(_S)),),
    "STRIDED_SLICE": (
        (8, _says("offset")),
        (7, _takes(_U32)),
        (6, _any(_says("ellipsis_mask"), _says("new_axis_mask"))),
        (5, _takes(_S)),
        (4, _rank_above(4)),
        (3, _takes(_B)),
        *_int8,
    ),
    "SUB": (
        (5, _all(_takes(_I16), _not(_says("pot_scale_int16")))),
        (4, _takes(_I64)),
        (3, _broadcasts_above(4)),
        *_int8,
    ),
    "SUM": _int8,
    "SVDF": (
        (3, _takes(_I8)),
        (4, _all(_weighs(_F32, _I8), _says("asymmetric_quantize_inputs"))),
        (2, _weighs(_F32, _I8)),
    ),
    "TANH": _int8_int16,
    "TILE": ((3, _takes(_I8)), (2, _takes(_S))),
    "TOPK_V2": ((3, _any(_takes(_I16), _takes(_I16, at=1))), *_int8),
    "TRANSPOSE": (
        (8, _any(_rank_above(6), _takes(_BF16))),
        (7, _takes(_I4)),
        (6, _rank_above(5)),
        (5, _takes(_I16)),
        (4, _rank_above(4)),
        (3, _takes(_B)),
        *_int8,
    ),
    "TRANSPOSE_CONV": (
        (5, _all(_takes(_I16, at=2), _takes(_I8, at=1), _bias_type)),
        (4, _is_set("fused_activation_function", "NONE")),
        (3, _has_bias(3)),
        (2, _takes(_I8, at=1)),
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        (5, _all(_takes(_I16), _takes(_I8, at=2))),
        (4, _says("diagonal_recurrent_tensors")),
        (3, _all(_takes(_F32), _takes(_I8, at=2), _says("asymmetric_quantize_inputs"))),
        (2, _all(_takes(_F32), _takes(_I8, at=2))),
    ),
    "UNPACK": ((2, _takes(_I8, _U8)), (3, _takes(_B)), (4, _takes(_I16)), (5, _takes(_F16, _BF16))),
    "WHERE": ((2, _not(_takes(_B))),),
}
"""By the operators' names in the schema: versions with what makes an operation need one, the strongest need first."""
