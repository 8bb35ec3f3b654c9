"""Conditions on which operands there are, and which are constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layoutopt.targets.conditions.common import with_role
from layoutopt.tfl.graph import Operation
from layoutopt.tfl.opset import definition


def constant(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that operands with these roles are constant."""
    for role in wanted:
        if not all(value.is_constant for value in with_role(operation, role)):
            return f"computes its {role} at run time"
    return None


def not_constant(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that operands with these roles are not constant."""
    for role in wanted:
        if any(value.is_constant for value in with_role(operation, role)):
            return f"has a constant for its {role}"
    return None


def run_time_operands(operation: Operation, wanted: Sequence[int]) -> str | None:
    """Require this number of operands that are not constant."""
    count = sum(each is not None and not each.is_constant for each in operation.operands)
    return None if count in wanted else f"has {count} run-time operands, not {' or '.join(map(str, wanted))}"


def constant_is_zero_padding(operation: Operation, wanted: bool) -> str | None:
    """Require that one of two operands is a constant of zeros."""
    constants = [each for each in operation.operands if each is not None and each.is_constant]
    if not wanted or not constants:
        return None
    zero = [each.quantization.zero_points[0] if each.quantization else 0 for each in constants]
    if len(operation.operands) == 2 and all(
        bool(np.all(each.array == number)) for each, number in zip(constants, zero, strict=True)
    ):
        return None
    return "joins a constant that is not one of two operands and all zeros"


def bias(operation: Operation, wanted: bool) -> str | None:
    """Require a bias."""
    at = definition(operation.code).bias
    return "has no bias" if wanted and at is not None and operation.operand(at) is None else None


def max_operands(operation: Operation, wanted: int) -> str | None:
    """Require at most this number of operands."""
    count = len(operation.operands)
    return f"has {count} operands, more than {wanted}" if count > wanted else None
