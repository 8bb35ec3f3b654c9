"""Integers in no wider a type than their readers ask for."""

from __future__ import annotations

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_WIDER = {
    DType.BOOL: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32),
    DType.INT32: (DType.INT64,),
    DType.UINT8: (DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32),
    DType.INT8: (DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32),
    DType.FLOAT16: (DType.FLOAT32,),
}
"""Types that hold every element of a type."""


@rule("CAST")
def skip_wide_type(operation: Operation, _: Uses) -> Value | None:
    """Drop a CAST there and back, by a type that holds all elements; on to a third type, make it one CAST."""
    source = operation[0].producer
    if source is None or source.code != "CAST":
        return None
    narrow, wide, target = source[0].dtype, operation[0].dtype, operation.result.dtype
    if wide not in _WIDER.get(narrow, ()):
        return None
    return tfl.cast(source[0], target)


@rule("CAST")
def narrow_index(operation: Operation, uses: Uses) -> Value | None:
    """Let ARG_MAX and ARG_MIN whose INT64 result is cast to INT32 give INT32 themselves."""
    source = uses.producer(operation[0], "ARG_MAX", "ARG_MIN")
    if source is None or operation.result.dtype is not DType.INT32:
        return None
    return record_again(source, *source.operands, output_type="INT32")
