"""THE TABLE: what is known of each builtin operator of LiteRT.

Reading, counting, profiling, merging, quantizing and writing draw from it. An operator is one entry here, a rule for
its results in `inference`, where it can be computed on constants an entry in `folding`, where it has more than one
version an entry in `versions`, and where LiteRT's kernels were asked what types they take an entry in `kernels`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.inference import elementwise, indexing, products, shaping, windows
from layoutopt.tfl.kernels import KERNELS
from layoutopt.tfl.shapes import InferenceRule


class WorkKind(enum.Enum):
    """The kinds of work that an operator does with its elements."""

    COMPUTES = enum.auto()
    """It makes new ones."""
    MOVES = enum.auto()
    """It copies them to other places."""
    VIEWS = enum.auto()
    """It only says how they are to be read."""


@dataclass(frozen=True, slots=True)
class OpDef:
    """One builtin operator.

    Attributes:
        operands: the role of each operand; the last one goes for all that follow.
        rule: types and shapes of its results; None where they are known to its body alone.
        options: name of its table of options in the schema; empty for none.
        max_rank: the most axes that LiteRT's own kernels take; None where there is no limit but 8.
        xnnpack_rank: as ``max_rank``, of float32 where XNNPACK runs what it can; None where that is the same.
        types: elements that kernels take in their first operand that is computed or moved, of QUANTIZE in the result;
            None where nobody has asked.
        quantized: likewise of integers that stand for real numbers.
        xnnpack: whether XNNPACK runs it in float32, at least in some forms.
        work: what it does with its elements.
        activation: whether it can have a fused activation that XNNPACK and LiteRT compute.
        bias: position of its bias among the operands; None where it has none.
        bodies: the options that tell which graphs it runs.
    """

    operands: tuple[str, ...]
    rule: InferenceRule | None
    options: str = ""
    max_rank: int | None = None
    xnnpack: bool = False
    work: WorkKind = WorkKind.COMPUTES
    activation: bool = False
    bias: int | None = None
    bodies: tuple[str, ...] = ()
    xnnpack_rank: int | None = None
    types: frozenset[DType] | None = None
    quantized: frozenset[DType] | None = None

    @property
    def main(self) -> int:
        """Return the position of the first operand that holds data; others are shapes, axes and the like."""
        return next((at for at, role in enumerate(self.operands) if role in _DATA), 0)

    @property
    def broadcasts(self) -> bool:
        """Return whether the shape of its result is that which its operands broadcast to."""
        return self.rule in (elementwise.elementwise, elementwise.comparison, elementwise.select)

    def role(self, index: int) -> str:
        """Return the role of an operand."""
        return self.operands[min(index, len(self.operands) - 1)]


_DATA = frozenset({"a", "boxes", "on", "start", "updates", "value", "x"})
"""Roles of operands that are computed or moved."""
_MOVES, _VIEWS = WorkKind.MOVES, WorkKind.VIEWS
_X, _AB = ("x",), ("a", "b")


def _unary(options: str = "", *, xnnpack: bool = False) -> OpDef:
    return OpDef(_X, elementwise.same, options, xnnpack=xnnpack)


def _arithmetic(options: str, *, xnnpack: bool = False, activation: bool = False) -> OpDef:
    return OpDef(_AB, elementwise.elementwise, options, xnnpack=xnnpack, activation=activation)


def _comparison(options: str) -> OpDef:
    return OpDef(_AB, elementwise.comparison, options)


def _reducer(*, xnnpack: bool = False) -> OpDef:
    rank = 6 if xnnpack else None
    return OpDef(("x", "axes"), products.reduction, "ReducerOptions", xnnpack=xnnpack, xnnpack_rank=rank)


def _segment(name: str) -> OpDef:
    return OpDef(("x", "segments", "count"), indexing.segments, f"UnsortedSegment{name}Options")


_OPSET: Mapping[str, OpDef] = {
    "ABS": _unary("AbsOptions", xnnpack=True),
    "ADD": _arithmetic("AddOptions", xnnpack=True, activation=True),
    "ARG_MAX": OpDef(("x", "axis"), products.arg_extreme, "ArgMaxOptions"),
    "ARG_MIN": OpDef(("x", "axis"), products.arg_extreme, "ArgMinOptions"),
    "ATAN2": _arithmetic("ATan2Options"),
    "AVERAGE_POOL_2D": OpDef(_X, windows.pool_2d, "Pool2DOptions", 4, True, activation=True),
    "BATCH_MATMUL": OpDef(_AB, products.batch_matmul, "BatchMatMulOptions", 5, True, xnnpack_rank=6),
    "BITCAST": OpDef(_X, None, "BitcastOptions", work=_VIEWS),
    "BITWISE_XOR": _arithmetic("BitwiseXorOptions"),
    "BROADCAST_TO": OpDef(("x", "shape"), shaping.broadcast_to, "BroadcastToOptions", work=_MOVES),
    "CAST": OpDef(_X, elementwise.cast, "CastOptions"),
    "CEIL": _unary(xnnpack=True),
    "CONCATENATION": OpDef(
        ("x",), shaping.concatenation, "ConcatenationOptions", xnnpack=True, work=_MOVES, xnnpack_rank=6
    ),
    "CONV_2D": OpDef(("x", "weights", "bias"), windows.conv_2d, "Conv2DOptions", 4, True, activation=True, bias=2),
    "CONV_3D": OpDef(("x", "weights", "bias"), windows.conv_3d, "Conv3DOptions", 5, activation=True, bias=2),
    "CONV_3D_TRANSPOSE": OpDef(
        ("output shape", "weights", "x", "bias"), windows.transpose_conv, "Conv3DOptions", 5, activation=True, bias=3
    ),
    "COS": _unary("CosOptions", xnnpack=True),
    "CUMSUM": OpDef(("x", "axis"), elementwise.same, "CumsumOptions"),
    "DEPTHWISE_CONV_2D": OpDef(
        ("x", "weights", "bias"), windows.depthwise_conv_2d, "DepthwiseConv2DOptions", 4, True, activation=True, bias=2
    ),
    "DEPTH_TO_SPACE": OpDef(_X, windows.depth_to_space, "DepthToSpaceOptions", 4, True, _MOVES),
    "DEQUANTIZE": OpDef(_X, None, "DequantizeOptions", xnnpack=True),
    "DIV": _arithmetic("DivOptions", xnnpack=True, activation=True),
    "DYNAMIC_UPDATE_SLICE": OpDef(
        ("x", "update", "starts"), elementwise.same, "DynamicUpdateSliceOptions", work=_MOVES
    ),
    "ELU": _unary(xnnpack=True),
    "EQUAL": _comparison("EqualOptions"),
    "EXP": _unary("ExpOptions", xnnpack=True),
    "EXPAND_DIMS": OpDef(("x", "axis"), shaping.expand_dims, "ExpandDimsOptions", xnnpack=True, work=_VIEWS),
    "FILL": OpDef(("shape", "value"), shaping.fill, "FillOptions", work=_MOVES),
    "FLOOR": _unary(xnnpack=True),
    "FLOOR_DIV": _arithmetic("FloorDivOptions"),
    "FLOOR_MOD": _arithmetic("FloorModOptions"),
    "FULLY_CONNECTED": OpDef(
        ("x", "weights", "bias"),
        products.fully_connected,
        "FullyConnectedOptions",
        xnnpack=True,
        activation=True,
        bias=2,
        xnnpack_rank=6,
    ),
    "GATHER": OpDef(("x", "indices"), indexing.gather, "GatherOptions", work=_MOVES),
    "GATHER_ND": OpDef(("x", "indices"), indexing.gather_nd, "GatherNdOptions", work=_MOVES),
    "GELU": _unary("GeluOptions", xnnpack=True),
    "GREATER": _comparison("GreaterOptions"),
    "GREATER_EQUAL": _comparison("GreaterEqualOptions"),
    "HARD_SWISH": _unary("HardSwishOptions", xnnpack=True),
    "IF": OpDef(("condition", "x"), None, "IfOptions", bodies=("then_subgraph_index", "else_subgraph_index")),
    "LEAKY_RELU": _unary("LeakyReluOptions", xnnpack=True),
    "LESS": _comparison("LessOptions"),
    "LESS_EQUAL": _comparison("LessEqualOptions"),
    "LOCAL_RESPONSE_NORMALIZATION": OpDef(_X, elementwise.same, "LocalResponseNormalizationOptions", 4),
    "LOG": _unary(xnnpack=True),
    "LOGICAL_AND": _arithmetic("LogicalAndOptions"),
    "LOGICAL_NOT": _unary("LogicalNotOptions"),
    "LOGICAL_OR": _arithmetic("LogicalOrOptions"),
    "LOGISTIC": _unary(xnnpack=True),
    "LOG_SOFTMAX": _unary("LogSoftmaxOptions"),
    "MAXIMUM": _arithmetic("MaximumMinimumOptions", xnnpack=True),
    "MAX_POOL_2D": OpDef(_X, windows.pool_2d, "Pool2DOptions", 4, True, activation=True),
    "MEAN": _reducer(xnnpack=True),
    "MINIMUM": _arithmetic("MaximumMinimumOptions", xnnpack=True),
    "MIRROR_PAD": OpDef(("x", "paddings"), shaping.pad, "MirrorPadOptions", work=_MOVES),
    "MUL": _arithmetic("MulOptions", xnnpack=True, activation=True),
    "NEG": _unary("NegOptions", xnnpack=True),
    "NON_MAX_SUPPRESSION_V4": OpDef(
        ("boxes", "scores", "count", "overlap", "score"), indexing.non_max_suppression, "NonMaxSuppressionV4Options"
    ),
    "NOT_EQUAL": _comparison("NotEqualOptions"),
    "ONE_HOT": OpDef(("indices", "depth", "on", "off"), indexing.one_hot, "OneHotOptions"),
    "PACK": OpDef(("x",), shaping.pack, "PackOptions", work=_MOVES),
    "PAD": OpDef(("x", "paddings"), shaping.pad, "PadOptions", 5, True, _MOVES, xnnpack_rank=6),
    "PADV2": OpDef(("x", "paddings", "value"), shaping.pad, "PadV2Options", 5, True, _MOVES),
    "POW": _arithmetic("PowOptions"),
    "PRELU": OpDef(("x", "slope"), elementwise.same, xnnpack=True),
    "QUANTIZE": OpDef(_X, None, "QuantizeOptions", xnnpack=True),
    "RANGE": OpDef(("start", "limit", "step"), shaping.range_, "RangeOptions"),
    "REDUCE_ALL": _reducer(),
    "REDUCE_ANY": _reducer(),
    "REDUCE_MAX": _reducer(xnnpack=True),
    "REDUCE_MIN": _reducer(xnnpack=True),
    "REDUCE_PROD": _reducer(),
    "RELU": _unary(xnnpack=True),
    "RELU6": _unary(xnnpack=True),
    "RELU_N1_TO_1": _unary(xnnpack=True),
    "RESHAPE": OpDef(("x", "shape"), shaping.reshape, "ReshapeOptions", xnnpack=True, work=_VIEWS),
    "RESIZE_BILINEAR": OpDef(("x", "size"), windows.resize, "ResizeBilinearOptions", 4, True),
    "RESIZE_NEAREST_NEIGHBOR": OpDef(("x", "size"), windows.resize, "ResizeNearestNeighborOptions", 4, work=_MOVES),
    "REVERSE_SEQUENCE": OpDef(("x", "lengths"), elementwise.same, "ReverseSequenceOptions", work=_MOVES),
    "REVERSE_V2": OpDef(("x", "axes"), elementwise.same, "ReverseV2Options", work=_MOVES),
    "RIGHT_SHIFT": _arithmetic("RightShiftOptions"),
    "ROUND": _unary(xnnpack=True),
    "RSQRT": _unary(xnnpack=True),
    "SCATTER_ND": OpDef(("indices", "updates", "shape"), indexing.scatter_nd, "ScatterNdOptions"),
    "SELECT_V2": OpDef(("condition", "a", "b"), elementwise.select, "SelectV2Options"),
    "SHAPE": OpDef(_X, shaping.shape, "ShapeOptions"),
    "SIGN": _unary("SignOptions", xnnpack=True),
    "SIN": _unary(xnnpack=True),
    "SLICE": OpDef(("x", "begin", "size"), shaping.slice_, "SliceOptions", xnnpack=True, work=_MOVES),
    "SOFTMAX": _unary("SoftmaxOptions", xnnpack=True),
    "SPACE_TO_DEPTH": OpDef(_X, windows.space_to_depth, "SpaceToDepthOptions", 4, True, _MOVES),
    "SPLIT": OpDef(("axis", "x"), shaping.split, "SplitOptions", xnnpack=True, work=_MOVES, xnnpack_rank=6),
    "SPLIT_V": OpDef(("x", "sizes", "axis"), shaping.split_v, "SplitVOptions", work=_MOVES),
    "SQRT": _unary(xnnpack=True),
    "SQUARE": _unary("SquareOptions", xnnpack=True),
    "SQUARED_DIFFERENCE": _arithmetic("SquaredDifferenceOptions", xnnpack=True),
    "SQUEEZE": OpDef(_X, shaping.squeeze, "SqueezeOptions", work=_VIEWS),
    "STRIDED_SLICE": OpDef(
        ("x", "begin", "end", "strides"), shaping.strided_slice, "StridedSliceOptions", xnnpack=True, work=_MOVES
    ),
    "SUB": _arithmetic("SubOptions", xnnpack=True, activation=True),
    "SUM": _reducer(xnnpack=True),
    "TANH": _unary(xnnpack=True),
    "TILE": OpDef(("x", "multiples"), shaping.tile, "TileOptions", work=_MOVES),
    "TOPK_V2": OpDef(("x", "count"), indexing.top_k, "TopKV2Options"),
    "TRANSPOSE": OpDef(("x", "perm"), shaping.transpose, "TransposeOptions", xnnpack=True, work=_MOVES),
    "TRANSPOSE_CONV": OpDef(
        ("output shape", "weights", "x", "bias"),
        windows.transpose_conv,
        "TransposeConvOptions",
        4,
        True,
        activation=True,
        bias=3,
    ),
    "UNIQUE": OpDef(_X, indexing.unique, "UniqueOptions"),
    "UNPACK": OpDef(_X, shaping.unpack, "UnpackOptions", work=_MOVES),
    "UNSORTED_SEGMENT_MAX": _segment("Max"),
    "UNSORTED_SEGMENT_MIN": _segment("Min"),
    "UNSORTED_SEGMENT_PROD": _segment("Prod"),
    "UNSORTED_SEGMENT_SUM": _segment("Sum"),
    "WHERE": OpDef(_X, indexing.where, "WhereOptions"),
    "WHILE": OpDef(("x",), None, "WhileOptions", bodies=("cond_subgraph_index", "body_subgraph_index")),
}

OPSET: Mapping[str, OpDef] = {
    code: replace(facts, types=KERNELS[code].types, quantized=KERNELS[code].quantized) if code in KERNELS else facts
    for code, facts in _OPSET.items()
}
"""By their names in the schema."""

_LSTM_WEIGHTS = tuple(f"{kind} weights" for kind in (*("input",) * 4, *("recurrent",) * 4, *("peephole",) * 3))
_LSTM = ("x", *_LSTM_WEIGHTS, *("bias",) * 4, "projection weights", "projection bias", "state", "state", "scale")

OTHERS: Mapping[str, OpDef] = {
    "ADD_N": OpDef(_X, None, "AddNOptions"),
    "ASSIGN_VARIABLE": OpDef(("variable", "x"), None, "AssignVariableOptions"),
    "BATCH_TO_SPACE_ND": OpDef(("x", "block", "crops"), None, "BatchToSpaceNDOptions", work=_MOVES),
    "BIDIRECTIONAL_SEQUENCE_LSTM": OpDef(_X, None, "BidirectionalSequenceLSTMOptions"),
    "BIDIRECTIONAL_SEQUENCE_RNN": OpDef(_X, None, "BidirectionalSequenceRNNOptions"),
    "BUCKETIZE": OpDef(_X, None, "BucketizeOptions"),
    "CALL": OpDef(_X, None, "CallOptions", bodies=("subgraph",)),
    "CALL_ONCE": OpDef(_X, None, "CallOnceOptions", bodies=("init_subgraph_index",)),
    "DENSIFY": OpDef(_X, None, "DensifyOptions"),
    "EMBEDDING_LOOKUP": OpDef(("indices", "weights"), None, work=_MOVES),
    "EMBEDDING_LOOKUP_SPARSE": OpDef(
        ("indices", "indices", "shape", "weights", "weights"), None, "EmbeddingLookupSparseOptions"
    ),
    "FAKE_QUANT": OpDef(_X, None, "FakeQuantOptions"),
    "HASHTABLE": OpDef(_X, None, "HashtableOptions"),
    "HASHTABLE_FIND": OpDef(("table", "x", "value"), None, "HashtableFindOptions"),
    "HASHTABLE_IMPORT": OpDef(("table", "x", "value"), None, "HashtableImportOptions"),
    "HASHTABLE_SIZE": OpDef(("table",), None, "HashtableSizeOptions"),
    "L2_NORMALIZATION": OpDef(_X, None, "L2NormOptions"),
    "L2_POOL_2D": OpDef(_X, None, "Pool2DOptions"),
    "LSH_PROJECTION": OpDef(_X, None, "LSHProjectionOptions"),
    "LSTM": OpDef(_LSTM, None, "LSTMOptions"),
    "MATRIX_DIAG": OpDef(_X, None, "MatrixDiagOptions", work=_MOVES),
    "MATRIX_SET_DIAG": OpDef(("x", "diagonal"), None, "MatrixSetDiagOptions", work=_MOVES),
    "MULTINOMIAL": OpDef(("x", "count"), None, "RandomOptions"),
    "NON_MAX_SUPPRESSION_V5": OpDef(
        ("boxes", "scores", "count", "overlap", "score", "sigma"), None, "NonMaxSuppressionV5Options"
    ),
    "RANDOM_STANDARD_NORMAL": OpDef(("shape",), None, "RandomOptions"),
    "RANDOM_UNIFORM": OpDef(("shape",), None, "RandomOptions"),
    "RANK": OpDef(_X, None, "RankOptions"),
    "READ_VARIABLE": OpDef(("variable",), None, "ReadVariableOptions"),
    "RFFT2D": OpDef(("x", "length"), None, "Rfft2dOptions"),
    "RNN": OpDef(("x", "weights", "recurrent weights", "bias", "state"), None, "RNNOptions"),
    "SEGMENT_SUM": OpDef(("x", "segments"), None, "SegmentSumOptions"),
    "SELECT": OpDef(("condition", "a", "b"), None, "SelectOptions"),
    "SKIP_GRAM": OpDef(_X, None, "SkipGramOptions"),
    "SPACE_TO_BATCH_ND": OpDef(("x", "block", "paddings"), None, "SpaceToBatchNDOptions", work=_MOVES),
    "SPARSE_TO_DENSE": OpDef(("indices", "shape", "x", "value"), None, "SparseToDenseOptions"),
    "SVDF": OpDef(("x", "weights", "weights", "bias", "state"), None, "SVDFOptions"),
    "TFLite_Detection_PostProcess": OpDef(("boxes", "scores", "anchors"), None),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": OpDef(_LSTM, None, "UnidirectionalSequenceLSTMOptions"),
    "UNIDIRECTIONAL_SEQUENCE_RNN": OpDef(
        ("x", "weights", "recurrent weights", "bias", "state"), None, "SequenceRNNOptions"
    ),
    "VAR_HANDLE": OpDef(_X, None, "VarHandleOptions"),
    "ZEROS_LIKE": OpDef(_X, None, "ZerosLikeOptions"),
}
"""Operators without a rule for their results: TFLite_Detection_PostProcess, a custom one, and those that only the files
of other converters have."""

_UNKNOWN = OpDef(("x",), None)


def definition(code: str) -> OpDef:
    """Return what is known of an operator; of one that is in neither table, next to nothing."""
    return OPSET.get(code) or OTHERS.get(code, _UNKNOWN)
