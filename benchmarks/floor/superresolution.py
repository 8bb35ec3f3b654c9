"""Super-resolution by dense residual blocks, with two ways to enlarge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from keras import activations, layers, ops

from benchmarks.floor.layers import Tensor, conv, upsampled
from benchmarks.floor.weights import Scope

Upsampler = Callable[[Scope, Tensor], Tensor]
"""Doubles the resolution with the convolution of that name."""

_leaky = partial(activations.leaky_relu, negative_slope=0.2)


def nearest(scope: Scope, x: Tensor) -> Tensor:
    """Repeat each pixel, then convolve."""
    return conv(scope, upsampled(x))


def pixel_shuffle(scope: Scope, x: Tensor) -> Tensor:
    """Convolve to four times the channels, and make a square of each four: TensorFlow's are not side by side."""
    order = np.arange(4 * x.shape[-1]).reshape(-1, 4).T.ravel()
    return ops.depth_to_space(conv(scope, x, order=order), 2)


def rrdb(scope: Scope, x: Tensor, *, upsampler: Upsampler) -> Tensor:
    """Build ``RRDBNet``."""
    y = x = conv(scope["first"], x)
    *blocks, last = scope["body"].children()
    for block in blocks:
        y = _dense_blocks(block, y)
    x += conv(last, y)
    *enlarging, last = scope["enlarge"].children()
    for stage in enlarging:
        (only,) = stage.children()
        x = _leaky(upsampler(only, x))
    return conv(scope["head"], _leaky(conv(last, x)))


def _dense_blocks(scope: Scope, x: Tensor) -> Tensor:
    y = x
    for block in scope.children():
        y = _dense_block(block, y)
    return x + 0.2 * y


def _dense_block(scope: Scope, x: Tensor) -> Tensor:
    features = [x]
    for grow in scope["grow"].children():
        features.append(_leaky(conv(grow, _joined(features))))
    return x + 0.2 * conv(scope["join"], _joined(features))


def _joined(features: list[Tensor]) -> Tensor:
    return layers.Concatenate()(features) if len(features) > 1 else features[0]
