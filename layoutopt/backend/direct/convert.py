"""From a model of ONNX or of the dialect to a .tflite, in this process and without TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import onnx_ir as ir

from layoutopt.backend.conversion import Conversion, Quantize, WinogradGain
from layoutopt.backend.direct.weights import halve_weights, quantize_weights, store_weights_in_bytes
from layoutopt.backend.direct.winograd_gain import predict_winograd_gain
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.process import forget_peak_memory, peak_memory
from layoutopt.errors import ConversionError, LayoutoptError, UnsupportedOperatorError, UsageError
from layoutopt.lowering import lower
from layoutopt.options import FOLD_LIMIT
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model
from layoutopt.tfl.limits import violations
from layoutopt.tfl.recorder import folding_up_to
from layoutopt.tfl.rewrites import FLOAT_RULES, INTEGER_RULES, RESIZABLE_RULES, Takes, rules_for, simplify
from layoutopt.tfl.rewrites.depthwise import split_depthwise_kernels
from layoutopt.tfl.rewrites.engine import RewriteRule
from layoutopt.tfl.rewrites.integers import use_integer_kernels
from layoutopt.tfl.rewrites.winograd import use_winograd

Progress = Callable[[str], None]
Rewrite = Callable[[Model], Model]
"""Makes a graph of a graph, which stays as it is."""


def convert_directly(
    model: ir.Model,
    tflite: Path,
    *,
    quantize: Quantize = Quantize.NONE,
    resizable: bool = False,
    fold_limit: int = FOLD_LIMIT,
    winograd: bool = False,
    rewrite: Rewrite | None = None,
    takes: Takes | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert a model of static shapes.

    Args:
        model: stays as it is. It may use the dialect ``layoutopt.nhwc``.
        tflite: where to write the .tflite; a file that is there is overwritten.
        quantize: what happens to the weights.
        resizable: whether the result is to be right at other sizes of images, too, once it is merged with its like.
        fold_limit: bytes up to which what repeats constants is stored as a constant itself.
        winograd: compute convolutions on floats by Winograd's algorithms where that is faster; not at sizes that may
            change, nor with weights in fewer bits.
        rewrite: makes another graph of the one that would be written, such as a quantized one.
        takes: tells what the target of the .tflite takes, which is preferred; None for LiteRT as it is.
        progress: called with a short name as each stage starts.

    Returns:
        The path, the names of inputs and outputs in the .tflite, what it cost, and what ``winograd`` would gain.

    Raises:
        UnsupportedOperatorError: nodes that cannot be lowered, or that LiteRT has no kernels for, all at once; nothing
            is written then.
        DynamicShapeError: an input of the model has a symbolic dimension.
        ConversionError: a stage failed.
        UsageError: a quantization that takes ranges of activations.
    """
    _refuse_samples(quantize)
    forget_peak_memory()
    stages = _StageReporter(progress or (lambda _stage: None))
    with stages("lowering"), folding_up_to(fold_limit):
        lowered = lower(model, resizable=resizable, share_bodies=not resizable)
    with stages("rewrites"), folding_up_to(fold_limit):
        stays_float = rewrite is None
        simplify(lowered.graph, _rules(takes, resizable=resizable, stays_float=stays_float))
        use_integer_kernels(lowered.graph)
        gain = None
        if stays_float:
            gain = _choose_convolutions(lowered.graph, quantize, resizable=resizable, winograd=winograd)
        _WEIGHTS[quantize](lowered.graph)
    if rewrite is not None:
        with stages("quantization"):
            lowered = rewrite(lowered)
    _check_limits(lowered.graph)
    with stages("write .tflite"):
        write_tflite(lowered, tflite)
    names = {name: name for name in lowered.input_names}, {name: name for name in lowered.output_names}
    return Conversion(tflite, None, *names, stages.seconds, peak_memory(), gain)


def _refuse_samples(quantize: Quantize) -> None:
    if quantize.takes_samples:
        raise UsageError(
            f"the direct backend has no {quantize.value} from random ranges",
            hint="Give samples to 'layoutopt optimize': --calibration.",
        )


def _check_limits(graph: Graph) -> None:
    """Refuse operations that LiteRT has no kernels for, all at once."""
    if found := violations(graph):
        raise UnsupportedOperatorError(
            "LiteRT has no kernels for these operations:\n  " + "\n  ".join(map(str, found)),
            hint="Cast the operands of these nodes to another type, or merge axes with a Reshape before them.",
            nodes=tuple(each.scope for each in found if each.scope),
        )


def _choose_convolutions(graph: Graph, quantize: Quantize, *, resizable: bool, winograd: bool) -> WinogradGain | None:
    """Replace convolutions on floats by others that are faster, or that LiteRT has kernels for.

    Returns:
        What Winograd's algorithms would gain where they are possible and not asked for.
    """
    if not quantize.rounds_operands:  # integers have large kernels
        split_depthwise_kernels(graph, resizable=resizable)
    if quantize is not Quantize.NONE or resizable:
        return None
    if not winograd:
        return predict_winograd_gain(graph)
    use_winograd(graph)
    return None


def _rules(takes: Takes | None, *, resizable: bool, stays_float: bool) -> Sequence[RewriteRule]:
    """Return the rules for a graph, and for its target if there is one."""
    rules = RESIZABLE_RULES if resizable else FLOAT_RULES if stays_float else INTEGER_RULES
    return rules if takes is None else rules_for(takes, rules)


_WEIGHTS: Mapping[Quantize, Callable[[Graph], None]] = {
    Quantize.NONE: lambda _: None,
    Quantize.FLOAT16: halve_weights,
    Quantize.DYNAMIC: quantize_weights,
    Quantize.INT4: partial(quantize_weights, linear=DType.INT4),
    Quantize.WEIGHTS: store_weights_in_bytes,
}


class _StageReporter:
    """Announce each stage, keep its time, and tell of a failure in which one it was."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._progress(name)
        start = time.perf_counter()
        try:
            yield
        except LayoutoptError:
            raise
        except Exception as error:
            raise ConversionError(name, f"{type(error).__name__}: {error}") from error
        finally:
            self.seconds[name] = time.perf_counter() - start
