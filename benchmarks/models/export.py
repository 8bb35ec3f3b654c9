"""From a network to an ONNX model, by either of PyTorch's exporters."""

from __future__ import annotations

import onnx_ir as ir
import torch

from benchmarks.models.networks import Network, build
from layoutopt.frontend.pytorch import from_torch
from layoutopt.options import Exporter

INPUT, OUTPUT = "input", "output"


def export(
    network: Network,
    *,
    exporter: Exporter = Exporter.LEGACY,
    opset: int = 17,
    small: bool = False,
    seed: int = 0,
) -> ir.Model:
    """Exports ``network``.

    Args:
        network: what to export, in evaluation mode.
        exporter: the TorchScript one, or the one built on ``torch.export``.
        opset: asked for; the newer exporter goes no lower than 18.
        small: the small variant.
        seed: of the weights.
    """
    variant = network.small if small else network.full
    return from_torch(
        build(variant, seed=seed),
        torch.zeros(variant.shape),
        exporter=exporter,
        opset=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
    )
