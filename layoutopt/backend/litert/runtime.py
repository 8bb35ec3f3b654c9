"""Runs and times .tflite files on LiteRT, with XNNPACK as on a phone."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layoutopt.backend.litert.inspect import TfliteTensor, signature_of
from layoutopt.backend.litert.invocation import Array, litert, prepare_interpreter, run_once
from layoutopt.backend.litert.latency import Latency
from layoutopt.errors import UsageError

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

SAMPLE_SECONDS = 0.01
"""A sample lasts at least about this long: a fast model runs several times for one sample."""

MORE_ROUNDS = 10
"""Rounds that are added before it is asked again whether there are enough."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Setting:
    """The way in which LiteRT runs a model.

    Attributes:
        threads: that it may use.
        xnnpack: whether XNNPACK runs what it can; LiteRT's own kernels run everything otherwise.
        gpu: whether the GPU runs what it can, which is for phones alone.
    """

    threads: int = 1
    xnnpack: bool = True
    gpu: bool = False

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{'GPU, ' if self.gpu else ''}{threads}, {'with' if self.xnnpack else 'without'} XNNPACK"


@dataclass(frozen=True, slots=True)
class Subject:
    """A .tflite file under one setting, to be timed."""

    path: Path
    setting: Setting = Setting()


def run_tflite(path: Path, inputs: Mapping[str, Array], *, threads: int = 1, verbose: bool = False) -> dict[str, Array]:
    """Run a .tflite file once.

    Args:
        path: the file.
        inputs: an array for each input, by its name in the signature; by the tensor's name where there is none. A
            dynamic input takes the array's shape.
        threads: of XNNPACK.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        An array for each output, named in the same way.

    Raises:
        ModelNotFoundError, InvalidModelError: there is no such file, or it is not a .tflite file.
        UsageError: an input is missing, unknown, or of another type or shape; or there are no threads.
        ConversionError: LiteRT cannot run the file.
    """
    signature = signature_of(path)
    check_inputs(path, signature.inputs, inputs)
    # Not ascontiguousarray, which gives a scalar an axis.
    arrays = {tensor.index: np.asarray(inputs[tensor.signature_name], order="C") for tensor in signature.inputs}
    check_threads(threads)
    found = run_once(path, arrays, [tensor.index for tensor in signature.outputs], threads=threads, verbose=verbose)
    return {tensor.signature_name: array for tensor, array in zip(signature.outputs, found, strict=True)}


def run_all(path: Path, inputs: Mapping[str, Array], *, verbose: bool = False) -> dict[int, Array]:
    """Run a .tflite file once and keep all that it computes: one thread, and no XNNPACK, which would hide it.

    Args:
        path: the file.
        inputs: as `run_tflite` takes them.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        The tensors of the main graph by index, quantized ones as the real numbers that they stand for. Strings, handles
        and what was never computed are left out.

    Raises:
        LayoutoptError: as `run_tflite`.
    """
    signature = signature_of(path)
    check_inputs(path, signature.inputs, inputs)
    arrays = {tensor.index: np.ascontiguousarray(inputs[tensor.signature_name]) for tensor in signature.inputs}
    with litert(path, verbose=verbose):
        interpreter = prepare_interpreter(path, arrays, threads=1, keep_all=True)
        interpreter.invoke()
        found = {}
        for details in interpreter.get_tensor_details():
            if not np.issubdtype(details["dtype"], np.number) and details["dtype"] is not np.bool_:
                continue
            with contextlib.suppress(ValueError):  # never computed, so it has no data
                found[details["index"]] = dequantized(interpreter.get_tensor(details["index"]), details)
        return found


def dequantized(array: Array, details: Mapping[str, Any]) -> Array:
    """Return the real numbers that ``array`` stands for, by LiteRT's description; itself if it is not quantized."""
    found = details["quantization_parameters"]
    scales = found["scales"]
    if not scales.size or not np.issubdtype(array.dtype, np.integer):
        return array
    shape = [1] * array.ndim
    if scales.size > 1:
        shape[found["quantized_dimension"]] = scales.size
    offsets = found["zero_points"].astype(np.float32)
    real: Array = (array.astype(np.float32) - offsets.reshape(shape)) * scales.reshape(shape)
    return real


def quantized(array: Array, dtype: np.dtype[Any], scale: float, zero_point: int) -> Array:
    """Return real numbers as the integers of ``dtype`` that stand for them; those out of range become the last."""
    limits = np.iinfo(dtype)
    whole = np.rint(np.divide(array, np.float32(scale))) + zero_point
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(dtype))


def measure(
    models: Sequence[Path | Subject],
    *,
    threads: int = 1,
    rounds: int = 60,
    more: Callable[[tuple[Latency, ...]], bool] | None = None,
    warmup: int = 5,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    progress: Callable[[int, int], None] | None = None,
    verbose: bool = False,
) -> tuple[Latency, ...]:
    """Time .tflite files against each other.

    All of them are loaded, then every round takes one sample of each: A B C, then B C A, and so on, so that a change of
    clock or of load meets all of them alike. Inputs are random: standard normal for floats, all values for 8-bit
    integers, 0 and 1 for wider ones, which may be indices. Dynamic sizes are what they are in the file.
    The defaults take about 3 s for a pair of models of 10 ms each.

    Args:
        models: the files to compare, with XNNPACK, or each with a setting of its own.
        threads: of XNNPACK, for files without a setting.
        rounds: samples per model.
        more: asked after these, and again every 10 rounds, whether to go on; None stops.
        warmup: inferences of each model before the first sample.
        seed: of the inputs; models with equal input shapes get equal inputs.
        clock: in seconds; ``time.thread_time`` leaves out what other processes took, and is for one thread only.
        progress: called after each round with how many are done and how many there are.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        One ``Latency`` per model, in the order of ``models``.

    Raises:
        ModelNotFoundError, InvalidModelError: a file is missing, or is not a .tflite file.
        UsageError: no models, no rounds or no threads.
        ConversionError: LiteRT cannot run one of the files.
    """
    if not models or rounds < 1:
        raise UsageError("Nothing to measure.", hint="Give at least one model and one round.")
    timed = []
    for model in models:
        subject = model if isinstance(model, Subject) else Subject(model, Setting(threads))
        invoke = make_ready(subject, seed=seed, verbose=verbose)
        timed.append((invoke, _warm_up(invoke, warmup, clock)))
    samplers = [functools.partial(_sample, invoke, repeats, clock) for invoke, repeats in timed]
    return take_turns(samplers, rounds=rounds, more=more, progress=progress)


def take_turns(
    samplers: Sequence[Callable[[], float]],
    *,
    rounds: int,
    step: int = MORE_ROUNDS,
    more: Callable[[tuple[Latency, ...]], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Latency, ...]:
    """Take samples of several models in turns: A B C, then B C A, and so on.

    Args:
        samplers: each takes one sample of a model, in milliseconds.
        rounds: samples per model.
        step: how many rounds are added before ``more`` is asked again.
        more: asked after these whether to go on; None stops.
        progress: called after each round with how many are done and how many there are.

    Returns:
        One ``Latency`` per sampler, in their order.
    """
    samples: list[list[float]] = [[] for _ in samplers]
    done = 0
    while True:
        done += 1
        for turn in range(len(samplers)):
            index = (done - 1 + turn) % len(samplers)
            samples[index].append(samplers[index]())
        if progress is not None:
            progress(done, max(rounds, done))
        if done >= rounds and (done - rounds) % step == 0:
            latencies = tuple(Latency(tuple(taken)) for taken in samples)
            if more is None or not more(latencies):
                return latencies


def make_ready(subject: Subject, *, seed: int = 0, verbose: bool = False) -> Callable[[], None]:
    """Make a model ready to run on random inputs.

    Args:
        subject: the model and its setting.
        seed: of the inputs.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        What runs it once.

    Raises:
        LayoutoptError: as `measure`.
    """
    inputs = signature_of(subject.path).inputs
    arrays = random_arrays(inputs, seed)
    with litert(subject.path, verbose=verbose):
        interpreter = _prepare(subject, inputs, arrays)
        interpreter.invoke()  # what cannot run says so here
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def _sample(invoke: Callable[[], None], repeats: int, clock: Clock) -> float:
    """Return milliseconds per call, over ``repeats`` calls."""
    start = clock()
    for _ in range(repeats):
        invoke()
    return (clock() - start) * 1e3 / repeats


def _warm_up(invoke: Callable[[], None], count: int, clock: Clock) -> int:
    """Call at least twice, and return how many calls make a sample."""
    fastest = min(_sample(invoke, 1, clock) for _ in range(max(2, count)))
    return max(1, math.ceil(SAMPLE_SECONDS * 1e3 / fastest))


def random_arrays(tensors: Sequence[TfliteTensor], seed: int) -> list[Array]:
    """Return random arrays for inputs: the same for equal shapes and types."""
    rng = np.random.default_rng(seed)
    return [_random(tensor, rng) for tensor in tensors]


def _random(tensor: TfliteTensor, rng: np.random.Generator) -> Array:
    shape = tensor.default
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b" or (dtype.kind in "iu" and dtype.itemsize > 1):
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    raise UsageError(f"Input {tensor.signature_name!r} is of type {tensor.dtype}, which cannot be random.")


def check_inputs(path: Path, tensors: Sequence[TfliteTensor], inputs: Mapping[str, Array]) -> None:
    """Raise UsageError where ``inputs`` are not what these tensors take."""
    names = [tensor.signature_name for tensor in tensors]
    if set(names) != set(inputs):
        raise UsageError(f"{path}: inputs {sorted(inputs)} given.", hint=f"The model has {sorted(names)}.")
    for tensor in tensors:
        array = inputs[tensor.signature_name]
        fits = array.ndim == len(tensor.shape) and all(
            want in (-1, have) for want, have in zip(tensor.shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != tensor.dtype:
            raise UsageError(
                f"{path}: input {tensor.signature_name!r} is {array.dtype.name}{list(array.shape)}.",
                hint=f"The model takes {tensor.dtype}{list(tensor.shape)}.",
            )


def _prepare(subject: Subject, tensors: Sequence[TfliteTensor], arrays: Sequence[Array]) -> Interpreter:
    """Return an interpreter with its inputs set."""
    check_threads(subject.setting.threads)
    inputs = {tensor.index: array for tensor, array in zip(tensors, arrays, strict=True)}
    return prepare_interpreter(subject.path, inputs, threads=subject.setting.threads, xnnpack=subject.setting.xnnpack)


def check_threads(threads: int) -> None:
    """Raise UsageError where there are none."""
    if threads < 1:
        raise UsageError(f"{threads} threads cannot run a model.", hint="Give at least one.")
