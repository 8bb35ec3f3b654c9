"""Element types of LiteRT's tensors, and their NumPy counterparts."""

from __future__ import annotations

import enum
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DType(enum.Enum):
    """An element type; the value is its name in LiteRT's schema."""

    BOOL = "BOOL"
    INT4 = "INT4"
    UINT4 = "UINT4"
    INT8 = "INT8"
    UINT8 = "UINT8"
    INT16 = "INT16"
    UINT16 = "UINT16"
    INT32 = "INT32"
    UINT32 = "UINT32"
    INT64 = "INT64"
    UINT64 = "UINT64"
    FLOAT16 = "FLOAT16"
    BFLOAT16 = "BFLOAT16"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    COMPLEX64 = "COMPLEX64"
    COMPLEX128 = "COMPLEX128"
    STRING = "STRING"
    RESOURCE = "RESOURCE"
    VARIANT = "VARIANT"
    INT2 = "INT2"
    FLOAT8_E4M3FN = "FLOAT8_E4M3FN"
    FLOAT8_E5M2 = "FLOAT8_E5M2"

    @staticmethod
    def of(dtype: npt.DTypeLike) -> DType:
        """Return the type of a NumPy array's elements.

        Raises:
            TypeError: no tensor of LiteRT has such elements.
        """
        if (found := _BY_NUMPY.get(np.dtype(dtype))) is None:
            raise TypeError(f"LiteRT has no element type {np.dtype(dtype).name}")
        return found

    @property
    def numpy(self) -> np.dtype[Any]:
        """Return the NumPy type of the elements.

        Raises:
            TypeError: NumPy has none: strings and handles.
        """
        if (found := _NUMPY.get(self)) is None:
            raise TypeError(f"NumPy has no counterpart of {self.value}")
        return found

    @property
    def bits(self) -> int:
        """Return size of one element in a file; 0 for strings and handles."""
        if self is DType.BOOL:
            return 8
        digits = self.value.removesuffix("_E4M3FN").removesuffix("_E5M2").lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return int(digits or 0)

    @property
    def size(self) -> int:
        """Return bytes of one element in memory."""
        return self.numpy.itemsize

    @property
    def is_floating(self) -> bool:
        """Return whether the elements are real numbers."""
        return self in _FLOATING

    @property
    def is_integer(self) -> bool:
        """Return whether the elements are whole numbers; False for BOOL."""
        return self in _SIGNED or self in _UNSIGNED

    @property
    def is_unsigned(self) -> bool:
        """Return whether the elements are whole numbers without a sign."""
        return self in _UNSIGNED

    @property
    def min(self) -> float:
        """Return the least finite element."""
        return _limits(self)[0]

    @property
    def max(self) -> float:
        """Return the largest finite element."""
        return _limits(self)[1]

    def __str__(self) -> str:
        return self.value.lower()


_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.BOOL: np.dtype(np.bool_),
    DType.INT4: np.dtype(ml_dtypes.int4),
    DType.UINT4: np.dtype(ml_dtypes.uint4),
    DType.INT8: np.dtype(np.int8),
    DType.UINT8: np.dtype(np.uint8),
    DType.INT16: np.dtype(np.int16),
    DType.UINT16: np.dtype(np.uint16),
    DType.INT32: np.dtype(np.int32),
    DType.UINT32: np.dtype(np.uint32),
    DType.INT64: np.dtype(np.int64),
    DType.UINT64: np.dtype(np.uint64),
    DType.FLOAT16: np.dtype(np.float16),
    DType.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    DType.FLOAT32: np.dtype(np.float32),
    DType.FLOAT64: np.dtype(np.float64),
    DType.COMPLEX64: np.dtype(np.complex64),
    DType.COMPLEX128: np.dtype(np.complex128),
    DType.INT2: np.dtype(ml_dtypes.int2),
    DType.FLOAT8_E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
    DType.FLOAT8_E5M2: np.dtype(ml_dtypes.float8_e5m2),
}
_BY_NUMPY = {numpy: dtype for dtype, numpy in _NUMPY.items()}
_FLOATING = frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64})
_SIGNED = frozenset({DType.INT4, DType.INT8, DType.INT16, DType.INT32, DType.INT64})
_UNSIGNED = frozenset({DType.UINT4, DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64})


def _limits(dtype: DType) -> tuple[float, float]:
    if dtype is DType.BOOL:
        return False, True
    if dtype.is_floating:
        real: Any = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
        return float(real.min), float(real.max)
    whole: Any = ml_dtypes.iinfo(dtype.numpy)  # type: ignore[no-untyped-call]
    return int(whole.min), int(whole.max)
