"""The form of a rule for the types and shapes of an operator's results, and the parts that such rules share.

A rule gets the operands and the options, and returns the type and the shape of each result. Sizes that are known at
run time only are None; where a size follows from the elements of an operand that is no constant, it is None too. The
rules are in `layoutopt.tfl.inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Shape, Size, Value

Operands: TypeAlias = "Sequence[Value | None]"
Options: TypeAlias = "Mapping[str, Any]"
Results: TypeAlias = "list[tuple[DType, Shape | None]]"
InferenceRule: TypeAlias = "Callable[[Operands, Options], Results]"


class ShapeError(ValueError):
    """The operands do not fit one another."""


def operand_at(operands: Operands, index: int) -> Value:
    """Return an operand that may not be left out."""
    operand = operands[index]
    assert operand is not None, f"operand {index} is missing"
    return operand


def known_elements(value: Value | None) -> list[int] | None:
    """Return the elements of a constant; None where they are known at run time only."""
    return None if value is None or value.data is None else [int(each) for each in value.data.reshape(-1)]


def broadcast(*shapes: Shape | None) -> Shape | None:
    """Return the shape that shapes broadcast to.

    Raises:
        ShapeError: they do not.
    """
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max((len(shape) for shape in known), default=0)
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in known), strict=True)
    return tuple(_common(column, known) for column in columns)


def _common(sizes: Sequence[Size], shapes: Sequence[Shape]) -> Size:
    known = {size for size in sizes if size is not None and size != 1}
    if len(known) > 1:
        raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
    return known.pop() if known else None if None in sizes else 1


def vector_length(value: Value) -> Size:
    """Return sizes that a vector of so many elements tells."""
    return None if value.shape is None else value.shape[0] if value.shape else 1


def unknown(rank: Size) -> Shape | None:
    """Return the shape of a tensor of which the rank alone is known, or not even that."""
    return None if rank is None else (None,) * rank


def require_one_type(given: Sequence[Value]) -> None:
    """Refuse operands of several types.

    Raises:
        TypeError: they are.
    """
    if len({operand.dtype for operand in given}) > 1:
        raise TypeError(f"operands of different types: {', '.join(str(each.dtype) for each in given)}")
