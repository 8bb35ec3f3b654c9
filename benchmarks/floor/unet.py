"""U-Nets: one that upsamples bilinearly, a nested one, and one without batch normalization."""

from __future__ import annotations

from keras import activations, layers, ops

from benchmarks.floor.layers import EPSILON, Tensor, call, conv, conv_bn
from benchmarks.floor.weights import Scope
from benchmarks.models.unet import GROUPS


def unet_bilinear(scope: Scope, x: Tensor) -> Tensor:
    """Build ``UNetBilinear``."""
    skips: list[Tensor] = []
    for block in scope["down"].children():
        x = _double_conv(block, layers.MaxPooling2D()(x) if skips else x)
        skips.append(x)
    skips.pop()
    for block in scope["up"].children():
        x = _double_conv(block, layers.Concatenate()([skips.pop(), _upsampled(x)]))
    return conv(scope["head"], x)


def unet_plus_plus(scope: Scope, x: Tensor) -> Tensor:
    """Build ``UNetPlusPlus``."""
    rows: list[list[Tensor]] = []
    for block in scope["down"].children():
        x = _double_conv(block, layers.MaxPooling2D()(x) if rows else x)
        rows.append([x])
    for column in scope["nested"].children():
        for row, below, block in zip(rows, rows[1:], column.children(), strict=False):
            row.append(_double_conv(block, layers.Concatenate()([*row, _upsampled(below[-1])])))
        rows.pop()
    return conv(scope["head"], rows[0][-1])


def unet_transposed(scope: Scope, x: Tensor) -> Tensor:
    """Build ``UNetTransposed``."""
    skips: list[Tensor] = []
    for block in scope["down"].children():
        x = _normalized_convs(block, layers.MaxPooling2D()(x) if skips else x)
        skips.append(x)
    skips.pop()
    for enlarge, block in zip(scope["enlarge"].children(), scope["up"].children(), strict=True):
        x = _normalized_convs(block, layers.Concatenate()([skips.pop(), _enlarged(enlarge, x)]))
    return conv(scope["head"], x)


def _double_conv(scope: Scope, x: Tensor) -> Tensor:
    for each in scope.children():
        x = conv_bn(each, x, activation=activations.relu)
    return x


def _upsampled(x: Tensor) -> Tensor:
    return layers.UpSampling2D(interpolation="bilinear")(x)


def _normalized_convs(scope: Scope, x: Tensor) -> Tensor:
    for each in scope.children():
        convolution, normalization, activation = each.children()
        x = conv(convolution, ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"), padded=False)
        norm = layers.GroupNormalization(GROUPS, epsilon=EPSILON, name=normalization.name)
        x = call(norm, x, *normalization.take_all("weight", "bias"))
        slopes = activation.take("weight").reshape(1, 1, -1)
        x = call(layers.PReLU(shared_axes=(1, 2), name=activation.name), x, slopes)
    return x


def _enlarged(scope: Scope, x: Tensor) -> Tensor:
    """Convolve transposed, 3x3 with stride 2; PyTorch leaves the first row and column out, and Keras the last."""
    weight, bias = scope.take_all("weight", "bias")
    layer = layers.Conv2DTranspose(len(bias), 3, strides=2, name=scope.name)
    return layers.Cropping2D(((1, 0), (1, 0)))(call(layer, x, weight.transpose(2, 3, 1, 0), bias))
