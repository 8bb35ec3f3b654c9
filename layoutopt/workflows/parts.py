"""Load the part of a model that a caller wants, with what he puts around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.boundary import Boundary
from layoutopt.boundary.record import recorded_boundary
from layoutopt.boundary.suggestion import suggest_cut
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.ir import io as modelio
from layoutopt.workflows.models import load_model

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


def load_within(model: Model, boundary: Boundary | None) -> tuple[ir.Model, tuple[str, ...]]:
    """Return a model that may be changed, and notes on its boundary.

    Args:
        model: a file, or a model in memory, which stays as it is.
        boundary: what part of it is wanted, and what stands around it; None for all of it as it is. A model that was
            optimized with the same boundary has it already.

    Raises:
        UsageError: the boundary does not fit the model.
        UnsupportedOperatorError: what is wanted has unknown operators; says which part has none.
        LayoutoptError: as `layoutopt.ir.io.load`.
    """
    if boundary is None:
        boundary = Boundary()
    with naming_cuts(model, boundary):
        loaded = load_model(model, complete=not boundary.cuts)
        notes: tuple[str, ...] = ()
        if recorded_boundary(loaded) != boundary:
            loaded, notes = boundary.apply(loaded)
        if boundary.cuts:
            modelio.check_model(loaded, "the part that is left")
    return loaded, notes


@contextmanager
def naming_cuts(model: Model, boundary: Boundary | None) -> Iterator[None]:
    """Add to errors on operators that cannot be converted a hint with the cut that leaves them out."""
    try:
        yield
    except UnsupportedOperatorError as error:
        if error.nodes:
            name_cut(error, load_model(model, complete=False), boundary or Boundary())
        raise


def name_cut(error: UnsupportedOperatorError, model: ir.Model, boundary: Boundary) -> None:
    """Add to the hint of ``error`` the options that take the part of ``model`` without the nodes that cause it."""
    wanted = Boundary(boundary.inputs, boundary.outputs)
    try:
        part, _ = wanted.apply(model)
    except UsageError:
        return
    options = suggest_cut(part, error.nodes)
    if not options:
        return
    kept = [
        f"{option} {','.join(names)}"
        for option, names in (("--inputs", boundary.inputs), ("--outputs", boundary.outputs))
        if names and not options.startswith(option)
    ]
    error.hint = f"{error.hint}\nTo take the part without them: {' '.join([*kept, options])}".strip()
