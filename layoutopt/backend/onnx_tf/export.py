"""The child process that runs TensorFlow: reads jobs, reports events, writes the files it was asked for.

Started by `layoutopt.backend.onnx_tf.child`. The original standard output carries the events; file descriptor 1 is
turned to standard error before TensorFlow loads, so whatever it prints cannot get in between.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from layoutopt.backend.onnx_tf.protocol import ChildEvent, Failure, Job, Outcome
from layoutopt.backend.process import forget_peak_memory, peak_memory
from layoutopt.errors import LayoutoptError

if TYPE_CHECKING:
    import onnx
    import tensorflow as tf

    from layoutopt.ir.verify import Arrays

_INTEGERS = "int8"  # the quantization that needs ranges of activations
_SAMPLES = 8  # sets of inputs that ranges of activations are taken from


def main() -> int:
    """Run the jobs on standard input, one per line, until there are no more."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        _send(events, _run(Job.load(line), StageReporter(events)))
    return 0


def _run(job: Job, stages: StageReporter) -> ChildEvent:
    """Do one job; the event that ends it."""
    forget_peak_memory()
    try:
        inputs, outputs = _plain(job, stages) if job.plain else _convert(job, stages)
    except LayoutoptError as error:
        return ChildEvent(failure=Failure(type(error).__name__, error.message, error.hint))
    except Exception as error:
        return ChildEvent(failure=_failure(error, job))
    return ChildEvent(outcome=Outcome(inputs, outputs, stages.seconds, peak_memory()))


@dataclass(slots=True)
class StageReporter:
    """Announce each stage and keep its time."""

    events: TextIO
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Announce the stage ``name`` and time it."""
        _send(self.events, ChildEvent(stage=name))
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def _send(events: TextIO, event: ChildEvent) -> None:
    events.write(event.dump() + "\n")
    events.flush()


def _failure(error: Exception, job: Job) -> Failure:
    message = str(error).strip() or type(error).__name__
    hint = ""
    if type(error).__name__ == "ConverterError":
        message = _without_tracebacks(message)
    elif message.startswith("in user code:"):  # AutoGraph quotes the whole stack; the error stands last
        message = message.splitlines()[-1].strip().removeprefix(f"{type(error).__name__}: ")
    if "flex op" in message and not job.allow_flex:
        hint = "Some operators run only with TensorFlow inside: allow Flex operators, or rewrite them."
    elif "2147483647" in message or "2GB" in message:
        hint = "TensorFlow holds a graph in one protobuf of at most 2 GB."
    return Failure("ConversionError", f"{type(error).__name__}: {message}", hint)


def _without_tracebacks(message: str) -> str:
    """Return the converter's message without the Python stacks that it quotes for each operator."""
    lines = message.splitlines()
    telling = [line for line in lines if "error:" in line or " ops:" in line or line.lstrip().startswith("tf.")]
    return "\n".join(dict.fromkeys(line.split("error: ")[-1] for line in telling)) or message


# --- with our handlers -------------------------------------------------------------------------------------------


def _convert(job: Job, stages: StageReporter) -> tuple[dict[str, str], dict[str, str]]:
    with stages("import tensorflow"):
        from layoutopt.backend.direct.writer import write_tflite
        from layoutopt.backend.onnx_tf.backend import represent
        from layoutopt.backend.onnx_tf.finish import finish, scales_of
        from layoutopt.backend.onnx_tf.tflite_converter import converter_of
        from layoutopt.ir.io import load
    samples = _samples(job)
    with stages("onnx-tf"):
        replayed = represent(load(Path(job.model))).tf_module
        if called := replayed.python_operators():
            raise RuntimeError(f"these operators call back into Python, which a .tflite cannot: {', '.join(called)}")
    inputs, outputs = replayed.model.input_names, replayed.model.output_names
    scales = scales_of(replayed.model.graph)
    if job.saved_model is not None:
        with stages("write SavedModel"):
            _save(replayed.function, outputs, job.saved_model)
    if job.tflite is not None:
        with stages("TFLite converter"):
            converter = converter_of(replayed.function)
            del replayed
            gc.collect()  # the graph hangs together in cycles, and with it all weights
            content = _finish(converter, job, [list(sample.values()) for sample in samples])
        with stages("write .tflite"):
            write_tflite(finish(content, inputs, outputs, scales), Path(job.tflite))
    return {name: name for name in inputs}, {name: name for name in outputs}


def _save(function: tf.types.experimental.ConcreteFunction, outputs: Sequence[str], directory: str) -> None:
    """Write a SavedModel whose signature has the ONNX names as far as TensorFlow takes them."""
    import tensorflow as tf

    from layoutopt.backend.onnx_tf.names import identifiers

    names = identifiers(outputs)
    arguments = function.structured_input_signature[0]

    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, function(*tensors), strict=True))

    served = tf.function(serve, autograph=False).get_concrete_function(*arguments)
    tf.saved_model.save(tf.Module(), directory, signatures={"serving_default": served})


def _finish(converter: tf.lite.TFLiteConverter, job: Job, samples: Sequence[object]) -> bytes:
    """Convert to a .tflite; ``samples`` are sets of inputs, for ranges of activations."""
    import tensorflow as tf

    if job.quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job.quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if job.quantize == _INTEGERS:
        converter.representative_dataset = lambda: samples
    if job.allow_flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    content: bytes = converter.convert()
    return content


def _samples(job: Job) -> list[Arrays]:
    """Return random inputs by name, where ranges of activations are wanted; elsewhere they would only take memory."""
    if job.quantize != _INTEGERS:
        return []
    from layoutopt.ir.io import load
    from layoutopt.ir.verify import random_inputs

    model = load(Path(job.model))
    return [random_inputs(model, seed) for seed in range(_SAMPLES)]


# --- onnx-tf untouched -------------------------------------------------------------------------------------------


def _plain(job: Job, stages: StageReporter) -> tuple[dict[str, str], dict[str, str]]:
    """Convert as onnx-tf's documentation says: prepare, export_graph, TFLiteConverter.from_saved_model."""
    with stages("import tensorflow"):
        import onnx
        import tensorflow as tf

        from layoutopt.backend.onnx_tf.compat import import_onnx_tf

        onnx_tf = import_onnx_tf()
    directory = job.saved_model or str(Path(job.scratch) / "plain")
    with stages("onnx-tf"):
        model = onnx.load(job.model)
        inputs, outputs = _rename_interface(model)
        samples = [{inputs[name]: array for name, array in each.items()} for each in _samples(job)]
        rep = onnx_tf.prepare(model)
    with stages("write SavedModel"):
        rep.export_graph(directory)
    if job.tflite is not None:
        with stages("TFLite converter"):
            content = _finish(tf.lite.TFLiteConverter.from_saved_model(directory), job, samples)
        with stages("write .tflite"):
            Path(job.tflite).write_bytes(content)
    return inputs, outputs


def _rename_interface(model: onnx.ModelProto) -> tuple[dict[str, str], dict[str, str]]:
    """Give inputs and outputs names that are Python identifiers, in place.

    onnx-tf looks its inputs up under their ONNX names, yet TensorFlow hands them over under names that it has cleaned:
    a name like ``input.1`` ends in a KeyError. Nothing else is in the way of running onnx-tf on a current TensorFlow.
    """
    from layoutopt.backend.onnx_tf.names import identifiers, rename

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    taken = identifiers([*inputs, *outputs])
    table = dict(zip([*inputs, *outputs], taken, strict=True))
    rename(model.graph, {old: new for old, new in table.items() if old != new})
    return {name: table[name] for name in inputs}, {name: table[name] for name in outputs}
