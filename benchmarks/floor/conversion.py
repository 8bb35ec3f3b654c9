"""From a network's name to its .tflite by way of Keras, and the proof that it is the same network."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import keras
import tensorflow as tf

from benchmarks.floor.networks import FLOORS
from benchmarks.floor.weights import Scope
from benchmarks.models import NETWORKS, build, export
from benchmarks.models.export import INPUT, OUTPUT
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.litert.runtime import run
from layoutopt.ir.verify import Reference, Verification, to_natural


def convert(name: str, path: Path, *, small: bool) -> None:
    """Writes a network to ``path`` through the default TFLite converter.

    Args:
        name: in ``FLOORS``.
        path: the .tflite file. Its input, and its result if that is a picture, are channels-last.
        small: the small variant.

    Raises:
        KeyError, ValueError: the Keras network wants weights that the PyTorch one does not have, or the other way round.
    """
    model = _keras_model(name, small=small)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints every variable that it saved
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path.write_bytes(content)


def check(name: str, path: Path, *, small: bool) -> Verification:
    """Holds the .tflite at ``path`` against ONNX Runtime on the network that PyTorch exports."""
    reference = Reference(export(NETWORKS[name], small=small))
    signature = signature_of(path)
    (taken,), (made,) = signature.inputs, signature.outputs
    picture = reference.inputs[INPUT].transpose(0, 2, 3, 1)
    outputs = {OUTPUT: run(path, {taken.signature_name: picture})[made.signature_name]}
    order = FLOORS[name].order
    return reference.compare(to_natural(outputs, {OUTPUT: order} if order else {}))


def _keras_model(name: str, *, small: bool) -> keras.Model:
    variant = NETWORKS[name].small if small else NETWORKS[name].full
    scope = Scope.of(build(variant))
    batch, channels, rows, columns = variant.shape
    picture = keras.Input((rows, columns, channels), batch_size=batch)
    model = keras.Model(picture, FLOORS[name].variant(small=small)(scope, picture))
    if scope.arrays:
        raise ValueError(f"{name}: nothing in Keras has taken {', '.join(scope.arrays)}")
    return model
