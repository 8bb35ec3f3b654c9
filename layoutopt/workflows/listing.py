"""List the tensors of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layoutopt.boundary.listing import TensorRow, list_tensors
from layoutopt.errors import UsageError
from layoutopt.workflows.models import load_model

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


def list_model(model: Model, pattern: str) -> tuple[TensorRow, ...]:
    """List the tensors of a model that match a pattern, as `list_tensors`.

    Raises:
        UsageError: none does.
        LayoutoptError: the model cannot be read.
    """
    rows = list_tensors(load_model(model, complete=False), pattern)
    if not rows:
        raise UsageError(f"--filter {pattern}: no tensor matches", hint="Leave it out to see all.")
    return rows
