"""Building blocks that the networks share. Tensors are (N, H, W, C), or (N, tokens, C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import activations, layers

from benchmarks.floor.weights import Array, Scope

Tensor: TypeAlias = keras.KerasTensor
Activation: TypeAlias = Callable[[Tensor], Tensor]
EPSILON = 1e-5
"""Of every normalization, as in PyTorch."""


def conv(scope: Scope, x: Tensor, *, stride: int = 1, padded: bool = True, order: Array | None = None) -> Tensor:
    """Return the convolution of that name.

    Args:
        scope: has the weights.
        x: the operand.
        stride: of the kernel.
        padded: by half of the kernel, or not at all.
        order: of the channels of the result; as in PyTorch by default.
    """
    weight, *bias = (array if order is None else array[order] for array in scope.take_all("weight", "bias"))
    outputs, inputs, *kernel = weight.shape
    settings = {"strides": stride, "padding": "valid", "use_bias": bool(bias), "name": scope.name}
    if padded and _is_same(x.shape[1], kernel[0], stride):
        settings["padding"] = "same"
    elif padded:
        x = layers.ZeroPadding2D(kernel[0] // 2)(x)
    if inputs == 1 and outputs == x.shape[-1]:
        return call(layers.DepthwiseConv2D(kernel, **settings), x, weight.transpose(2, 3, 0, 1), *bias)
    groups = x.shape[-1] // inputs
    return call(layers.Conv2D(outputs, kernel, groups=groups, **settings), x, weight.transpose(2, 3, 1, 0), *bias)


def conv_bn(scope: Scope, x: Tensor, *, stride: int = 1, activation: Activation = activations.linear) -> Tensor:
    """Return a convolution without bias, batch normalization, an activation."""
    return activation(batch_norm(scope[1], conv(scope[0], x, stride=stride)))


def batch_norm(scope: Scope, x: Tensor) -> Tensor:
    """Return the batch normalization of that name, with its statistics."""
    arrays = scope.take_all("weight", "bias", "running_mean", "running_var")
    return call(layers.BatchNormalization(epsilon=EPSILON, name=scope.name), x, *arrays)


def layer_norm(scope: Scope, x: Tensor) -> Tensor:
    """Return the normalization of that name, over the channels."""
    return call(layers.LayerNormalization(epsilon=EPSILON, name=scope.name), x, *scope.take_all("weight", "bias"))


def dense(scope: Scope, x: Tensor) -> Tensor:
    """Return the linear layer of that name."""
    return dense_of(scope.name, x, *scope.take_all("weight", "bias"))


def dense_of(name: str, x: Tensor, weight: Array, *bias: Array) -> Tensor:
    """Return a linear layer of PyTorch's weights (outputs, inputs)."""
    return call(layers.Dense(len(weight), use_bias=bool(bias), name=name), x, weight.T, *bias)


def classifier(scope: Scope, x: Tensor) -> Tensor:
    """Return the mean over all pixels and a linear layer."""
    return dense(scope, layers.GlobalAveragePooling2D()(x))


def squeeze_excite(scope: Scope, x: Tensor, *, activation: Activation, gate: Activation) -> Tensor:
    """Scale each channel by a gate that a two-layer bottleneck computes from the channels' means."""
    gates = scope["gates"]
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * gate(conv(gates[3], activation(conv(gates[1], y))))


def inverted_residual(
    scope: Scope,
    x: Tensor,
    *,
    expand: bool,
    stride: int,
    activation: Activation,
    excite: Callable[[Scope, Tensor], Tensor] | None = None,
) -> Tensor:
    """Expand, convolve depthwise, squeeze and excite if told so, project; add the operand where the shapes allow it."""
    stages, y = scope["branch"].children(), x
    if expand:
        y = conv_bn(next(stages), y, activation=activation)
    y = conv_bn(next(stages), y, stride=stride, activation=activation)
    if excite is not None:
        y = excite(next(stages), y)
    y = conv_bn(next(stages), y)
    return x + y if stride == 1 and x.shape == y.shape else y


def max_pool(x: Tensor) -> Tensor:
    """Pool 3x3 with stride 2 what is never negative: zeros around it are as good as nothing."""
    return layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))


def upsampled(x: Tensor) -> Tensor:
    """Return each pixel four times, by the operator for it: ``UpSampling2D`` would reshape and tile."""
    _, rows, columns, _ = x.shape
    return layers.Resizing(2 * rows, 2 * columns, interpolation="nearest")(x)


def call(layer: keras.Layer, x: Tensor, *arrays: Array) -> Tensor:
    """Return what ``layer`` makes of ``x`` with these weights.

    Raises:
        ValueError: the layer has weights of another number or of other shapes.
    """
    y = layer(x)
    layer.set_weights(arrays)
    return y


def _is_same(size: int, kernel: int, stride: int) -> bool:
    """Return whether Keras pads ``same`` as PyTorch pads by half of the kernel: on both sides alike."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0) == 2 * (kernel // 2)
