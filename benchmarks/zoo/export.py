"""``python -m benchmarks.zoo.export KEY PATH``: exports one entry. Runs in the environment of the zoo."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.zoo.builders import build
from benchmarks.zoo.catalogue import Network, entries
from benchmarks.zoo.weights import randomise
from layoutopt.frontend.pytorch import from_torch
from layoutopt.ir.io import save

_SEED = 0


def prepared(network: Network) -> torch.nn.Module:
    """The module with random weights that keep activations in range."""
    torch.manual_seed(_SEED)
    module = build(network)
    shape = (max(4, network.shape[0]), *network.shape[1:])
    randomise(module, torch.randn(shape))
    return module


def main() -> None:
    """Exports, and prints how many parameters there are."""
    key, path = sys.argv[1], Path(sys.argv[2])
    entry = next(each for each in entries() if each.key == key)
    assert entry.export.exporter is not None
    module = prepared(entry.network)
    model = from_torch(
        module, torch.randn(entry.network.shape), exporter=entry.export.exporter, opset=entry.export.opset
    )
    save(model, path)


if __name__ == "__main__":
    main()
