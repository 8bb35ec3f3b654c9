"""The parts that all conversions to a .tflite share: backends, settings, and the outcome."""

from __future__ import annotations

import enum
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt import errors

MAX_BYTES = 2**31
"""Of a model by TensorFlow: it hands its graphs over as one message of protobuf."""


class Backend(enum.Enum):
    """The converters to a .tflite."""

    DIRECT = "direct"
    """layoutopt itself: no TensorFlow, a tenth of the time and of the memory."""
    ONNX_TF = "onnx-tf"
    """onnx-tf and the TFLite converter, by which SavedModels and operators of TensorFlow can be had too."""


class Quantize(enum.Enum):
    """The kinds of weights and arithmetic in a .tflite."""

    NONE = "none"
    """Leave them in float32."""
    DYNAMIC = "dynamic"
    """Dynamic-range quantization: int8 weights, float activations."""
    WEIGHTS = "weights"
    """int8 weights in the file, float32 arithmetic: a quarter of the size. By the direct backend only."""
    INT4 = "int4"
    """As dynamic, with int4 weights in large linear layers (FULLY_CONNECTED). By the direct backend only."""
    FLOAT16 = "float16"
    """Weights in half precision; XNNPACK computes with them in float32."""
    INT8 = "int8"
    """Weights and activations in int8, by samples. Where a benchmark converts, the ranges come from random inputs, so
    that only the latency is that of a model which was quantized with real ones."""
    MIXED = "mixed"
    """As int8, but with as many operators on floats as the outputs need to be as exact as asked for."""

    @property
    def takes_samples(self) -> bool:
        """Return whether ranges of activations are needed."""
        return self in (Quantize.INT8, Quantize.MIXED)

    @property
    def rounds_operands(self) -> bool:
        """Return whether the operands of layers with weights are made integers at run time."""
        return self in (Quantize.DYNAMIC, Quantize.INT4)


def choose_backend(
    backend: Backend | None,
    *,
    saved_model: bool = False,
    allow_flex: bool = False,
    quantize: Quantize = Quantize.NONE,
    size: int = 0,
    open_sizes: bool = False,
    direct_only: str = "",
) -> Backend:
    """Return the backend to use: the one that is asked for, or onnx-tf's where it is installed, else the direct one.

    Args:
        backend: that is asked for.
        saved_model: whether a SavedModel is.
        allow_flex: whether operators of TensorFlow are.
        quantize: what happens to the weights.
        size: of the model in bytes; above `MAX_BYTES` it is for the direct backend.
        open_sizes: whether sizes other than the batch stay open. They are for the direct backend: TensorFlow's
            converter merges a PAD into what follows it at some sizes alone, which then is wrong at others.
        direct_only: the option that chooses operators, as the direct backend alone does; empty for none.

    Raises:
        UsageError: one of them is asked for what only the other can do.
        MissingExtraError: onnx-tf's backend is needed, and it is not installed.
    """
    wanted = "--saved-model" if saved_model else "--allow-flex" if allow_flex else ""
    if quantize.takes_samples or quantize in (Quantize.WEIGHTS, Quantize.INT4):
        if other := wanted or ("--backend onnx-tf" if backend is Backend.ONNX_TF else ""):
            raise errors.UsageError(
                f"--quantize {quantize.value} is done without TensorFlow", hint=f"Go without {other}."
            )
        return Backend.DIRECT
    if direct_only and (other := wanted or ("--backend onnx-tf" if backend is Backend.ONNX_TF else "")):
        raise errors.UsageError(
            f"{direct_only} chooses operators, and TensorFlow's converter chooses others", hint=f"Go without {other}."
        )
    if backend is Backend.DIRECT and wanted:
        raise errors.UsageError(f"{wanted} needs TensorFlow.", hint="Use --backend onnx-tf for it.")
    if backend is Backend.ONNX_TF or wanted:
        require_onnx_tf()
        if size > MAX_BYTES:
            raise errors.UsageError(
                f"the model has {size / 1e9:.1f} GB, and TensorFlow takes models up to {MAX_BYTES / 1e9:.1f} GB",
                hint="Convert it with --backend direct, which takes any size.",
            )
        return Backend.ONNX_TF
    direct = direct_only or open_sizes or size > MAX_BYTES or missing_for_onnx_tf()
    return backend or (Backend.DIRECT if direct else Backend.ONNX_TF)


def missing_for_onnx_tf() -> list[str]:
    """Return the packages of the extra ``onnx-tf`` that are not installed."""
    return [name for name in ("tensorflow", "onnx_tf") if importlib.util.find_spec(name) is None]


def require_onnx_tf() -> None:
    """Refuse to go on without the extra ``onnx-tf``.

    Raises:
        MissingExtraError: it is not installed; the hint tells how to install it on this Python.
    """
    if not (missing := missing_for_onnx_tf()):
        return
    hint = "Install the extra: pip install 'layoutopt[onnx-tf]'"
    if sys.version_info >= (3, 12):
        # onnx-tf requires tensorflow-addons, which has no wheel for these versions and is not needed.
        hint += "\nand then, on Python 3.12 and newer: pip install --no-deps onnx-tf==1.10.0"
    raise errors.MissingExtraError(f"not installed: {', '.join(missing)}", hint=hint)


@dataclass(frozen=True, slots=True)
class WinogradGain:
    """The predicted effect of computing the convolutions of a .tflite by Winograd's algorithms.

    Attributes:
        convolutions: the number of those that would be replaced.
        nanoseconds_before: of all CONV_2D in one inference as they are, on one thread of a CPU.
        nanoseconds_after: of the same with those convolutions replaced.
        file_growth: bytes by which the weights in the file become larger; the operators add some percent to that.
    """

    convolutions: int
    nanoseconds_before: float
    nanoseconds_after: float
    file_growth: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """The outcome of `convert_model`.

    Attributes:
        tflite: the .tflite, or None if none was asked for.
        saved_model: the SavedModel directory, or None if none was asked for.
        input_names: ONNX graph input to its name in the .tflite's ``serving_default`` signature.
        output_names: ONNX graph output to its name in the .tflite's ``serving_default`` signature.
        seconds: wall time by stage.
        peak_memory: largest resident size of the child process, in bytes; 0 where the system does not tell.
        winograd_gain: what Winograd's algorithms would gain in addition; None where that is too little, where the
            backend or the kind of weights or sizes does not allow them, and where they are used.
    """

    tflite: Path | None
    saved_model: Path | None
    input_names: Mapping[str, str]
    output_names: Mapping[str, str]
    seconds: Mapping[str, float]
    peak_memory: int
    winograd_gain: WinogradGain | None = None
