"""Runs passes in order, times and counts them, and holds each to its contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.errors import LayoutoptError, PassFailedError
from layoutopt.ir.counts import Counts, count_onnx
from layoutopt.layout.costs.arithmetic import multiplications
from layoutopt.layout.plan.following import ChosenLayouts
from layoutopt.layout.solver.problem import Assignment
from layoutopt.memory import few_collections
from layoutopt.passes.propagate_layout import LayoutResult
from layoutopt.pipeline.text import pass_name
from layoutopt.progress import PASSES

Start = Callable[[str], None]
"""Called as a pass starts, with its name as a step of the stage of all passes."""

After = Callable[[int, str, ir.Model], None]
"""Called after each pass with its position from 1, its name and the model: verification and dumps hang here."""


@dataclass(frozen=True, slots=True)
class PassRecord:
    """The record of one pass that ran.

    Attributes:
        name: as a pipeline text spells it.
        seconds: wall time.
        modified: what the pass says of itself.
        nodes_before: operators in the graph and its bodies.
        nodes_after: the same, after the pass.
        transposes_before: Transposes in the graph and its bodies.
        transposes_after: the same, after the pass.
        multiplications_before: of convolutions and products of matrices whose shapes are known.
        multiplications_after: the same, after the pass.
    """

    name: str
    seconds: float
    modified: bool
    nodes_before: int
    nodes_after: int
    transposes_before: int
    transposes_after: int
    multiplications_before: int = 0
    multiplications_after: int = 0


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """A model, and how it came to be.

    Attributes:
        model: after the last pass.
        records: one per pass, in order.
        assignment: cost and proof of the last layout propagation; None where there was none.
        chosen: the layouts that each layout propagation chose, in order.
    """

    model: ir.Model
    records: tuple[PassRecord, ...]
    assignment: Assignment | None
    chosen: tuple[Sequence[ChosenLayouts], ...] = ()


class PassManager:
    """Run passes in order.

    Args:
        passes: the pipeline.
        on_start: called as each pass starts.
        after: called after each pass, in order.
    """

    def __init__(
        self, passes: Sequence[ir.passes.PassBase], *, on_start: Start | None = None, after: Sequence[After] = ()
    ) -> None:
        self._passes = tuple(passes)
        self._on_start = on_start
        self._after = tuple(after)

    def run(self, model: ir.Model) -> PipelineResult:
        """Run all passes.

        Args:
            model: is changed by passes that work in place; hand over a clone to keep it.

        Raises:
            PassFailedError: a pass raised, or lost an input or output.
            LayoutoptError: whatever a pass or an instrument raises on purpose.
        """
        with few_collections():
            return self._run(model)

    def _run(self, model: ir.Model) -> PipelineResult:
        records = []
        layouts: list[LayoutResult] = []
        counts, products = count_onnx(model), multiplications(model)
        for position, pass_ in enumerate(self._passes, start=1):
            name = pass_name(pass_)
            if self._on_start:
                self._on_start(f"{PASSES}: {name}")
            start = time.perf_counter()
            result = _checked(position, pass_, model)
            seconds = time.perf_counter() - start
            model = result.model
            layouts += [result] if isinstance(result, LayoutResult) else []
            before = counts, products
            if result.modified:
                counts, products = count_onnx(model), multiplications(model)
            records.append(_record(name, seconds, result.modified, before, (counts, products)))
            for instrument in self._after:
                instrument(position, name, model)
        assignment = layouts[-1].assignment if layouts else None
        return PipelineResult(model, tuple(records), assignment, tuple(each.chosen for each in layouts))


def _record(
    name: str, seconds: float, modified: bool, before: tuple[Counts, int], after: tuple[Counts, int]
) -> PassRecord:
    (old, old_products), (new, new_products) = before, after
    nodes, transposes = (old.operators, new.operators), (old.transposes, new.transposes)
    return PassRecord(name, seconds, modified, *nodes, *transposes, old_products, new_products)


def _checked(position: int, pass_: ir.passes.PassBase, model: ir.Model) -> ir.passes.PassResult:
    """Run one pass and compare the interface before and after."""
    before = _interface(model)
    try:
        result = pass_(model)
    except LayoutoptError:
        raise
    except Exception as error:
        raise PassFailedError(f"pass {position} ({pass_name(pass_)}) failed: {error}", hint=_HINT) from error
    if _interface(result.model) != before:
        raise PassFailedError(
            f"pass {position} ({pass_name(pass_)}) changed the interface from {before} to {_interface(result.model)}",
            hint=_HINT,
        )
    return result


_HINT = "Please report the model; a pipeline without that pass may do (--passes)."


def _interface(model: ir.Model) -> tuple[tuple[str | None, str, int | None], ...]:
    """Return name, type and rank of every input and output, in order; sequences have no rank."""
    return tuple(
        (
            value.name,
            str(value.dtype),
            len(value.shape) if value.shape is not None and isinstance(value.type, ir.TensorType) else None,
        )
        for value in (*model.graph.inputs, *model.graph.outputs)
    )
