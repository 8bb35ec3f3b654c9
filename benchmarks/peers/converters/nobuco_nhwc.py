"""nobuco with channels-last inputs and outputs, from the same seeded module that the ONNX file came from."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf
import torch

from benchmarks.models.networks import NETWORKS, build

# nobuco imports torchvision, whose published builds want CUDA; without it they lack the two operators that their
# import asks for. No network has them.
_TORCHVISION = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _TORCHVISION.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import nobuco  # noqa: E402


def convert(network: str, tflite: Path) -> None:
    """Convert a network to Keras, and that with the default TFLite converter."""
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
