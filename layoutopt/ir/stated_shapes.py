"""Corrects the shapes that a model states where they contradict its operators."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

_MAX_TOLD = 3


def correct_stated_shapes(model: ir.Model) -> tuple[str, ...]:
    """Replace stated shapes of computed values by those that follow from the inputs, where they differ.

    Some exporters write a batch or a size that they happened to see. ONNX Runtime does not look at it, but what
    reads shapes would be wrong.

    Args:
        model: of static shapes; changed in place.

    Returns:
        What was corrected, for the user to read; nothing where all stated shapes are right.
    """
    stated = list(_computed(model))
    if not any(value.shape is not None for value in stated):
        return ()
    inferred = model.clone()
    computed = list(_computed(inferred))
    for value in computed:
        value.shape = None
    ShapeInferencePass(data_prop=True)(inferred)
    found = [(old, new.shape) for old, new in zip(stated, computed, strict=True) if _contradict(old.shape, new.shape)]
    notes = [f"{value.name!r} is {_spell(shape)}, not {_spell(value.shape)}" for value, shape in found]
    for value, shape in found:
        value.shape = shape
    if not notes:
        return ()
    more = f", and {len(notes) - _MAX_TOLD} more" if len(notes) > _MAX_TOLD else ""
    return (f"The model states wrong shapes, which were corrected: {'; '.join(notes[:_MAX_TOLD])}{more}.",)


def _computed(model: ir.Model) -> Iterator[ir.Value]:
    """Iterate over the results of all nodes, also in bodies, in an order that is the same for a clone."""
    for node in model.graph.all_nodes():
        yield from node.outputs


def _contradict(stated: ir.Shape | None, inferred: ir.Shape | None) -> bool:
    """Return whether two shapes contradict each other."""
    if stated is None or inferred is None:
        return False
    if len(stated) != len(inferred):
        return True
    return any(
        isinstance(one, int) and isinstance(other, int) and one != other
        for one, other in zip(stated, inferred, strict=True)
    )


def _spell(shape: ir.Shape | None) -> str:
    return f"[{', '.join(map(str, shape or ()))}]"
