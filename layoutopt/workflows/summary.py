"""The summary of what `optimize` made, as an `OptimizeReport`: shapes, layouts, counts and proofs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from layoutopt.backend.litert.inspect import signature_of
from layoutopt.ir import io as modelio
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.perm import identity, invert, permute
from layoutopt.ir.verify import Verification
from layoutopt.passes import REWRITES
from layoutopt.pipeline.manager import PassRecord, PipelineResult
from layoutopt.pipeline.text import format_pipeline, pass_name
from layoutopt.quantization.quantizer import Quantizer
from layoutopt.results.optimize import (
    LayoutProof,
    ModelKind,
    ModelStats,
    Multiplications,
    OptimizeReport,
    TensorInfo,
    layout_name,
    transposing,
)
from layoutopt.results.provenance import versions
from layoutopt.workflows.conversion import Artifact
from layoutopt.workflows.dynamic import DynamicModel
from layoutopt.workflows.pipelines import Pipeline, objective_of
from layoutopt.workflows.static import StaticModel


def summarize_onnx(
    rewriting: StaticModel | DynamicModel,
    pipeline: Pipeline,
    result: PipelineResult,
    verification: Verification | None,
    *,
    file_size: int,
) -> OptimizeReport:
    """Return what is known of an optimized model before it is converted.

    Args:
        rewriting: the model that was rewritten.
        pipeline: the passes that ran.
        result: of the passes.
        verification: the comparison of the result with the original; None where there was none.
        file_size: of the optimized .onnx in bytes; 0 where it is not written.
    """
    assignment, original = result.assignment, rewriting.original.graph
    return OptimizeReport(
        model=None,
        output=None,
        tflite=None,
        saved_model=None,
        pipeline=format_pipeline(pipeline),
        inputs=tuple(_tensors(original.inputs, result.model, restore=False)),
        outputs=tuple(_tensors(original.outputs, result.model, restore=True)),
        baseline=None,
        optimized=ModelStats.of(
            ModelKind.ONNX, count_onnx(result.model), file_size=file_size, verification=verification
        ),
        speedup=None,
        layout=LayoutProof.of(assignment, objective_of(pipeline)) if assignment else None,
        passes=result.records,
        verification=verification,
        notes=(*rewriting.notes, *(rewriting.reference.notes if rewriting.reference else ())),
        versions=versions(),
        dynamic=rewriting.checks,
        chosen_at=rewriting.chosen_at,
        multiplications=_multiplications(result.records),
    )


def with_tflite(
    report: OptimizeReport, optimized: Artifact, quantizer: Quantizer | None, *, allows_winograd: bool
) -> OptimizeReport:
    """Return the report with the counts of the .tflite instead of the ONNX graph's, and the names of its tensors.

    Args:
        report: of the ONNX graph.
        optimized: the .tflite.
        quantizer: what it was quantized by, which tells how exact it still is; None where it was not.
        allows_winograd: whether Winograd's algorithms go together with the options, so that their gain is told.
    """
    conversion = optimized.conversion
    names = {**conversion.input_names, **conversion.output_names}
    signature = signature_of(optimized.path)
    dtypes = {each.signature_name: each.dtype for each in (*signature.inputs, *signature.outputs)}

    def named(tensors: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
        found = [dataclasses.replace(each, tflite_name=names.get(each.name, "")) for each in tensors]
        if quantizer is None:
            return tuple(found)
        return tuple(dataclasses.replace(each, dtype=dtypes.get(each.tflite_name, each.dtype)) for each in found)

    return dataclasses.replace(
        report,
        inputs=named(report.inputs),
        outputs=named(report.outputs),
        optimized=optimized.stats,
        quantization=None if quantizer is None else quantizer.report,
        winograd_gain=conversion.winograd_gain if allows_winograd else None,
    )


def _multiplications(records: Sequence[PassRecord]) -> Multiplications | None:
    """Return them before the first pass that makes do with fewer, when all shapes are known, and after the last."""
    rewrites = [record for record in records if record.name in map(pass_name, REWRITES)]
    if not records:
        return None
    last = records[-1].multiplications_after
    return Multiplications(rewrites[0].multiplications_before if rewrites else last, last)


def _tensors(originals: Sequence[ir.Value], model: ir.Model, *, restore: bool) -> Iterator[TensorInfo]:
    """Yield what the optimized ``model`` takes for, or gives for, each of the original's tensors."""
    orders = modelio.recorded_orders(model)
    optimized = {value.name: value for value in (*model.graph.inputs, *model.graph.outputs)}
    for value in originals:
        name = str(value.name)
        if name not in optimized:  # an initializer that was listed as an input
            continue
        stored = optimized[name]
        shape = tuple(size if isinstance(size, int) else -1 for size in stored.shape or ())
        order = orders.get(name, identity(len(shape)))
        dtype = str(stored.dtype.numpy()) if stored.dtype is not None else ""
        yield TensorInfo(
            name,
            shape,
            dtype,
            layout_name(order),
            permute(shape, invert(order)),
            transposing(name, order, restore=restore),
        )
