"""The same computation in several forms: measurements that lowerings and two passes were chosen by.

Forms of single operators are written in TensorFlow, each beside the first one of its group; a pass is judged by a whole
network with and without it. Ratios go to ``benchmarks/results/choices.json``.

::

    python -m benchmarks.choices
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import layoutopt
from benchmarks import records
from benchmarks.functions import microseconds
from layoutopt.backend.litert.runtime import measure
from layoutopt.passes import DEFAULT_PIPELINE
from layoutopt.pipeline.text import format_pipeline, pass_name
from layoutopt.results.provenance import Provenance

ROUNDS = 25
RESULTS = records.committed("choices")

Tensor = Any
"""A tensor of TensorFlow, which has no types."""
Form = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Choice:
    """One form beside the one that it was chosen over, or rejected for.

    Attributes:
        what: both of them, in words.
        form: the one.
        beside: the other.
        shapes: of the operands.
        so: what came of it.
    """

    what: str
    form: Form
    beside: Form
    shapes: Sequence[Sequence[int]]
    so: str


WITHOUT = {
    "shuffles": ("shufflenet_v2", ("absorb-channel-shuffles",)),
    "products": ("swin_4", ("split-products", "fold-affine")),
}
"""Passes that a network is converted without, by the name of the comparison."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Ratios of times, below 1 where the choice is faster.

    Attributes:
        forms: by what they are about.
        passes: with to without, by the name of the comparison.
        measured: where and when.
    """

    forms: Mapping[str, float]
    passes: Mapping[str, float]
    measured: Provenance


def main() -> None:
    """Measure every choice, those of one kind in one interleaved run."""
    found = Choices(dict(_forms()), {name: _passes(*which) for name, which in WITHOUT.items()}, Provenance.here())
    records.save(found, RESULTS)


def _forms() -> Iterator[tuple[str, float]]:
    for choice in CHOICES:
        forms = {"form": (choice.form, choice.shapes), "beside": (choice.beside, choice.shapes)}
        took = microseconds(forms)
        yield choice.what, took["form"] / took["beside"]


def _passes(name: str, without: Sequence[str]) -> float:
    """Return the median of the default pipeline over that without some of its passes."""
    from benchmarks.models import NETWORKS, export

    model = export(NETWORKS[name])
    fewer = format_pipeline([each for each in DEFAULT_PIPELINE if pass_name(type(each)) not in without])
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{kind}.tflite" for kind in ("all", "fewer")]
        for path, passes in zip(paths, (None, fewer), strict=True):
            layoutopt.optimize(model, tflite=path, passes=passes, baseline=False, progress=print)
        all_of_them, some = measure(paths, rounds=ROUNDS, clock=time.thread_time)
    return all_of_them.median_ms / some.median_ms


# --- the forms -------------------------------------------------------------------------------------------------------


def group_norm(x: Tensor) -> Tensor:
    """Normalize 8 groups of channels by moments over an axis of groups."""
    import tensorflow as tf

    batch, height, width, channels = x.shape
    groups = tf.reshape(x, (batch, height, width, 8, channels // 8))
    mean = tf.reduce_mean(groups, (1, 2, 4), keepdims=True)
    centred = groups - mean
    variance = tf.reduce_mean(centred * centred, (1, 2, 4), keepdims=True)
    return tf.reshape(centred * tf.math.rsqrt(variance + 1e-5), x.shape)


def group_norm_of_channels(x: Tensor) -> Tensor:
    """Return the same from the moments of the channels, which are joined to those of groups when they are few."""
    import tensorflow as tf

    batch, _, _, channels = x.shape

    def joined(moments: Tensor) -> Tensor:
        mean = tf.reduce_mean(tf.reshape(moments, (batch, 8, channels // 8)), 2, keepdims=True)
        return tf.reshape(tf.tile(mean, (1, 1, channels // 8)), (batch, 1, 1, channels))

    centred = x - joined(tf.reduce_mean(x, (1, 2)))
    return centred * tf.math.rsqrt(joined(tf.reduce_mean(centred * centred, (1, 2))) + 1e-5)


def layer_norm(x: Tensor, *, product: bool) -> Tensor:
    """Normalize the last axis, its square a product or SQUARED_DIFFERENCE."""
    import tensorflow as tf

    mean = tf.reduce_mean(x, -1, keepdims=True)
    centred = x - mean
    square = centred * centred if product else tf.math.squared_difference(x, mean)
    return centred * tf.math.rsqrt(tf.reduce_mean(square, -1, keepdims=True) + 1e-5)


def halves(x: Tensor, *, split: bool) -> Tensor:
    """Return both halves of the channels, by one SPLIT or two SLICE."""
    import tensorflow as tf

    half = x.shape[-1] // 2
    return tf.split(x, 2, -1) if split else (x[..., :half], x[..., half:])


def mish(x: Tensor) -> Tensor:
    """Compute by its sigmoid."""
    import tensorflow as tf

    s = tf.sigmoid(x)
    u = s * (2.0 - s)
    return x * u / (2.0 - u)


def mish_in_full(x: Tensor) -> Tensor:
    """Compute by a softplus that is exact on both sides of 0."""
    import tensorflow as tf

    return x * tf.tanh(tf.nn.relu(x) + tf.math.log(tf.exp(-tf.abs(x)) + 1.0))


def mish_shorter(x: Tensor) -> Tensor:
    """Compute by a softplus that is exact where it does not overflow."""
    import tensorflow as tf

    return x * tf.tanh(tf.math.log(tf.exp(x) + 1.0))


def celu(x: Tensor) -> Tensor:
    """Compute by ELU."""
    import tensorflow as tf

    return 0.5 * tf.nn.elu(x * 2.0)


def celu_in_full(x: Tensor) -> Tensor:
    """Compute by what its definition says."""
    import tensorflow as tf

    return tf.nn.relu(x) + tf.minimum(0.5 * (tf.exp(x * 2.0) - 1.0), 0.0)


def selu(x: Tensor) -> Tensor:
    """Compute by ELU and LEAKY_RELU."""
    import tensorflow as tf

    return 1.0507 * tf.nn.leaky_relu(tf.nn.elu(x), 1.67326)


def selu_in_full(x: Tensor) -> Tensor:
    """Compute by what its definition says."""
    import tensorflow as tf

    return 1.0507 * (tf.nn.relu(x) + tf.minimum(1.67326 * (tf.exp(x) - 1.0), 0.0))


def l2_norm(x: Tensor) -> Tensor:
    """Compute as the converter recognizes it: L2_NORMALIZATION."""
    import tensorflow as tf

    return tf.nn.l2_normalize(x, -1)


def l2_norm_in_full(x: Tensor) -> Tensor:
    """Compute by operators that XNNPACK has; the sum with 0 keeps the converter from recognizing it."""
    import tensorflow as tf

    return x * tf.math.rsqrt(tf.maximum(tf.reduce_sum(x * x, -1, keepdims=True), 1e-10) + 0.0)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return heads of 16 channels over rows, each of (rows, channels)."""
    import tensorflow as tf

    q, k, v = (tf.transpose(tf.reshape(each, (each.shape[0], -1, 16)), (1, 0, 2)) for each in (q, k, v))
    mixed = tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True)), v)
    return tf.reshape(tf.transpose(mixed, (1, 0, 2)), (mixed.shape[1], -1))


def attention_of_products(x: Tensor) -> Tensor:
    """Return a product for each of q, k and v."""
    import tensorflow as tf

    channels = x.shape[-1]
    parts = np.split(_weights(channels), 3, axis=1)
    return _attention(*(tf.matmul(x, tf.constant(part)) for part in parts))


def attention_of_slices(x: Tensor) -> Tensor:
    """Return one product, whose parts are STRIDED_SLICE."""
    import tensorflow as tf

    channels = x.shape[-1]
    one = tf.reshape(tf.matmul(x, tf.constant(_weights(channels))), (-1, 3, channels))
    return _attention(*(one[:, i] for i in range(3)))


def attention_of_unpacked(x: Tensor) -> Tensor:
    """Return one product, whose parts are an UNPACK."""
    import tensorflow as tf

    channels = x.shape[-1]
    one = tf.reshape(tf.matmul(x, tf.constant(_weights(channels))), (-1, 3, channels))
    return _attention(*tf.unstack(one, axis=1))


def attention_of_split(x: Tensor) -> Tensor:
    """Return one product, whose parts are a SPLIT."""
    import tensorflow as tf

    return _attention(*tf.split(tf.matmul(x, tf.constant(_weights(x.shape[-1]))), 3, axis=1))


def _weights(channels: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((channels, 3 * channels), np.float32)


_PLANE = ((1, 56, 56, 64),)
_TOKENS = ((1, 196, 384),)

CHOICES = (
    Choice(
        "group normalization from the moments of the channels, not of an axis of groups",
        *(group_norm_of_channels, group_norm, _PLANE),
        so="`expand-instance-norm`",
    ),
    Choice(
        "the same with four times as many channels",
        *(group_norm_of_channels, group_norm, ((1, 28, 28, 256),)),
        so="",
    ),
    Choice(
        "layer normalization with its square as a product, not as SQUARED_DIFFERENCE",
        *(lambda x: layer_norm(x, product=True), lambda x: layer_norm(x, product=False), _TOKENS),
        so="the handler",
    ),
    Choice(
        "halves by one SPLIT, not by two SLICE",
        *(lambda x: halves(x, split=True), lambda x: halves(x, split=False), ((1, 28, 28, 116),)),
        so="a fusion",
    ),
    Choice(
        "q, k and v of a small attention (49 rows, 64 channels) by a product each, not by one and STRIDED_SLICE",
        *(attention_of_products, attention_of_slices, ((49, 64),)),
        so="`split-products`",
    ),
    Choice(
        "q, k and v of 196 rows of 192 channels by one UNPACK, not by SPLIT",
        *(attention_of_unpacked, attention_of_split, ((196, 192),)),
        so="no: XNNPACK has no UNPACK",
    ),
    Choice(
        "Mish as `x u / (2 - u)`, `u = s (2 - s)`, `s = sigmoid(x)`, not by RELU, ABS, NEG, EXP, ADD, LOG, ADD, TANH",
        *(mish, mish_in_full, _PLANE),
        so="the handler",
    ),
    Choice(
        "the same by EXP, ADD, LOG, TANH, which is one operator less than by its sigmoid",
        *(mish_shorter, mish_in_full, _PLANE),
        so="no",
    ),
    Choice("CELU by ELU", *(celu, celu_in_full, _PLANE), so="the handler"),
    Choice("SELU by ELU and LEAKY_RELU", *(selu, selu_in_full, _PLANE), so="the handler"),
    Choice(
        "an L2 norm as L2_NORMALIZATION, not as MUL, SUM, MAXIMUM, RSQRT, MUL",
        *(l2_norm, l2_norm_in_full, _TOKENS),
        so="no: XNNPACK has no L2_NORMALIZATION",
    ),
)


if __name__ == "__main__":
    main()
