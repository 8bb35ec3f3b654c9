"""Reads the boundary that is recorded in an optimized model."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.boundary import RECORD, Boundary
from layoutopt.boundary.preprocess import left_over


def recorded_boundary(model: ir.Model) -> Boundary | None:
    """Return the boundary that is recorded in a model; None if there is none, or in an unknown format."""
    text = model.metadata_props.get(RECORD)
    try:
        return Boundary.from_json(text) if text else None
    except ValueError:
        return None


def preprocessing_left(model: ir.Model) -> tuple[str, ...]:
    """Return notes on the operators that an optimized model has left of its preprocessing."""
    boundary = recorded_boundary(model)
    return () if boundary is None else tuple(left_over(model, list(boundary.preprocess)))
