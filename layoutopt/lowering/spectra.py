"""Fourier transforms as products with constant matrices, in real arithmetic, and what goes with them."""

from __future__ import annotations

import numpy as np

from layoutopt.lowering.node import Node, constant, dtype_of, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Value

_MAX_MATRIX = 2**24
"""Elements of a constant matrix: 64 MB."""


@lowers("DFT")
def dft(node: Node) -> Value:
    """Lower DFT to FULLY_CONNECTED along one axis; the last axis holds real and imaginary parts."""
    axis = node.integer("axis", 1) if node.opset < 20 else int((node.optional_ints(2) or [-2])[0])
    inverse, one_sided = node.integer("inverse", 0) == 1, node.integer("onesided", 0) == 1
    rank = node.x.rank
    axis %= rank
    size, parts = node.shape[axis], node.shape[-1]
    lengths = node.optional_ints(1)
    length = lengths[0] if lengths else 2 * (size - 1) if inverse and one_sided else size
    used = min(size, length // 2 + 1 if inverse and one_sided else length)
    x = node.x[(slice(None),) * axis + (slice(0, used),)]
    matrix = _matrix(node, used, parts, length, inverse=inverse, one_sided=one_sided)
    others = [i for i in range(rank - 1) if i != axis]
    order = [*others, axis, rank - 1]
    rows = tfl.reshape(tfl.transpose(x, order), (*(node.shape[i] for i in others), used * parts))
    y = tfl.fully_connected(rows, matrix.reshape(used * parts, -1).T)
    y = tfl.reshape(y, (*(node.shape[i] for i in others), *matrix.shape[1:]))
    return tfl.transpose(y, [int(i) for i in np.argsort(order)])


def _matrix(node: Node, used: int, parts: int, length: int, *, inverse: bool, one_sided: bool) -> Array:
    """Return what takes ``used`` elements of ``parts`` numbers to the transform: (used * parts, out, parts)."""
    out = length // 2 + 1 if one_sided and not inverse else length
    if used * parts * out * 2 > _MAX_MATRIX:
        raise node.unsupported(f"a transform of {length} elements: cut it into shorter ones")
    turns = np.exp((2j if inverse else -2j) * np.pi * (np.outer(np.arange(used), np.arange(out)) % length / length))
    if inverse:
        turns /= length
    if inverse and one_sided:
        # Each element stands for its mirror image too, but for the first and, of an even number, the last.
        mirrored = np.full((used, 1), 2.0)
        mirrored[0] = 1
        if length % 2 == 0 and used == length // 2 + 1:
            mirrored[-1] = 1
        turns = turns * mirrored
        from_parts = np.stack([turns.real, -turns.imag], 1)[:, :parts, :, None]
    else:
        from_real, from_imaginary = (np.stack([z.real, z.imag], -1) for z in (turns, turns * 1j))
        from_parts = np.stack([from_real, from_imaginary], 1)[:, :parts]
    return from_parts.reshape(used * parts, *from_parts.shape[2:]).astype(np.float32)


@lowers("STFT")
def stft(node: Node) -> Value:
    """Lower STFT to CONV_2D: each window of the convolution is a frame, its filters the transform."""
    step, window, lengths = int(node.constant(1).reshape(())), node.optional(2), node.optional_ints(3)
    batch, size, *rest = node.shape
    parts = rest[0] if rest else 1
    length = lengths[0] if lengths else window.sizes[0] if window is not None else size
    matrix = _matrix(node, length, parts, length, inverse=False, one_sided=node.integer("onesided", 1) == 1)
    bins = matrix.shape[1]
    filters = constant(matrix.reshape(length, 1, parts, bins * 2).transpose(3, 0, 1, 2))
    if window is not None:
        filters = filters * tfl.reshape(window, (1, length, 1, 1))
    x = tfl.reshape(node.x, (batch, size, 1, parts))
    y = tfl.conv_2d(x, filters, strides=(step, 1))
    return tfl.reshape(y, (batch, (size - length) // step + 1, bins, 2))


@lowers("MelWeightMatrix")
def mel_weight_matrix(node: Node) -> Value:
    """Lower MelWeightMatrix to a constant."""
    bands, length, rate, low, high = (node.constant(i).item() for i in range(5))
    low_mel, high_mel = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mel = low_mel + np.arange(bands + 2) * (high_mel - low_mel) / (bands + 2)
    edges = ((length + 1) * (700 * (10 ** (mel / 2595) - 1)) // rate).astype(np.int64)
    matrix = np.zeros((length // 2 + 1, bands))
    for band, (lower, centre, upper) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        up, down = np.arange(lower, centre + 1), np.arange(centre, upper)
        matrix[up, band] = (up - lower) / (centre - lower) if centre > lower else 1
        matrix[down, band] = (upper - down) / max(upper - centre, 1)
    return constant(matrix, dtype_of(node.integer("output_datatype", 1)))
