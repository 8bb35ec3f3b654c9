"""Random weights for any network, such that every activation keeps about unit variance.

Errors mean something only where activations neither vanish nor explode, and nobody's initial weights promise that: some
start branches at zero so that they drop out, others leave normalizations without effect.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_SMALL = (0.1, 0.3)  # scales of residual branches
_RESIDUAL = ("add", "branch", "has_skip", "use_res_connect")  # how the packages say that a block has a shortcut
_PAST = ("downsample", "shortcut")  # what is on the shortcut
_PRODUCTS = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def randomise(module: nn.Module, pictures: torch.Tensor) -> None:
    """Give ``module``, in evaluation mode, weights that keep activations in range.

    Constant parameters become random, products are scaled such that what they compute has unit variance, and
    BatchNorms get the statistics of ``pictures``.

    Args:
        module: with its package's initial weights.
        pictures: ``(N, C, H, W)``, more than one.
    """
    for layer in module.modules():
        _break_symmetry(layer)
    for norm in _ends_of_branches(module):
        nn.init.uniform_(norm.weight, *_SMALL)
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    products = [layer for layer in module.modules() if isinstance(layer, _PRODUCTS)]
    hooks = [layer.register_forward_hook(_ScaleOnce()) for layer in products]
    for norm in norms:
        norm.train()
        norm.momentum = None  # running statistics are the plain mean over the batches
    with torch.no_grad():
        module(pictures)
        for hook in hooks:
            hook.remove()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum


def _break_symmetry(layer: nn.Module) -> None:
    """Draw the layer's own parameters that are constant, as normalizations and zeroed branches start out."""
    for parameter in layer.parameters(recurse=False):
        if parameter.numel() < 2 or float(parameter.detach().std()) > 0:
            continue
        value = float(parameter.detach().flatten()[0])
        if parameter.ndim >= 2 and min(parameter.shape[:2]) > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif value == 1:
            nn.init.uniform_(parameter, 0.7, 1.3)
        elif value == 0 and parameter is not getattr(layer, "weight", None):
            nn.init.normal_(parameter, std=0.1)
        else:  # a residual branch that starts out small, as it stays in trained networks; or a slope
            nn.init.uniform_(parameter, *_SMALL)


def _ends_of_branches(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the last BatchNorm of each residual block.

    Batch normalization makes rounding errors grow with depth in random networks, in trained ones it does not. Small
    branches keep them from it (Goyal et al., 2017, section 5.1).
    """
    for block in module.modules():
        if hasattr(block, "downsample") or any(getattr(block, flag, None) for flag in _RESIDUAL):
            ends = [
                layer
                for name, layer in block.named_modules()
                if isinstance(layer, _BatchNorm) and not name.startswith(_PAST)
            ]
            yield from ends[-1:]


class _ScaleOnce:
    """On its first call, scales the layer such that its result has unit variance."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, layer: nn.Module, _operands: object, result: torch.Tensor) -> torch.Tensor | None:
        deviation = float(result.std()) if result.numel() > 1 else 0.0
        if self.done or deviation == 0:
            return None
        self.done = True
        for parameter in (layer.weight, layer.bias):
            if isinstance(parameter, torch.Tensor):
                parameter.div_(deviation)
        return result / deviation
