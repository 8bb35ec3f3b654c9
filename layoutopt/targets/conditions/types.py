"""Conditions on element types and quantization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layoutopt.targets.conditions.common import DATA_ROLES, main_operand, run_time_values, with_role
from layoutopt.tfl.graph import Operation
from layoutopt.tfl.opset import definition


def types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that all run-time values have one of these element types."""
    for value in run_time_values(operation):
        if value.dtype.value not in wanted:
            return f"has a run-time value of {value.dtype}, not of {_named(wanted)}"
    return None


def input_types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that the data operand has one of these element types."""
    value = main_operand(operation)
    if value is not None and value.dtype.value not in wanted:
        return f"takes {value.dtype}, not {_named(wanted)}"
    return None


def result_types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that the results have one of these element types."""
    for value in operation.results:
        if value.dtype.value not in wanted:
            return f"gives {value.dtype}, not {_named(wanted)}"
    return None


def type_pairs(operation: Operation, wanted: Sequence[Sequence[str]]) -> str | None:
    """Require that the element types of the data operand and of the result are one of these pairs."""
    value, result = main_operand(operation), operation.results[0]
    if value is not None and [value.dtype.value, result.dtype.value] not in [list(pair) for pair in wanted]:
        return f"makes {result.dtype} of {value.dtype}"
    return None


def role_types(operation: Operation, wanted: Mapping[str, Sequence[str]]) -> str | None:
    """Require that the operands with certain roles have one of these element types."""
    for role, named in wanted.items():
        for value in with_role(operation, role):
            if value.dtype.value not in named:
                return f"has {role} of {value.dtype}, not of {_named(named)}"
    return None


def quantized(operation: Operation, wanted: bool) -> str | None:
    """Require that all integers that represent real numbers have a scale."""
    facts = definition(operation.code)
    data = [each for at, each in enumerate(operation.operands) if each is not None and facts.role(at) in DATA_ROLES]
    for value in [*data, *operation.results]:
        if wanted and value.quantization is None:
            return f"has a value of {value.dtype} without quantization"
    return None


def per_tensor(operation: Operation, wanted: bool) -> str | None:
    """Require per-tensor quantization of each value."""
    every = [*(each for each in operation.operands if each is not None), *operation.results]
    if wanted and any(each.quantization is not None and len(each.quantization.scales) > 1 for each in every):
        return "is quantized by channel"
    return None


def same_quantization(operation: Operation, wanted: bool) -> str | None:
    """Require that operands and results have the same scales and zero points."""
    grids = {each.quantization for each in [*run_time_values(operation)] if each.quantization is not None}
    return "has operands and a result of different scales" if wanted and len(grids) > 1 else None


def _named(types: Sequence[str]) -> str:
    return ", ".join(each.lower() for each in types)
