"""From a network to an ONNX model, by either of PyTorch's exporters."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import nn

from benchmarks.models.networks import Network, Shape, build
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
    return export_module(build(variant, seed=seed), variant.shape, exporter=exporter, opset=opset)


def export_module(
    module: nn.Module, shape: Shape, *, exporter: Exporter = Exporter.LEGACY, opset: int = 17
) -> ir.Model:
    """Exports a module that was built already, whose input is of ``shape``."""
    return from_torch(
        module, torch.zeros(shape), exporter=exporter, opset=opset, input_names=[INPUT], output_names=[OUTPUT]
    )
