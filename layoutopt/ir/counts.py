"""The costs of a model beside its arithmetic: operators by name, and the bytes that its Transposes move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from layoutopt.ir.perm import Perm, permute
from layoutopt.ir.values import tensor_bytes

TRANSPOSES = ("Transpose", "TRANSPOSE")
"""Operators that permute axes, as ONNX and as TFLite call them."""

PADS = ("Pad", "PAD", "PADV2", "MIRROR_PAD")
"""Operators that pad."""

RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators that change the shape and leave the data where they are."""

OTHER_MOVEMENT = (
    # ONNX
    "Compress",
    "Concat",
    "ConcatFromSequence",
    "DepthToSpace",
    "Expand",
    "Gather",
    "GatherElements",
    "GatherND",
    "ReverseSequence",
    "ScatterElements",
    "ScatterND",
    "Slice",
    "SpaceToDepth",
    "Split",
    "SplitToSequence",
    "Tile",
    # the NHWC dialect
    "layoutopt.nhwc::DepthToSpace2D",
    "layoutopt.nhwc::SpaceToDepth2D",
    # TFLite
    "BATCH_TO_SPACE_ND",
    "BROADCAST_TO",
    "CONCATENATION",
    "DEPTH_TO_SPACE",
    "DYNAMIC_UPDATE_SLICE",
    "GATHER",
    "GATHER_ND",
    "PACK",
    "REVERSE_SEQUENCE",
    "REVERSE_V2",
    "SCATTER_ND",
    "SLICE",
    "SPACE_TO_BATCH_ND",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SPLIT_V",
    "STRIDED_SLICE",
    "TILE",
    "UNPACK",
)
"""Operators that do nothing but move data and are none of the above."""

_STANDARD_DOMAINS = ("", "ai.onnx")
_NO_SIZE = (ir.DataType.UNDEFINED, ir.DataType.STRING)


@dataclass(frozen=True, slots=True)
class Counts:
    """The operators of one model.

    Attributes:
        operators: all of them; constants do not count.
        transposes: those in ``TRANSPOSES``.
        pads: those in ``PADS``.
        reshapes: those in ``RESHAPES``.
        other_movement: those in ``OTHER_MOVEMENT``.
        bytes_moved: bytes that the transposes write in one inference.
        histogram: how often each operator occurs, the most frequent first, then by name.
    """

    operators: int
    transposes: int
    pads: int
    reshapes: int
    other_movement: int
    bytes_moved: int
    histogram: Mapping[str, int] = field(hash=False)


def tally(names: Iterable[str], *, bytes_moved: int) -> Counts:
    """Return the counts of a model that has one operator for each of ``names``.

    Args:
        names: operators as ONNX or TFLite call them, repeated as often as they occur.
        bytes_moved: bytes that the transposes write in one inference.
    """
    found = Counter(names)
    return Counts(
        operators=found.total(),
        transposes=sum(found[name] for name in TRANSPOSES),
        pads=sum(found[name] for name in PADS),
        reshapes=sum(found[name] for name in RESHAPES),
        other_movement=sum(found[name] for name in OTHER_MOVEMENT),
        bytes_moved=bytes_moved,
        histogram=dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))),
    )


def count_onnx(model: ir.Model) -> Counts:
    """Count the nodes of the graph and of the bodies of its If, Loop and Scan nodes.

    Each body counts once, however often it runs. Bodies of functions are definitions and do not count; a node that
    calls one does. Names outside the standard domain are qualified: ``layoutopt.nhwc::Conv2D``. A Transpose adds the
    size of its result to ``bytes_moved``; where that shape is missing it is derived from the operand, a symbolic
    dimension counts as 1, and a Transpose of unknown rank or element type adds nothing, so the sum is a lower bound.
    """
    nodes = [
        node
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if not (node.domain in _STANDARD_DOMAINS and node.op_type == "Constant")
    ]
    return tally(map(operator_name, nodes), bytes_moved=sum(map(bytes_transposed, nodes)))


def operator_name(node: ir.Node) -> str:
    """Return the operator of ``node``, qualified by its domain outside the standard one."""
    return node.op_type if node.domain in _STANDARD_DOMAINS else f"{node.domain}::{node.op_type}"


def moves_data(shape: Sequence[int | None], perm: Perm) -> bool:
    """Return whether a transpose changes the order of elements in memory, and not only where axes of size 1 stand.

    Args:
        shape: of the result; None stands for a size that is not known and may differ from 1.
        perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
    """
    order = [axis for axis, size in zip(perm, shape, strict=True) if size != 1]
    return order != sorted(order)


def transposed_bytes(shape: Sequence[int | None], perm: Perm, *, bits: int) -> int:
    """Return the bytes that a transpose writes: 0 where it moves nothing, else the size of its result.

    Args:
        shape: of the result; None stands for a size that is not known and counts as 1.
        perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
        bits: size of one element.
    """
    if not moves_data(shape, perm):
        return 0
    return tensor_bytes((1 if size is None else size for size in shape), bits)


def bytes_transposed(node: ir.Node) -> int:
    """Return the bytes that ``node`` writes, if it is a Transpose of which enough is known; else 0."""
    if operator_name(node) != "Transpose" or (source := node.inputs[0]) is None:
        return 0
    result = node.outputs[0]
    written, read = _sizes(result.shape), _sizes(source.shape)
    rank = len(written or read or ())
    perm = tuple(node.attributes.get_ints("perm", tuple(reversed(range(rank)))))
    dtype = result.dtype or source.dtype
    if len(perm) != rank or dtype is None or dtype in _NO_SIZE:
        return 0
    shape = [None] * rank if read is None else list(permute(read, perm))
    if written is not None:
        shape = [known if size is None else size for size, known in zip(written, shape, strict=True)]
    return transposed_bytes(shape, perm, bits=dtype.bitwidth)


def _sizes(shape: ir.Shape | None) -> tuple[int | None, ...] | None:
    """Return the dimensions, None for symbolic ones; None for an unknown rank."""
    return None if shape is None else tuple(size if isinstance(size, int) else None for size in shape)
