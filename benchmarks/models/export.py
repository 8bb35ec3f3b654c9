"""From a network to an ONNX model, by either of PyTorch's exporters."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import onnx_ir as ir
import torch
from torch import nn

from benchmarks.models.networks import Network, Shape, Variant, build
from layoutopt.frontend.pytorch import from_torch
from layoutopt.ir.io import parse
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
    """Export ``network``.

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
    """Export a module that was built already, whose input is of ``shape``."""
    return from_torch(
        module, torch.zeros(shape), exporter=exporter, opset=opset, input_names=[INPUT], output_names=[OUTPUT]
    )


def export_open(variant: Variant, axes: Mapping[int, str], *, opset: int = 17) -> ir.Model:
    """Export ``variant`` by the TorchScript exporter with axes of the input that stay symbolic.

    Args:
        variant: what to export, in evaluation mode.
        axes: the names of these axes.
        opset: asked for.
    """
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            build(variant),
            (torch.zeros(variant.shape),),
            buffer,
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: dict(axes), OUTPUT: {0: axes[0]} if 0 in axes else {}},
            dynamo=False,
        )
    return parse(buffer.getvalue(), "the export")
