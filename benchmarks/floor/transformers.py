"""Transformers, plain and with shifted windows, and the convolutional network that imitates them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from keras import activations, layers, ops

from benchmarks.floor.layers import Tensor, classifier, conv, dense, dense_of, layer_norm
from benchmarks.floor.weights import Array, Scope


def vision_transformer(scope: Scope, x: Tensor, *, heads: int) -> Tensor:
    """Build ``VisionTransformer``."""
    x = _patches(scope["patches"], x)
    x = layers.Reshape((-1, x.shape[-1]))(x)
    has_token = "token" in scope
    if has_token:
        x = ops.concatenate([scope.take("token"), x], axis=1)
    x += scope.take("position")
    blocks = scope["blocks"].children()
    for attention, mlp in zip(blocks, blocks, strict=True):
        x = _residual(attention, x, partial(_attention, heads=heads))
        x = _residual(mlp, x, _mlp)
    x = layer_norm(scope["norm"], x)
    return dense(scope["head"], x[:, 0] if has_token else layers.GlobalAveragePooling1D()(x))


def swin_transformer(
    scope: Scope, x: Tensor, *, depths: tuple[int, ...], heads: tuple[int, ...], window: int
) -> Tensor:
    """Build ``SwinTransformer``."""
    patches, norm = scope["patches"].children()
    x = layer_norm(norm, _patches(patches, x))
    parts = scope["stages"].children()
    for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        if stage:
            x = _merged(next(parts), x)
        size = min(window, x.shape[1])
        for block in range(depth):
            shift = size // 2 if block % 2 and x.shape[1] > size else 0
            x = _residual(next(parts), x, partial(_window_attention, heads=count, window=size, shift=shift))
            x = _residual(next(parts), x, _mlp)
    return classifier(scope["head"], layer_norm(next(parts), x))


def convnext(scope: Scope, x: Tensor) -> Tensor:
    """Build ``ConvNeXt``."""
    *stages, norm, head = scope.children()
    for stage in stages:
        if "branch.0.weight" in stage:
            x = _convnext_block(stage["branch"], x)
        elif "weight" in stage:
            x = _patches(stage, x)
        else:
            x = layer_norm(stage[1], x)
    x = layers.GlobalAveragePooling2D()(x)
    return dense(head, layer_norm(norm[1], x))


def _patches(scope: Scope, x: Tensor) -> Tensor:
    """Return a convolution whose stride is the size of its kernel."""
    return conv(scope, x, stride=scope.shape("weight")[-1], padded=False)


def _residual(scope: Scope, x: Tensor, layer: Callable[[Scope, Tensor], Tensor]) -> Tensor:
    """Return the operand plus what ``layer`` makes of it, normalized."""
    norm, last = scope["branch"].children()
    return x + layer(last, layer_norm(norm, x))


def _convnext_block(scope: Scope, x: Tensor) -> Tensor:
    depthwise, norm, mlp, scale = scope.children()
    return x + _mlp(mlp, layer_norm(norm, conv(depthwise, x))) * scale.take("factor")


def _mlp(scope: Scope, x: Tensor) -> Tensor:
    widen, narrow = scope.children()
    return dense(narrow, activations.gelu(dense(widen, x), approximate=False))


def _attention(scope: Scope, x: Tensor, *, heads: int, bias: Array | None = None) -> Tensor:
    """Return attention within each set of tokens (B, N, C); ``bias`` is added to the scores."""
    _, count, width = x.shape
    qkv = scope["qkv"]
    parts = zip(*(np.split(array, 3) for array in qkv.take_all("weight", "bias")), strict=True)
    q, k, v = (dense_of(f"{qkv.name}.{part}", x, *arrays) for part, arrays in zip("qkv", parts, strict=True))
    q, k, v = (ops.transpose(ops.reshape(y, (-1, count, heads, width // heads)), (0, 2, 1, 3)) for y in (q, k, v))
    scores = ops.matmul(q * (width // heads) ** -0.5, ops.transpose(k, (0, 1, 3, 2)))
    if bias is not None:
        scores += bias
    joined = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
    return dense(scope["proj"], ops.reshape(joined, (-1, count, width)))


def _window_attention(scope: Scope, x: Tensor, *, heads: int, window: int, shift: int) -> Tensor:
    """Return attention within windows of (B, H, W, C), which are shifted against the picture."""
    count = window**2
    bias = scope.take("table")[scope.take("index")].reshape(count, count, heads).transpose(2, 0, 1)
    mask = scope.take("mask")
    bias = bias + mask[:, None] if shift else bias[None]
    _, rows, columns, width = x.shape
    if shift:
        x = ops.roll(x, (-shift, -shift), (1, 2))
    x = ops.reshape(x, (-1, rows // window, window, columns // window, window, width))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, count, width))
    x = _attention(scope, x, heads=heads, bias=bias)
    x = ops.reshape(x, (-1, rows // window, columns // window, window, window, width))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, width))
    return ops.roll(x, (shift, shift), (1, 2)) if shift else x


def _merged(scope: Scope, x: Tensor) -> Tensor:
    """Return the four tokens of each square as one of twice the width."""
    corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return dense(scope["reduce"], layer_norm(scope["norm"], layers.Concatenate()(corners)))
