"""What an optimized model tells of its boundary."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.boundary import RECORD, Boundary
from layoutopt.boundary.preprocess import left_over


def recorded_boundary(model: ir.Model) -> Boundary | None:
    """Return the boundary that a model was given; None where it was given none, or tells so in an unknown way."""
    text = model.metadata_props.get(RECORD)
    try:
        return Boundary.from_json(text) if text else None
    except ValueError:
        return None


def preprocessing_left(model: ir.Model) -> tuple[str, ...]:
    """Return what an optimized model has left of the preprocessing that it was given, in words."""
    boundary = recorded_boundary(model)
    return () if boundary is None else tuple(left_over(model, list(boundary.preprocess)))
