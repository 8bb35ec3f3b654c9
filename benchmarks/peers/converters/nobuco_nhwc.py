"""nobuco with channels-last inputs and outputs, from the same seeded module that the ONNX file came from."""

from __future__ import annotations

import sys
from pathlib import Path

import nobuco
import tensorflow as tf
import torch

from benchmarks.models.networks import NETWORKS, build


def convert(network: str, tflite: Path) -> None:
    """Converts a network to Keras, and that with the default TFLite converter."""
    variant = NETWORKS[network].full
    model = nobuco.pytorch_to_keras(
        build(variant),
        args=[torch.zeros(variant.shape)],
        inputs_channel_order=nobuco.ChannelOrder.TENSORFLOW,
        outputs_channel_order=nobuco.ChannelOrder.TENSORFLOW,
    )
    tflite.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[3]))
