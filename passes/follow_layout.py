"""Rewrites a graph to the layouts that were chosen for the same graph at other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.layout.plan.following import ChosenLayouts
from layoutopt.passes.propagate_layout import LayoutResult, PropagateLayout, rewrite_to


@dataclass(frozen=True)
class FollowLayout(ir.passes.InPlacePass):
    """Rewrite a graph to layouts that were chosen at other sizes, wherever they exist at these.

    Which layout costs least depends on the sizes. Two instances of one model that are to be merged need the same one.
    It stands in for ``propagate`` in the pipeline of the second instance, and is none that a text can name.

    Attributes:
        propagate: what chose the layouts.
        chosen: of each graph of the model, outer ones first.
    """

    propagate: PropagateLayout
    chosen: Sequence[ChosenLayouts]

    def call(self, model: ir.Model) -> LayoutResult:
        """Plan first, edits afterwards.

        Raises:
            CalibrationError: times are to be minimized, and the file of this machine's times is broken.
            UsageError: the layouts that the user asks for do not fit the model.
        """
        plans = self.propagate.plans(model, self.chosen)
        changed = {graph for graph, chosen in zip(plans, self.chosen, strict=False) if chosen.changed}
        return LayoutResult(model, rewrite_to(model, plans, changed), chosen=self.chosen)


def following(
    pipeline: Sequence[ir.passes.PassBase], chosen: Sequence[Sequence[ChosenLayouts]]
) -> tuple[ir.passes.PassBase, ...]:
    """Return a pipeline with what each layout propagation chose at other sizes in the place of its own choice."""
    each = iter(chosen)
    return tuple(FollowLayout(step, next(each)) if isinstance(step, PropagateLayout) else step for step in pipeline)
