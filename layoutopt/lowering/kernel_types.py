"""The element types that the kernels after an operator take, as each lowering states them.

The conversion of operands to such types belongs to `types`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from layoutopt.tfl.dtypes import DType


class DTypeSemantics(enum.Enum):
    """The kinds of use that an operator makes of its elements."""

    VALUE = enum.auto()
    """It computes with them."""
    ORDER = enum.auto()
    """It compares them, and hands on some."""
    MODULAR = enum.auto()
    """The low bits of its results depend on nothing but the low bits of its operands; or it tests for equality."""
    BITS = enum.auto()
    """It moves them."""


@dataclass(frozen=True, slots=True)
class KernelTypes:
    """The element types that the kernels after an operator take.

    Attributes:
        types: the element types that its kernels take.
        semantics: what it makes of the elements.
    """

    types: frozenset[DType]
    semantics: DTypeSemantics = DTypeSemantics.VALUE


_TYPES: Mapping[str, DType] = {
    "b": DType.BOOL, "i1": DType.INT8, "u1": DType.UINT8, "i2": DType.INT16, "u2": DType.UINT16,
    "i4": DType.INT32, "u4": DType.UINT32, "i8": DType.INT64, "u8": DType.UINT64,
    "f2": DType.FLOAT16, "f4": DType.FLOAT32, "f8": DType.FLOAT64,
}  # fmt: skip


def takes(types: str, semantics: DTypeSemantics = DTypeSemantics.VALUE) -> KernelTypes:
    """Return the types by their short names, separated by spaces."""
    return KernelTypes(frozenset(_TYPES[name] for name in types.split()), semantics)


FLOATS = takes("f4")
NUMBERS = "i4 i8 f4"
ANY = takes(" ".join(_TYPES), DTypeSemantics.BITS)
OTHERS = takes("b i1 u1 i2 u2 i4 u4 i8 u8 f4")
"""The types of operators whose lowerings state none: they compute with floats in float32, and handle integers."""
