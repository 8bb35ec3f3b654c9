"""Building blocks that the networks share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Activation = Callable[[], nn.Module]
"""Makes one activation module; ``nn.Identity`` for none."""


def rounded(channels: float, *, divisor: int = 8) -> int:
    """Return ``channels`` rounded to a multiple of ``divisor``, and never down by more than 10 %."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


class ConvBn(nn.Sequential):
    """A convolution without bias, batch normalization, an activation; ``same`` padding for odd kernels."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = nn.Identity,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            activation(),
        )


class Residual(nn.Module):
    """The operand plus what a few layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate that a two-layer bottleneck computes from the channels' means."""

    def __init__(self, channels: int, squeezed: int, *, activation: Activation, gate: Activation) -> None:
        super().__init__()
        self.gates = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, channels, 1),
            gate(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gates(x)


class InvertedResidual(nn.Module):
    """Expand, depthwise, optional squeeze-and-excite, project; a residual where the shapes allow it.

    Args:
        inputs: channels of the operand.
        expanded: channels of the depthwise convolution; equal to ``inputs`` leaves the expansion out.
        outputs: channels of the result.
        kernel: size of the depthwise kernel.
        stride: stride of the depthwise convolution.
        activation: after the expansion and after the depthwise convolution.
        excite: makes the squeeze-and-excite module for the expanded channels.
    """

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        activation: Activation,
        excite: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        stages: list[nn.Module] = [] if expanded == inputs else [ConvBn(inputs, expanded, activation=activation)]
        stages.append(ConvBn(expanded, expanded, kernel=kernel, stride=stride, groups=expanded, activation=activation))
        if excite is not None:
            stages.append(excite(expanded))
        self.branch = nn.Sequential(*stages, ConvBn(expanded, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x) if self.residual else self.branch(x)
