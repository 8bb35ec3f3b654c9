"""A model with dimensions that stay symbolic on its way to an optimized .onnx and .tflite that can be resized.

It is rewritten and converted at two sizes, merged, and judged at others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from layoutopt.backend.conversion import Conversion
from layoutopt.backend.litert.dynamic import merge_tflite
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.errors import ConversionError, DynamicShapeError, UsageError, VerificationError
from layoutopt.formula import Placeholder, Prefer
from layoutopt.ir import io as modelio
from layoutopt.ir.merge import merge_models
from layoutopt.ir.padding import spell_out_padding
from layoutopt.ir.placeholders import delay_readers, insert_placeholders
from layoutopt.ir.symbols import KEEP_FEWER, Sizes, SymbolicModel, format_sizes
from layoutopt.ir.verify import Reference, Verification, to_stored
from layoutopt.pipeline.manager import PipelineResult
from layoutopt.results.optimize import ModelKind, SizeCheck
from layoutopt.workflows.conversion import Artifact, Converter
from layoutopt.workflows.static import RunPipeline

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Pair:
    """The model rewritten at two sizes; ``run`` is how many rewrites there were before."""

    sizes: tuple[Sizes, Sizes]
    results: tuple[PipelineResult, PipelineResult]
    run: int
    placeholders: Mapping[str, Placeholder]


@dataclass(frozen=True, slots=True)
class _Judge:
    """The original at some sizes."""

    sizes: Sizes
    reference: Reference

    def check(self, check: Callable[[Reference], Verification]) -> Verification:
        """Return the result of ``check`` on the artifact.

        Raises:
            DynamicShapeError: where it finds a difference, or the result cannot run.
        """
        try:
            return check(self.reference)
        except (ConversionError, VerificationError) as error:
            raise DynamicShapeError(
                f"the dimension cannot stay symbolic: at {format_sizes(self.sizes)}, {error.message}", hint=KEEP_FEWER
            ) from error


class DynamicModel:
    """A model with dimensions that stay symbolic.

    Args:
        symbolic: the model.
        rewrites: run the pipeline; the first one, and others for where what it does depends on the size.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of an output.

    Attributes:
        original: the model at the default sizes.
        reference: its outputs there.
        chosen_at: the sizes at which layouts were chosen; the default ones until they have been.
        run: how many runs of the pipeline there were before the one that chose them.

    Raises:
        DynamicShapeError: the model does not run at the default sizes.
    """

    def __init__(
        self, symbolic: SymbolicModel, rewrites: Sequence[RunPipeline], *, seed: int, tolerance: float
    ) -> None:
        self._symbolic, self._rewrites, self._seed, self._tolerance = symbolic, rewrites, seed, tolerance
        self.reference = symbolic.reference(symbolic.defaults, seed)
        self.original = symbolic.at(symbolic.defaults)
        elsewhere = [judge for sizes in symbolic.elsewhere() if (judge := self._judge(sizes)) is not None]
        self._judges = [_Judge(symbolic.defaults, self.reference), *elsewhere]
        self._pairs: dict[str, _Pair] = {}
        self.chosen_at: Sizes = symbolic.defaults
        self.run = self._runs = 0
        self._found: tuple[Sequence[Verification], Sequence[Verification]] = ((), ())

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes for the reader of the report."""
        return (f"The layout is chosen, and its cost counted, at {format_sizes(self.chosen_at)}.",)

    @property
    def checks(self) -> tuple[SizeCheck, ...]:
        """Return the errors at the default sizes, and at others at which the original runs."""
        onnx, tflite = self._found
        return tuple(
            SizeCheck(judge.sizes, onnx[at].relative_error, tflite[at].relative_error if tflite else None)
            for at, judge in enumerate(self._judges)
        )

    def onnx(self) -> tuple[PipelineResult, Verification]:
        """Run the pipeline, and compare its result with the original at the default sizes.

        Raises:
            DynamicShapeError: the model does not allow it.
            LayoutoptError: whatever a pass raises on purpose.
        """

        def attempt(pair: _Pair, prefer: Prefer) -> tuple[PipelineResult, list[Verification]]:
            first, second = pair.results
            model = merge_models(first.model, second.model, pair.sizes, prefer, pair.placeholders)
            modelio.check_full(model)
            check = functools.partial(Reference.check, model=model, tolerance=self._tolerance)
            found = [judge.check(check) for judge in self._judges]
            self.chosen_at, self.run = pair.sizes[0], pair.run
            return dataclasses.replace(first, model=model), found

        result, found = self._first_that_works(attempt)
        self._found = found, ()
        return result, found[0]

    def tflite(self, result: PipelineResult, converter: Converter, *, saved_model: bool) -> Artifact:
        """Return the .tflite that can be resized.

        Raises:
            DynamicShapeError: the model does not allow it.
            UsageError: a SavedModel is asked for, too.
            LayoutoptError: as `Converter.run`.
        """
        if saved_model:
            raise UsageError("a SavedModel is of static shapes", hint="Go without --saved-model, or without --dynamic.")
        target = converter.path(ModelKind.LAYOUTOPT)
        orders = modelio.recorded_orders(result.model)
        stored = to_stored(self.reference.inputs, self.reference.relative_orders(orders))
        static: dict[int, tuple[Conversion, Conversion]] = {}

        def attempt(pair: _Pair, prefer: Prefer) -> tuple[Artifact, list[Verification]]:
            if modelio.recorded_orders(pair.results[0].model) != orders:
                at = ", and at ".join(map(format_sizes, pair.sizes))
                raise DynamicShapeError(f"other layouts are chosen for inputs or outputs at {at}", hint=KEEP_FEWER)
            if id(pair) not in static:
                static[id(pair)] = self._convert(pair, converter)
            first, second = static[id(pair)]
            assert first.tflite is not None
            assert second.tflite is not None
            names = first.input_names
            defaults = {names[name]: array.shape for name, array in stored.items() if name in names}
            placeholders = {
                names[name]: placeholder for name, placeholder in pair.placeholders.items() if name in names
            }
            merge_tflite(first.tflite, second.tflite, target, defaults, prefer, placeholders)

            def check(reference: Reference) -> Verification:
                verification = converter.compare(target, pair.results[0].model, first, reference)
                if converter.exact:
                    reference.require(verification, "the .tflite")
                return verification

            found = [judge.check(check) for judge in self._judges]
            return converter.artifact(ModelKind.LAYOUTOPT, target, first, found[0]), found

        made, found = self._first_that_works(attempt)
        self._found = self._found[0], found
        return made

    def _first_that_works(self, attempt: Callable[[_Pair, Prefer], Result]) -> Result:
        """Return the result of ``attempt`` at the first sizes where it succeeds, or raise its first failure."""
        not_run: list[DynamicShapeError] = []
        failures: list[DynamicShapeError] = []
        for sizes, rewrite in product(self._symbolic.instances(), self._rewrites):
            try:
                pair = self._pair(sizes, rewrite)
            except DynamicShapeError as error:
                not_run.append(error)
                continue
            for prefer in Prefer:
                try:
                    return attempt(pair, prefer)
                except DynamicShapeError as error:
                    failures.append(error)
        raise (failures or not_run)[0]

    def _pair(self, sizes: tuple[Sizes, Sizes], rewrite: RunPipeline) -> _Pair:
        key = f"{' '.join(map(format_sizes, sizes))} {self._rewrites.index(rewrite)}"
        if key not in self._pairs:
            references = [self._symbolic.reference(each, self._seed) for each in sizes]
            models = [self._symbolic.at(each) for each in sizes]
            placeholders = insert_placeholders(models, self._seed)
            run, self._runs = self._runs, self._runs + len(models)
            checked = [None] * 2 if placeholders else references  # whose inputs are others
            first = rewrite(models[0], checked[0])
            second = rewrite(models[1], checked[1], first)
            for result in (first, second) if placeholders else ():
                delay_readers(result.model.graph)
            self._pairs[key] = _Pair(sizes, (first, second), run, placeholders)
        return self._pairs[key]

    def _judge(self, sizes: Sizes) -> _Judge | None:
        try:
            return _Judge(sizes, self._symbolic.reference(sizes, self._seed))
        except DynamicShapeError:
            return None

    def _convert(self, pair: _Pair, converter: Converter) -> tuple[Conversion, Conversion]:
        """Return the .tflite at either size; neither is run, for only what they are merged to counts."""
        models = [result.model.clone() for result in pair.results]
        resizable = not all(symbol.is_batch for symbol in self._symbolic.symbols)
        if resizable:
            for model in models:
                spell_out_padding(model)
        with kept_alive():
            first, second = (
                dataclasses.replace(converter, folder=converter.folder / name, resizable=resizable).convert(
                    ModelKind.LAYOUTOPT, model
                )
                for name, model in zip(("first", "second"), models, strict=True)
            )
        return first, second
