"""litert-torch with channels-last inputs and outputs, from the same seeded module that the ONNX file came from."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import torch

from benchmarks.models.networks import NETWORKS, build

_PICTURE = 4


def convert(network: str, tflite: Path) -> None:
    """Convert a network; a result that is no picture keeps its order of axes."""
    variant = NETWORKS[network].full
    module = build(variant)
    picture = torch.zeros(variant.shape)
    with torch.no_grad():
        outputs = [0] if module(picture).ndim == _PICTURE else None
    channels_last = litert_torch.to_channel_last_io(module, args=[0], outputs=outputs).eval()
    litert_torch.convert(channels_last, (picture.permute(0, 2, 3, 1).contiguous(),)).export(str(tflite))


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[3]))
