"""The floor for the U-Net: the same network written in Keras, channels last from the start, and its operator counts.

::

    python -m benchmarks.keras_floor [--small] [-o out/unet_keras.tflite]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layoutopt.backend.litert.inspect import count_tflite

if TYPE_CHECKING:
    import keras

RESOLUTION, SMALL_RESOLUTION = 256, 64


def unet(*, widths: Sequence[int], classes: int, resolution: int) -> keras.Model:
    """``UNetBilinear`` layer for layer, from (1, R, R, 3) to (1, R, R, classes).

    Args:
        widths: channels per level, finest first.
        classes: channels of the result.
        resolution: height and width R of the picture.
    """
    import keras

    layers = keras.layers

    def double_conv(x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5)(x))
        return x

    x = picture = keras.Input((resolution, resolution, 3), batch_size=1)
    skips = []
    for level, channels in enumerate(widths):
        x = double_conv(layers.MaxPooling2D()(x) if level else x, channels)
        skips.append(x)
    skips.pop()
    for channels in widths[-2::-1]:
        x = layers.UpSampling2D(interpolation="bilinear")(x)
        x = double_conv(layers.Concatenate()([skips.pop(), x]), channels)
    model = keras.Model(picture, layers.Conv2D(classes, 1)(x))
    _randomise(model)
    return model


def _randomise(model: keras.Model) -> None:
    """Gives every normalization statistics of its own, so that the converter cannot drop any of it as trivial."""
    import numpy as np

    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("batch_normalization"):
            scale, shift, mean, variance = (weight.shape for weight in layer.get_weights())
            layer.set_weights(
                [
                    rng.uniform(0.7, 1.3, scale),
                    rng.normal(0.0, 0.2, shift),
                    rng.normal(0.0, 0.2, mean),
                    rng.uniform(0.5, 1.5, variance),
                ]
            )


def convert(model: keras.Model, path: Path) -> None:
    """Writes ``model`` to ``path`` through the default TFLite converter."""
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints every variable that it saved
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    path.write_bytes(content)


def main() -> None:
    """Converts the network and prints its counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keras_floor", description="The floor for the U-Net.")
    parser.add_argument("--small", action="store_true", help="the small variant, for tests")
    parser.add_argument("-o", "--output", type=Path, help="keep the .tflite file here")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from benchmarks.models.unet import CLASSES, SMALL_WIDTHS, WIDTHS

    model = unet(
        widths=SMALL_WIDTHS if options.small else WIDTHS,
        classes=CLASSES,
        resolution=SMALL_RESOLUTION if options.small else RESOLUTION,
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = options.output or Path(scratch) / "unet_keras.tflite"
        convert(model, path)
        counts = count_tflite(path)
    print(f"{counts.operators} operators, {counts.transposes} TRANSPOSE, {counts.pads} PAD")
    for name, count in counts.histogram.items():
        print(f"{count:5d}  {name}")


if __name__ == "__main__":
    main()
