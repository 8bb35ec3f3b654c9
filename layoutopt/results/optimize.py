"""The result of `layoutopt.optimize`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from layoutopt.backend.conversion import WinogradGain
from layoutopt.backend.litert.latency import Latency, Speedup
from layoutopt.ir.counts import Counts
from layoutopt.ir.perm import Perm, channels_last, channels_last_unbatched, invert, is_identity
from layoutopt.ir.verify import Verification
from layoutopt.layout.solver.problem import Assignment
from layoutopt.options import Objective
from layoutopt.pipeline.manager import PassRecord
from layoutopt.quantization.outcome import QuantizationReport
from layoutopt.results.check import CheckReport
from layoutopt.results.result import Result


class LayoutName(Enum):
    """The layout of a graph input or output."""

    NATURAL = "natural"
    """As the original has it."""
    CHANNELS_LAST = "channels-last"
    """N, spatial axes, C."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One graph input or output.

    Attributes:
        name: as the original calls it.
        shape: as the optimized model takes or gives it, -1 for a size that stays symbolic.
        dtype: numpy's name of the element type.
        layout: natural or channels-last.
        original_shape: as the original takes or gives it.
        feed: how to make this tensor from the original's (inputs), or the original's from this one (outputs), as
            numpy code; empty where they are the same.
        tflite_name: its name in the signature of the .tflite; empty where there is none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: LayoutName
    original_shape: tuple[int, ...]
    feed: str
    tflite_name: str = ""


class ModelKind(Enum):
    """The ways in which a model came to be."""

    PLAIN = "plain onnx-tf"
    """The baseline: onnxsim, onnx-tf as it is, the default TFLite converter."""
    PER_OPERATOR = "per-operator layout"
    """The baseline otherwise: our lowerings, every layout-sensitive operator between two Transposes."""
    LAYOUTOPT = "layoutopt"
    """Optimized, and converted in NHWC."""
    ONNX = "layoutopt, ONNX only"
    """Optimized, not converted, so the counts are those of the ONNX graph."""


@dataclass(frozen=True, slots=True)
class ModelStats:
    """The counts and measurements of one model: the baseline, or what was optimized.

    Attributes:
        kind: how it came to be.
        operators: all operators.
        transposes: operators that permute axes.
        pads: operators that pad.
        reshapes: operators that only change the shape.
        other_movement: all other operators that only move data.
        bytes_moved: bytes that the transposes write in one inference.
        histogram: how often each operator occurs.
        file_size: bytes of the file; 0 where none was written.
        latency_ms: median of an inference in milliseconds; None where it was not measured.
        latency_min_ms: minimum, likewise.
        max_abs_error: largest difference from ONNX Runtime on the original; None where it was not run.
        mse: mean squared difference, the largest over the outputs, likewise.
        error: why the preferred kind could not be had; empty where it could.
    """

    kind: ModelKind
    operators: int
    transposes: int
    pads: int
    reshapes: int
    other_movement: int
    bytes_moved: int
    histogram: Mapping[str, int]
    file_size: int = 0
    latency_ms: float | None = None
    latency_min_ms: float | None = None
    max_abs_error: float | None = None
    mse: float | None = None
    error: str = ""

    @classmethod
    def of(
        cls, kind: ModelKind, counts: Counts, *, file_size: int, verification: Verification | None, error: str = ""
    ) -> ModelStats:
        """Return the figures of a model from its counts and its comparison with the original."""
        return cls(
            kind,
            **{field.name: getattr(counts, field.name) for field in dataclasses.fields(counts)},
            file_size=file_size,
            max_abs_error=verification.max_abs_error if verification else None,
            mse=verification.mse if verification else None,
            error=error,
        )

    def timed(self, latency: Latency) -> ModelStats:
        """Return the same with its latency."""
        return dataclasses.replace(self, latency_ms=latency.median_ms, latency_min_ms=latency.minimum_ms)


@dataclass(frozen=True, slots=True)
class LayoutProof:
    """The outcome of the layout solve.

    Attributes:
        cost: what moving data costs in one inference under the chosen layouts.
        lower_bound: what it costs under any.
        proved_optimal: whether the two are known to be equal.
        unit: of both, bytes or ns.
        inside: of ``cost``, what operators move inside, such as a concatenation of short runs; the rest is TRANSPOSE.
        unpriced: transposes of values whose size is known at run time only; they are in no sum.
    """

    cost: int
    lower_bound: int
    proved_optimal: bool
    unit: str
    inside: int = 0
    unpriced: int = 0

    @classmethod
    def of(cls, assignment: Assignment, objective: Objective) -> LayoutProof:
        """Return the result of the solver, with the unit of its costs."""
        return cls(
            assignment.cost,
            assignment.lower_bound,
            assignment.proved_optimal,
            objective.unit,
            assignment.inside,
            assignment.unpriced,
        )


@dataclass(frozen=True, slots=True)
class ObjectiveChoice:
    """The cost in one inference of the layouts that one objective chooses.

    Attributes:
        objective: by which it was made.
        transposes: TRANSPOSE operators that it leaves.
        bytes_moved: bytes in these, and in the transposes inside operators.
        predicted_ns: nanoseconds that these take, and that operators take longer than in their fastest form.
    """

    objective: Objective
    transposes: int
    bytes_moved: int
    predicted_ns: int


@dataclass(frozen=True, slots=True)
class Multiplications:
    """The multiplications of all convolutions and products of matrices in one inference.

    Attributes:
        before: as the model says them.
        after: as the optimized model does.
    """

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """One set of sizes at which a result with symbolic dimensions was compared with the original.

    Attributes:
        sizes: by name of the dimension.
        onnx_error: largest error over the largest value of an output, of the .onnx in ONNX Runtime.
        tflite_error: the same of the .tflite in LiteRT; None where there is none.
    """

    sizes: Mapping[str, int]
    onnx_error: float
    tflite_error: float | None


@dataclass(frozen=True, slots=True)
class OptimizeReport(Result):
    """All that `layoutopt.optimize` did.

    Attributes:
        model: the input file; None for a model in memory.
        output: the optimized .onnx; None where none was asked for.
        tflite: the .tflite; None where none was asked for.
        saved_model: the SavedModel; None where none was asked for.
        pipeline: the passes as text.
        inputs: graph inputs of the optimized model.
        outputs: graph outputs of the optimized model.
        baseline: what a user without layoutopt would have; None where it was not asked for or cannot be had.
        optimized: the result.
        speedup: latency of the baseline over that of the result, with its verdict; None where not measured.
        layout: cost and proof; None where the pipeline chose no layouts.
        passes: one record per pass.
        verification: the optimized .onnx against the original in ONNX Runtime; None where it was not asked for.
        notes: what the user should know.
        versions: of the packages that took part.
        dynamic: the sizes at which the result was checked, where dimensions stay symbolic; the defaults come first.
        chosen_at: the sizes of those dimensions at which the layouts were chosen, and their cost counted.
        seconds: how long each stage took, in the order in which they began.
        multiplications: before and after; None where no pass ran.
        quantization: what it costs in exactness, by samples; None where there were none.
        check: which operators of the .tflite the target runs; None without a target.
        winograd_gain: what Winograd's algorithms would gain; None where they are used, where they contradict the
            options or the backend, and where they gain too little.
    """

    model: Path | None
    output: Path | None
    tflite: Path | None
    saved_model: Path | None
    pipeline: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    baseline: ModelStats | None
    optimized: ModelStats
    speedup: Speedup | None
    layout: LayoutProof | None
    passes: tuple[PassRecord, ...]
    verification: Verification | None
    notes: tuple[str, ...]
    versions: Mapping[str, str]
    dynamic: tuple[SizeCheck, ...] = ()
    chosen_at: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    multiplications: Multiplications | None = None
    quantization: QuantizationReport | None = None
    check: CheckReport | None = None
    winograd_gain: WinogradGain | None = None


def layout_name(order: Perm) -> LayoutName:
    """Return the name of an order of axes."""
    last = order in (channels_last(len(order)), channels_last_unbatched(len(order)))
    return LayoutName.CHANNELS_LAST if last and not is_identity(order) else LayoutName.NATURAL


def transposing(name: str, order: Perm, *, restore: bool) -> str:
    """Return NumPy code that puts the axes of ``name`` in ``order``, or back; empty where they are in place."""
    axes = ",".join(map(str, invert(order) if restore else order))
    return "" if is_identity(order) else f"{name}.transpose({axes})"
