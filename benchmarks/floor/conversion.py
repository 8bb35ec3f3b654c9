"""From a network's name to its .tflite by way of Keras, and the proof that it is the same network."""

from __future__ import annotations

import contextlib
import io
from functools import lru_cache
from pathlib import Path

import keras
import tensorflow as tf
from torch import nn

from benchmarks.floor.networks import FLOORS
from benchmarks.floor.weights import Scope
from benchmarks.models import NETWORKS, Variant, build
from benchmarks.models.export import INPUT, OUTPUT, export_module
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.ir.verify import Reference, Verification, to_natural, to_stored


def convert(name: str, path: Path, *, small: bool) -> None:
    """Write a network to ``path`` through the default TFLite converter.

    Args:
        name: in ``FLOORS``.
        path: the .tflite file. Its input, and its result if that is a picture, are channels-last.
        small: the small variant.

    Raises:
        KeyError: the Keras network needs weights that the PyTorch one does not have.
        ValueError: it needs them in another shape, or does not want them all.
    """
    model = _keras_model(name, small=small)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints every variable that it saved
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path.write_bytes(content)


def check(name: str, path: Path, *, small: bool) -> Verification:
    """Hold the .tflite at ``path`` against ONNX Runtime on the network that PyTorch exports."""
    reference = Reference(export_module(_module(name, small=small), _variant(name, small=small).shape))
    signature = signature_of(path)
    (taken,), (made,) = signature.inputs, signature.outputs
    inputs = to_stored(reference.inputs, {INPUT: (0, 2, 3, 1)})
    outputs = run_tflite(path, {taken.signature_name: inputs[INPUT]})
    order = FLOORS[name].order
    return reference.compare(to_natural({OUTPUT: outputs[made.signature_name]}, {OUTPUT: order} if order else {}))


def _keras_model(name: str, *, small: bool) -> keras.Model:
    batch, channels, rows, columns = _variant(name, small=small).shape
    picture = keras.Input((rows, columns, channels), batch_size=batch)
    scope = Scope.of(_module(name, small=small))
    model = keras.Model(picture, FLOORS[name].variant(small=small)(scope, picture))
    scope.require_empty()
    return model


@lru_cache(maxsize=1)
def _module(name: str, *, small: bool) -> nn.Module:
    """Return the network in PyTorch, which gives its weights and judges."""
    return build(_variant(name, small=small))


def _variant(name: str, *, small: bool) -> Variant:
    return NETWORKS[name].small if small else NETWORKS[name].full
