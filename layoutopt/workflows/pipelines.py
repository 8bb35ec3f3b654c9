"""The passes that options ask for, and what looks at the model after each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.ir import io as modelio
from layoutopt.ir.verify import Reference
from layoutopt.layout.plan.following import ChosenLayouts
from layoutopt.options import FOLD_LIMIT, Io, Layouts, Objective, TensorLayout, choose, choose_if_given
from layoutopt.outputs import Outputs
from layoutopt.passes import PASSES, REWRITES, PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import After
from layoutopt.pipeline.text import parse_pipeline, pass_name
from layoutopt.workflows.options import LayoutOptions

Pipeline = tuple[ir.passes.PassBase, ...]


@dataclass(frozen=True, slots=True)
class Dump:
    """The place to write the graph to after passes.

    Attributes:
        directory: for files called ``07-propagate-layout.onnx``.
        passes: names of passes; empty for all.
    """

    directory: Path
    passes: frozenset[str] = frozenset()


def follow(pipeline: Pipeline, chosen: Sequence[Sequence[ChosenLayouts]]) -> Pipeline:
    """Return a pipeline whose layout propagations follow what they chose for the same model at other sizes."""
    each = iter(chosen)
    return tuple(replace(step, chosen=next(each)) if isinstance(step, PropagateLayout) else step for step in pipeline)


def build_pipeline(options: LayoutOptions, text: str | None = None, *, fold_limit: int | None = None) -> Pipeline:
    """Return the passes that ``text`` names, or else the default pipeline with the options.

    Raises:
        UsageError: the text cannot be read, or options that it replaces are given too.
    """
    io, objective = choose_if_given(Io, options.io, "io"), choose_if_given(Objective, options.objective, "objective")
    layouts = {name: choose(TensorLayout, each, f"layouts[{name!r}]") for name, each in (options.layouts or {}).items()}
    if text is None:
        chosen = PropagateLayout(
            io=io or Io.FREE,
            objective=objective or PropagateLayout.objective,
            threads=1 if objective is Objective.BYTES else options.threads,
            layouts=Layouts.of(layouts),
        )
        return default_pipeline(
            chosen, exact=options.exact, fold_limit=FOLD_LIMIT if fold_limit is None else fold_limit
        )
    for option, said in (
        ("io", f"io={io.value}" if io else ""),
        ("layout", f"layouts={Layouts.of(layouts)}" if layouts else ""),
        ("objective", f"objective={objective.value}" if objective else ""),
    ):
        if said:
            hint = f"Say it in the pipeline: propagate-layout{{{said}}}."
            raise UsageError(f"--{option} has no say over --passes", hint=hint)
    if fold_limit is not None:
        hint = f"Say it in the pipeline: fold-constants{{limit={fold_limit}}}."
        raise UsageError("--fold-limit has no say over --passes", hint=hint)
    if options.exact:
        names = ", ".join(map(pass_name, REWRITES))
        raise UsageError("--exact has no say over --passes", hint=f"Leave these out of the pipeline: {names}.")
    return parse_pipeline(text)


def objective_of(pipeline: Sequence[ir.passes.PassBase]) -> Objective:
    """Return what the last choice of layouts in ``pipeline`` made small."""
    return [each.objective for each in pipeline if isinstance(each, PropagateLayout)][-1]


def dump_after(
    dump: Dump | None, pipeline: Sequence[ir.passes.PassBase], outputs: Outputs, *, force: bool
) -> Iterator[After]:
    """Yield what writes the graph after passes; its files are expected by ``outputs``.

    Raises:
        UsageError: there is no such pass.
        OutputError: a file cannot be written.
    """
    if dump is None:
        return
    unknown = dump.passes - {pass_name(each) for each in PASSES}
    if unknown:
        raise UsageError(f"--dump-after: there is no pass {min(unknown)!r}", hint="See: layoutopt passes.")
    outputs.make_directory(dump.directory, "--dump-dir")
    paths = {
        position: dump.directory / f"{position:02}-{pass_name(each)}.onnx"
        for position, each in enumerate(pipeline, start=1)
        if not dump.passes or pass_name(each) in dump.passes
    }
    for path in paths.values():
        outputs.expect(path, "--dump-after", force=force, companion=modelio.DATA)

    def write(position: int, name: str, model: ir.Model) -> None:
        del name
        if position in paths:
            with outputs.filling(paths[position]) as staged:
                modelio.write_model(model, staged)

    yield write


def check_after(reference: Reference | None, tolerance: float) -> Iterator[After]:
    """Yield what compares the model after each pass with the original; nothing where there is no reference."""
    if reference is not None:

        def check(position: int, name: str, model: ir.Model) -> None:
            reference.check(model, tolerance=tolerance, what=f"the model after pass {position} ({name})")

        yield check
