"""From a network to an ONNX file, by either of PyTorch's exporters."""

from __future__ import annotations

import logging
import warnings
from enum import StrEnum
from pathlib import Path

import torch

from benchmarks.models.networks import Network, build

INPUT, OUTPUT = "input", "output"


class Exporter(StrEnum):
    """Which of PyTorch's two exporters writes the file."""

    LEGACY = "legacy"
    DYNAMO = "dynamo"


def export(
    network: Network,
    path: Path,
    *,
    exporter: Exporter = Exporter.LEGACY,
    opset: int = 17,
    small: bool = False,
    keep_batch_norm: bool = False,
    seed: int = 0,
) -> None:
    """Writes ``network`` to ``path`` as one self-contained file.

    Args:
        network: what to export, in evaluation mode.
        path: the file to write; its folder is made.
        exporter: the TorchScript one, or the one built on ``torch.export``.
        opset: asked for; the newer exporter goes no lower than 18.
        small: the small variant.
        keep_batch_norm: leave BatchNormalization nodes as they are; only the older exporter can.
        seed: of the weights.

    Raises:
        ValueError: ``keep_batch_norm`` with the newer exporter.
    """
    if keep_batch_norm and exporter is Exporter.DYNAMO:
        raise ValueError("only the legacy exporter can keep BatchNormalization nodes")
    variant = network.small if small else network.full
    path.parent.mkdir(parents=True, exist_ok=True)
    module, example = build(variant, seed=seed), torch.zeros(variant.shape)
    names = {"input_names": [INPUT], "output_names": [OUTPUT]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of the exporters themselves
        if exporter is Exporter.DYNAMO:
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every torchvision operator it lacks
            torch.onnx.export(
                module,
                (example,),
                path,
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
                **names,
            )
            return
        training = torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(module, (example,), str(path), opset_version=opset, dynamo=False, training=training, **names)
