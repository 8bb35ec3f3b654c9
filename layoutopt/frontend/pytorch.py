"""The front door for PyTorch modules."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from layoutopt.errors import ConversionError, MissingExtraError
from layoutopt.ir.io import parse
from layoutopt.options import Exporter

if TYPE_CHECKING:
    import torch


def from_torch(
    module: torch.nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor],
    *,
    exporter: Exporter = Exporter.LEGACY,
    opset: int = 17,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> ir.Model:
    """Export a module in evaluation mode, and put it back into the mode that it was in.

    Args:
        module: the network.
        example_inputs: a tensor, a sequence of tensors, or tensors by keyword, of the shapes for the model.
        exporter: which of PyTorch's exporters to use.
        opset: version of ONNX's default domain; the dynamo exporter writes 18 at least.
        input_names: names of the graph inputs; PyTorch's own where it is None.
        output_names: names of the graph outputs; PyTorch's own where it is None.

    Returns:
        A model for `layoutopt.optimize`.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ConversionError: the exporter failed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("PyTorch is not installed", hint="Install it: pip install 'layoutopt[torch]'")
    import torch

    keywords = dict(example_inputs) if isinstance(example_inputs, Mapping) else None
    if isinstance(example_inputs, torch.Tensor):
        example_inputs = (example_inputs,)
    training = module.training
    module.eval()
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is not there
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both exporters warn of their own internals
            program = torch.onnx.export(
                module,
                () if keywords is not None else tuple(example_inputs),
                None if exporter is Exporter.DYNAMO else buffer,
                kwargs=keywords,
                opset_version=max(opset, 18) if exporter is Exporter.DYNAMO else opset,
                input_names=list(input_names) if input_names else None,
                output_names=list(output_names) if output_names else None,
                dynamo=exporter is Exporter.DYNAMO,
                verbose=False,
            )
    except Exception as error:  # whatever the module or the exporter raises
        raise ConversionError(
            f"PyTorch's {exporter.value} exporter", str(error), hint="Try the other exporter, or another opset."
        ) from error
    finally:
        module.train(training)
    return ir.from_proto(program.model_proto) if program is not None else parse(buffer.getvalue(), "the exported model")
