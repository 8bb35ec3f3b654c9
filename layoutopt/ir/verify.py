"""ONNX Runtime as the judge: does a model compute what the original does?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.arrays import contiguous
from layoutopt.errors import InvalidModelError, UsageError, VerificationError
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.perm import Perm, invert
from layoutopt.ir.precision import (
    SMALLEST_SCALE,
    least_scales,
    least_tolerance,
    not_finite_outputs,
    not_finite_weights,
)
from layoutopt.ir.random_inputs import plain_integers
from layoutopt.ir.random_inputs import random_inputs as random_inputs  # read from here by all who judge
from layoutopt.ir.weights import Skeleton, is_large
from layoutopt.memory import trim
from layoutopt.options import TOLERANCE

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]


QUANTIZED_TOLERANCE = 0.1
"""The relative error that a quantized model on integers may have.

Each rounding of it agrees to one step, most of them exactly, but what a step more or less leads to grows from layer to
layer: in ONNX Runtime too, whose own two ways to compute a quantized MobileNetV2 of random weights are 0.2 apart.
"""


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """The error of one output, against the original's.

    Attributes:
        name: the output.
        max_abs_error: the largest absolute difference.
        mse: the mean of the squared differences.
        variance: the variance of the original's output, to judge the other two by.
        relative_error: ``max_abs_error`` over the largest absolute value of the original's output, or over
            ``SMALLEST_SCALE`` (``SMALLEST_SHARE``) if that is larger.
        not_finite: how many elements of the original's output are infinite or no number: of those it is only told
            whether they are the same.
        shapes: of the original's output and of this one, where they differ.
        sqnr: the power of the original's output over that of the difference, in dB: ``10 log10(sum y**2 / sum (y -
            q)**2)``; infinite where there is none.
    """

    name: str
    max_abs_error: float
    mse: float
    variance: float
    relative_error: float
    not_finite: int = 0
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    sqnr: float = inf


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of a comparison.

    Attributes:
        seed: of the random inputs.
        tolerance: the bound on ``relative_error``.
        outputs: one per graph output.
    """

    seed: int
    tolerance: float
    outputs: tuple[OutputDifference, ...]

    @property
    def passed(self) -> bool:
        """Return whether every output is within the tolerance."""
        return all(output.relative_error <= self.tolerance for output in self.outputs)

    @property
    def relative_error(self) -> float:
        """Return the largest over all outputs."""
        return max((output.relative_error for output in self.outputs), default=0.0)

    @property
    def max_abs_error(self) -> float:
        """Return the largest over all outputs."""
        return max((output.max_abs_error for output in self.outputs), default=0.0)

    @property
    def mse(self) -> float:
        """Return the largest over all outputs."""
        return max((output.mse for output in self.outputs), default=0.0)


class Reference:
    """The original model with inputs and the outputs that it gives for them.

    Args:
        model: of static shapes.
        seed: of the random inputs, as `random_inputs` draws them.
        inputs: an array for each input; random ones where it is None.

    Raises:
        InvalidModelError: ONNX Runtime cannot run the model.
        UsageError: it cannot on these inputs, which real ones may change.
    """

    def __init__(self, model: ir.Model, *, seed: int = 0, inputs: Arrays | None = None) -> None:
        self.seed = seed
        self._model = model
        self.orders = recorded_orders(model)
        operators = {node.op_type for node in model.graph.all_nodes()}
        self.has_quantized_operators = any(
            each.startswith(("QLinear", "QGemm", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulIntegerTo"))
            for each in operators
        )
        self._hint = f"{_RANKED_HINT}\n{_HINT}" if operators & _RANKING else _HINT
        self.is_quantized = self.has_quantized_operators or bool(operators & _QUANTIZING)
        self._least_tolerance = least_tolerance(model)
        self._scales = least_scales(model)
        self.inputs, self.outputs = _first_that_runs(model, seed) if inputs is None else (inputs, _ran(model, inputs))
        self.notes = (*not_finite_weights(model), *not_finite_outputs(self.outputs))

    def correct_ranks(self, model: ir.Model) -> None:
        """Give the outputs of ``model``, the original, the ranks that they have: some exporters tell others."""
        for value in model.graph.outputs:
            shape = self.outputs[str(value.name)].shape
            if value.shape is not None and len(value.shape) != len(shape):
                value.shape = ir.Shape(shape)

    def require(self, verification: Verification, what: str) -> None:
        """Raise unless every output is within the tolerance.

        Args:
            verification: the comparison with these outputs.
            what: was compared.

        Raises:
            VerificationError: names the output that is off the most, and says if the original itself is as unsteady.
        """
        if verification.passed:
            return
        worst = max(verification.outputs, key=lambda output: output.relative_error)
        if worst.shapes is not None:
            expected, actual = worst.shapes
            raise VerificationError(
                f"{what} gives output {worst.name!r} the shape {list(actual)}, and the original {list(expected)}",
                hint=self._hint,
            )
        hint, moved = self._hint, self.unsteadiness()
        if moved > worst.relative_error / 4:
            hint = (
                f"The original itself moves by {moved:.2g} when its inputs are off by one rounding, and its numbers "
                f"tell no more. Judge it by that: --tolerance {4 * moved:.1g}."
            )
        raise VerificationError(
            f"{what} differs from the original at output {worst.name!r}: max abs error {worst.max_abs_error:.3g}, "
            f"relative {worst.relative_error:.3g}, tolerance {verification.tolerance:g}, seed {self.seed}",
            hint=hint,
        )

    def unsteadiness(self) -> float:
        """Return the relative change of the outputs if float inputs change by one rounding."""
        off = {name: _off_by_one_rounding(array) for name, array in self.inputs.items()}
        return self.compare(run_onnx(self._model, off)).relative_error

    def compare(self, outputs: Arrays, *, tolerance: float = TOLERANCE) -> Verification:
        """Compare ``outputs``, in the layouts of the original, with the reference.

        What is computed in halves tells less, so that ``tolerance`` is never below what their rounding takes.
        """
        differences = [
            difference_of(name, self.outputs[name], outputs[name], smallest=scale)
            for name, scale in self._scales.items()
        ]
        return Verification(self.seed, max(tolerance, self._least_tolerance), tuple(differences))

    def check(
        self, model: ir.Model, *, tolerance: float = TOLERANCE, what: str = "the optimized model"
    ) -> Verification:
        """Run ``model`` on the same inputs.

        Raises:
            VerificationError: it cannot run, or an output is off by more than ``tolerance``.
        """
        orders = self.relative_orders(recorded_orders(model))
        try:
            outputs = run_onnx(model, to_stored(self.inputs, orders))
        except RuntimeError as error:
            raise VerificationError(f"{what} does not run in ONNX Runtime: {error}", hint=_HINT) from error
        if self.has_quantized_operators:  # whose rounding is not that of the QuantizeLinear in their place
            tolerance = max(tolerance, QUANTIZED_TOLERANCE)
        verification = self.compare(to_natural(outputs, orders), tolerance=tolerance)
        self.require(verification, what)
        return verification

    def relative_orders(self, orders: Mapping[str, Perm]) -> dict[str, Perm]:
        """Return ``orders`` of a result, less those that the original had already."""
        return {name: order for name, order in orders.items() if self.orders.get(name) != order}


def _first_that_runs(model: ir.Model, seed: int) -> tuple[Arrays, Arrays]:
    """Return random inputs and the outputs for them; where the drawn integers do not fit, ones or zeros may."""
    drawn = random_inputs(model, seed)
    if not any(array.dtype.kind in "iu" for array in drawn.values()):
        return drawn, _ran(model, drawn)
    for inputs in (drawn, plain_integers(drawn, 1), plain_integers(drawn, 0)):
        try:
            return inputs, run_onnx(model, inputs)
        except RuntimeError:
            continue
    return drawn, _ran(model, drawn)


def _ran(model: ir.Model, inputs: Arrays) -> Arrays:
    """Return the outputs.

    Raises:
        InvalidModelError: ONNX Runtime cannot run the model.
        UsageError: it may be that it only cannot on these integers.
    """
    try:
        return run_onnx(model, inputs)
    except RuntimeError as error:
        integers = [name for name, array in inputs.items() if array.dtype.kind in "iu"]
        if integers and not isinstance(error, NotLoadedError):
            raise UsageError(
                f"ONNX Runtime cannot run the model with these numbers for {', '.join(integers)}: {error}",
                hint="Give it real ones: --input data.npz, with an array for each input; or go without: --verify none.",
            ) from error
        raise InvalidModelError(
            f"ONNX Runtime cannot run the model: {error}", hint="Without it nothing can be verified: --verify none."
        ) from error


_QUANTIZING = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})


def _off_by_one_rounding(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    if array.dtype.kind != "f":
        return array
    digits = {2: 10, 4: 23, 8: 52}[array.dtype.itemsize]
    moved: npt.NDArray[np.generic] = (array.astype(np.float64) * (1 + 2.0**-digits)).astype(array.dtype)
    return moved


_HINT = "Find the pass to blame with --verify each, and please report the model."
_RANKING = frozenset({"NonMaxSuppression", "TopK"})
_RANKED_HINT = (
    "The model orders rows by scores: rounding exchanges those that are nearly equal, and random inputs have many. "
    "Verify on a picture with --input, or take the part before NonMaxSuppression or TopK with --outputs."
)


class NotLoadedError(RuntimeError):
    """ONNX Runtime does not take a model, whatever the inputs."""


def require_runnable(model: ir.Model) -> None:
    """Refuse a model that ONNX Runtime cannot run, as far as it has static shapes.

    Raises:
        InvalidModelError: with what it says.
    """
    if all(
        value.is_initializer() or (value.shape is not None and value.shape.is_static()) for value in model.graph.inputs
    ):
        try:
            run_onnx(model, random_inputs(model, 0))
        except RuntimeError as error:
            raise InvalidModelError(f"ONNX Runtime cannot run the model: {error}") from error


_SATURATING = frozenset({"ConvInteger", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"})


def run_onnx(model: ir.Model, inputs: Arrays, *, optimize: bool = True) -> dict[str, npt.NDArray[np.generic]]:
    """Run ``model`` in ONNX Runtime, without the fusions that reorder sums.

    A quantized model is computed as it says: QuantizeLinear and DequantizeLinear one by one, and the sums of quantized
    operators without the saturation to 16 bits that ONNX Runtime allows itself on processors without VNNI.

    Args:
        model: of static shapes.
        inputs: an array for each graph input.
        optimize: whether ONNX Runtime may fold constants and drop what does nothing.

    Raises:
        NotLoadedError: it cannot be loaded.
        RuntimeError: it cannot be run.
    """
    trim()  # of what was computed before: a session needs memory of its own
    try:
        return _run(model, inputs, optimize=optimize)
    finally:
        trim()  # of activations


def _run(model: ir.Model, inputs: Arrays, *, optimize: bool) -> dict[str, npt.NDArray[np.generic]]:
    import onnxruntime as ort

    ort.disable_telemetry_events()  # where somebody has loaded it before us
    skeleton = Skeleton.of(model, _can_be_fed)
    weights = {name: contiguous(weight.numpy()) for name, weight in skeleton.weights.items()}
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    options.enable_cpu_mem_arena = False  # it keeps what activations took until the process ends
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads would wait at work
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC if optimize else levels.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if optimize and any(node.op_type in _SATURATING for node in model.graph.all_nodes()):
        # The transformer that the next line asks for is one of these.
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = ort.InferenceSession(skeleton.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exceptions derive from Exception alone
        raise NotLoadedError(str(error).strip().splitlines()[0]) from error
    try:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {**weights, **inputs}), strict=True))
    except Exception as error:
        raise RuntimeError(str(error).strip().splitlines()[0]) from error


def _can_be_fed(value: ir.Value) -> bool:
    """Say whether ONNX Runtime can get the weight ``value`` as an input, which it does not copy.

    It prepares integers and the operands of its own operators in advance, if they are constants.
    """
    return (
        is_large(value)
        and value.dtype in _FED
        and all(node.domain not in ("com.microsoft", "ai.onnx.ml") for node in value.consumers())
    )


_FED = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


def to_stored(arrays: Arrays, orders: Mapping[str, Perm]) -> dict[str, npt.NDArray[np.generic]]:
    """Return arrays in the original's layout as a model with these stored orders takes them."""
    return {
        name: np.ascontiguousarray(array.transpose(orders[name])) if name in orders else array
        for name, array in arrays.items()
    }


def to_natural(arrays: Arrays, orders: Mapping[str, Perm]) -> dict[str, npt.NDArray[np.generic]]:
    """Return arrays from a model with these stored orders in the original's layout."""
    return {name: array.transpose(invert(orders[name])) if name in orders else array for name, array in arrays.items()}


def difference_of(
    name: str,
    expected: npt.NDArray[np.generic],
    actual: npt.NDArray[np.generic],
    *,
    smallest: float = SMALLEST_SCALE,
) -> OutputDifference:
    """Return the difference of ``actual`` from ``expected``; it is infinite if the shapes differ.

    Args:
        name: of the output.
        expected: what the original gives.
        actual: what the result gives.
        smallest: the least size that ``expected`` is judged as if it had.
    """
    if expected.shape != actual.shape:
        return OutputDifference(name, inf, inf, 0.0, inf, shapes=(expected.shape, actual.shape), sqnr=-inf)
    wide, other = expected.astype(np.float64), actual.astype(np.float64)
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference = np.where(same, 0.0, np.abs(wide - other))
    difference = np.where(np.isnan(difference), np.inf, difference)
    largest = float(difference.max(initial=0.0))
    finite = wide[np.isfinite(wide)]
    relative = largest / max(float(np.abs(finite).max(initial=0.0)), smallest)
    mse = float(np.mean(difference**2)) if difference.size else 0.0
    variance = float(finite.var()) if finite.size else 0.0
    with np.errstate(divide="ignore"):
        sqnr = float(10 * (np.log10(np.vdot(finite, finite)) - np.log10(mse * wide.size))) if mse else inf
    return OutputDifference(name, largest, mse, variance, relative, wide.size - finite.size, sqnr=sqnr)
