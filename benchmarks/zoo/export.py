"""``python -m benchmarks.zoo.export KEY PATH``: exports one entry. Runs in the environment of the zoo.

Beside a model of the article's set it leaves what the network gives in float64 for the inputs that the conversion is
checked with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from benchmarks.zoo.builders import build
from benchmarks.zoo.catalogue import OF_THE_ARTICLE, Network, entries
from benchmarks.zoo.interface import EXACT
from benchmarks.zoo.rows import in_one_line
from benchmarks.zoo.weights import randomise
from layoutopt.errors import ConversionError
from layoutopt.frontend.pytorch import from_torch
from layoutopt.ir.io import save
from layoutopt.ir.verify import random_inputs

_SEED = 0


def prepared(network: Network) -> torch.nn.Module:
    """Return the module with random weights that keep activations in range, or with its package's initial ones."""
    torch.manual_seed(_SEED)
    module = build(network)
    if network.initial:
        return module
    shape = (max(4, network.shape[0]), *network.shape[1:])
    randomise(module, torch.randn(shape))
    return module


def main() -> None:
    """Export, and print how many parameters there are."""
    key, path = sys.argv[1], Path(sys.argv[2])
    entry = next(each for each in entries() if each.key == key)
    assert entry.export.exporter is not None
    module = prepared(entry.network)
    example = torch.randn(entry.network.shape)
    try:
        model = from_torch(module, example, exporter=entry.export.exporter, opset=entry.export.opset)
    except ConversionError as error:
        sys.exit(f"{error}\n{in_one_line(error)}")  # the driver shows the last line
    save(model, path)
    if entry.network.name in OF_THE_ARTICLE:
        write_exact(module, model, path.with_name(EXACT))


def write_exact(module: torch.nn.Module, model: ir.Model, path: Path) -> None:
    """Save the outputs in float64, by name; nothing where the network needs float32 somewhere."""
    (array,) = random_inputs(model, _SEED).values()
    try:
        with torch.no_grad():
            found = module.double()(torch.from_numpy(array).double())
    except RuntimeError as error:
        print(f"not in float64: {error}")
        return
    names = [str(output.name) for output in model.graph.outputs]
    flat = torch.utils._pytree.tree_leaves(found)
    np.savez(path, **dict(zip(names, (each.numpy() for each in flat), strict=True)))


if __name__ == "__main__":
    main()
