"""litert-torch with channels-last pictures, from the same seeded module of the zoo that the ONNX file came from."""

from __future__ import annotations

import sys
from pathlib import Path

import litert_torch
import torch

from benchmarks.zoo.catalogue import NETWORKS
from benchmarks.zoo.export import prepared

_PICTURE = 4


def convert(network: str, tflite: Path) -> None:
    """Convert a network; a result that is no picture keeps its order of axes."""
    known = NETWORKS[network]
    module, picture = prepared(known).eval(), torch.zeros(known.shape)
    with torch.no_grad():
        outputs = torch.utils._pytree.tree_leaves(module(picture))
    pictures = [at for at, output in enumerate(outputs) if output.ndim == _PICTURE]
    channels_last = litert_torch.to_channel_last_io(module, args=[0], outputs=pictures or None).eval()
    litert_torch.convert(channels_last, (picture.permute(0, 2, 3, 1).contiguous(),)).export(str(tflite))


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[3]))
