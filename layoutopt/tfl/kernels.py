"""Element types that LiteRT's own kernels take of each operator, as ``benchmarks/results/kernel_limits.json`` has them.

XNNPACK adds halves on processors that compute with them, which is not told here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layoutopt.tfl.dtypes import DType


@dataclass(frozen=True, slots=True)
class Kernels:
    """The element types that kernels of one operator take.

    Attributes:
        types: elements that are plain numbers.
        quantized: integers that stand for real numbers.
    """

    types: frozenset[DType]
    quantized: frozenset[DType]


_LETTERS = {"BOOL": "b", "INT": "i", "UINT": "u", "FLOAT": "f", "BFLOAT": "bf", "COMPLEX": "c"}
_SHORT: Mapping[str, DType] = {
    dtype.value.replace(family, letter): dtype
    for dtype in DType
    for family, letter in _LETTERS.items()
    if dtype.value.rstrip("0123456789") == family
}
"""Types by names such as ``i8``."""


def _takes(types: str, *, quantized: str = "") -> Kernels:
    return Kernels(*(frozenset(_SHORT[name] for name in names.split()) for names in (types, quantized)))


_ANY = "b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64 c128"
_ANY_QUANTIZED = "i8 u8 i16 u16"

KERNELS: Mapping[str, Kernels] = {
    "ABS": _takes("i16 i32 f32", quantized="i8 i16"),
    "ADD": _takes("i16 i32 i64 f16 f32", quantized="i8 u8 i16"),
    "ARG_MAX": _takes("b i8 u8 i32 f32", quantized="i8 u8"),
    "ARG_MIN": _takes("b i8 u8 i32 f32", quantized="i8 u8"),
    "ATAN2": _takes("f16 bf16 f32 f64"),
    "AVERAGE_POOL_2D": _takes("i8 u8 i16 f32", quantized="i8 u8 i16"),
    "BATCH_MATMUL": _takes("f32", quantized="i8 i16"),
    "BITCAST": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "BITWISE_XOR": _takes("i8 u8 i16 u16 i32 u32", quantized="i8 u8 i16 u16"),
    "BROADCAST_TO": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "CAST": _takes("b i4 u4 i8 u8 i16 u16 i32 u32 i64 f16 bf16 f32 f64 c64 i2", quantized="i4 u4 i8 u8 i16 u16"),
    "CEIL": _takes("f32"),
    "CONCATENATION": _takes("b i8 u8 i16 i32 u32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "CONV_2D": _takes("f32", quantized="i8 i16"),
    "CONV_3D": _takes("f32"),
    "CONV_3D_TRANSPOSE": _takes("f32"),
    "COS": _takes("f16 f32"),
    "CUMSUM": _takes("i32 i64 f32"),
    "DEPTHWISE_CONV_2D": _takes("f32", quantized="i8 i16"),
    "DEPTH_TO_SPACE": _takes("i8 u8 i32 i64 f32", quantized="i8 u8"),
    "DEQUANTIZE": _takes("i8 u8 i16 f16", quantized="i8 u8 i16"),
    "DIV": _takes("i32 f32", quantized="i8 u8 i16"),
    "DYNAMIC_UPDATE_SLICE": _takes(
        "b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64 c128", quantized="i8 u8 i16 u16"
    ),
    "ELU": _takes("f32", quantized="i8"),
    "EQUAL": _takes("b i16 i32 i64 f16 f32", quantized="i8 u8 i16"),
    "EXP": _takes("f32", quantized="i8 i16"),
    "EXPAND_DIMS": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "FILL": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "FLOOR": _takes("f16 bf16 f32"),
    "FLOOR_DIV": _takes("i8 i16 i32 f32", quantized="i8 i16"),
    "FLOOR_MOD": _takes("i8 i16 i32 i64 f32", quantized="i8 i16"),
    "FULLY_CONNECTED": _takes("f32", quantized="i8 i16"),
    "GATHER": _takes("b i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "GATHER_ND": _takes("b i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "GELU": _takes("i8 u8 i16 f16 f32", quantized="i8 u8 i16"),
    "GREATER": _takes("i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "GREATER_EQUAL": _takes("i16 i32 i64 f16 f32", quantized="i8 u8 i16"),
    "HARD_SWISH": _takes("i8 u8 f32", quantized="i8 u8"),
    "LEAKY_RELU": _takes("f32", quantized="i8 u8 i16"),
    "LESS": _takes("i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "LESS_EQUAL": _takes("i16 i32 i64 f16 f32", quantized="i8 u8 i16"),
    "LOCAL_RESPONSE_NORMALIZATION": _takes("f32"),
    "LOG": _takes("f32", quantized="i8 i16"),
    "LOGICAL_AND": _takes("b"),
    "LOGICAL_NOT": _takes("b"),
    "LOGICAL_OR": _takes("b"),
    "LOGISTIC": _takes("f16 bf16 f32", quantized="i8 u8 i16"),
    "LOG_SOFTMAX": _takes("f32", quantized="i8 u8"),
    "MAXIMUM": _takes("i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "MAX_POOL_2D": _takes("i8 u8 i16 f32", quantized="i8 u8 i16"),
    "MEAN": _takes("i32 i64 f32", quantized="i8 u8 i16"),
    "MINIMUM": _takes("i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "MIRROR_PAD": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "MUL": _takes("i16 i32 u32 i64 f16 f32 c64", quantized="i8 u8 i16"),
    "NEG": _takes("i8 i16 i32 i64 f16 bf16 f32", quantized="i8 i16"),
    "NON_MAX_SUPPRESSION_V4": _takes("f32"),
    "NOT_EQUAL": _takes("b i32 i64 f16 f32", quantized="i8 u8 i16"),
    "ONE_HOT": _takes("b i8 u8 i32 i64 f32", quantized="i8 u8"),
    "PACK": _takes("i8 u8 i16 i32 u32 i64 f32", quantized="i8 u8 i16"),
    "PAD": _takes("b i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "PADV2": _takes("b i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "POW": _takes("i32 f32"),
    "PRELU": _takes("i8 u8 i16 f32", quantized="i8 u8 i16"),
    "QUANTIZE": _takes("", quantized="i4 u4 i8 u8 i16"),
    "RANGE": _takes("i32 i64 f32"),
    "REDUCE_ALL": _takes("b"),
    "REDUCE_ANY": _takes("b"),
    "REDUCE_MAX": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "REDUCE_MIN": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "REDUCE_PROD": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 i16"),
    "RELU": _takes("f32", quantized="i8 u8 i16"),
    "RELU6": _takes("f32", quantized="i8 u8 i16"),
    "RELU_N1_TO_1": _takes("f32", quantized="i8 u8"),
    "RESHAPE": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "RESIZE_BILINEAR": _takes("i8 u8 i16 f32", quantized="i8 u8 i16"),
    "RESIZE_NEAREST_NEIGHBOR": _takes("b i8 u8 i16 u16 i32 u32 f16 bf16 f32", quantized="i8 u8 i16 u16"),
    "REVERSE_SEQUENCE": _takes("u8 i16 i32 i64 f32", quantized="u8 i16"),
    "REVERSE_V2": _takes("b i8 u8 i16 i32 i64 f16 bf16 f32", quantized="i8 u8 i16"),
    "RIGHT_SHIFT": _takes("i8 u8 i16 u16 i32 u32", quantized="i8 u8 i16 u16"),
    "ROUND": _takes("f16 bf16 f32"),
    "RSQRT": _takes("f32", quantized="i8 i16"),
    "SCATTER_ND": _takes("b i8 u8 i32 i64 f32", quantized="i8 u8"),
    "SELECT_V2": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "SHAPE": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "SIGN": _takes("i32 f32 f64"),
    "SIN": _takes("f16 f32"),
    "SLICE": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "SOFTMAX": _takes("u8 f16 f32", quantized="i8 u8 i16"),
    "SPACE_TO_DEPTH": _takes("i8 u8 i32 i64 f32", quantized="i8 u8"),
    "SPLIT": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "SPLIT_V": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "SQRT": _takes("f32", quantized="i8 i16"),
    "SQUARE": _takes("f32"),
    "SQUARED_DIFFERENCE": _takes("i32 f32", quantized="i8"),
    "SQUEEZE": _takes(_ANY, quantized=_ANY_QUANTIZED),
    "STRIDED_SLICE": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "SUB": _takes("i32 i64 f32", quantized="i8 u8 i16"),
    "SUM": _takes("i32 i64 f32", quantized="i8 u8 i16"),
    "TANH": _takes("i8 u8 f16 bf16 f32", quantized="i8 u8 i16"),
    "TILE": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "TOPK_V2": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "TRANSPOSE": _takes("b i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64 c64", quantized="i8 u8 i16 u16"),
    "TRANSPOSE_CONV": _takes("f32", quantized="i8 u8 i16"),
    "UNIQUE": _takes("i8 u8 i16 i32 i64 f32", quantized="i8 u8 i16"),
    "UNPACK": _takes("b i8 u8 i16 i32 f16 bf16 f32", quantized="i8 u8 i16"),
    "UNSORTED_SEGMENT_MAX": _takes("i32 f32"),
    "UNSORTED_SEGMENT_MIN": _takes("i32 f32"),
    "UNSORTED_SEGMENT_PROD": _takes("i32 f32"),
    "UNSORTED_SEGMENT_SUM": _takes("i32 f32"),
    "WHERE": _takes("b i8 u8 i32 u32 i64 f32", quantized="i8 u8"),
}
"""By the operators' names in the schema; of the operand that is computed or moved, and of QUANTIZE of its result."""
