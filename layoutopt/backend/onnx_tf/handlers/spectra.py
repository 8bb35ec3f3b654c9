"""Fourier transforms as products with constant matrices, in real arithmetic, and what goes with them."""

from __future__ import annotations

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Array, Node, Operand, handles, permuted, reshaped, shape_of

_LARGEST = 2**24  # elements of a constant matrix: 64 MB


@handles("DFT")
def dft(node: Node) -> Operand:
    """FULLY_CONNECTED along one axis; the last axis holds real and imaginary parts."""
    axis = node.integer("axis", 1) if node.opset < 20 else int((node.optional_ints(2) or [-2])[0])
    inverse, one_sided = node.integer("inverse", 0) == 1, node.integer("onesided", 0) == 1
    rank = len(node.shape)
    axis %= rank
    size, parts = node.shape[axis], node.shape[-1]
    lengths = node.optional_ints(1)
    length = lengths[0] if lengths else 2 * (size - 1) if inverse and one_sided else size
    used = min(size, length // 2 + 1 if inverse and one_sided else length)
    x = node.x if used == size else node.x[(slice(None),) * axis + (slice(0, used),)]
    matrix = _matrix(node, used, parts, length, inverse=inverse, one_sided=one_sided)
    others = [i for i in range(rank - 1) if i != axis]
    rows = reshaped(permuted(x, (*others, axis, rank - 1)), (int(np.prod(node.shape[:-1])) // size, used * parts))
    shape = [node.shape[i] for i in others]
    out = matrix.shape[1:]
    y = tf.reshape(tf.matmul(rows, matrix.reshape(used * parts, -1)), [*shape, *out])
    back = [*others, axis, rank - 1]
    return y if back == sorted(back) else tf.transpose(y, list(np.argsort(back)))


def _matrix(node: Node, used: int, parts: int, length: int, *, inverse: bool, one_sided: bool) -> Array:
    """What takes ``used`` elements of ``parts`` numbers to those of the transform: (used * parts, out, parts)."""
    out = length // 2 + 1 if one_sided and not inverse else length
    if used * parts * out * 2 > _LARGEST:
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


@handles("STFT")
def stft(node: Node) -> Operand:
    """CONV_2D: each window of the convolution is a frame, its weights the transform."""
    step, window, lengths = int(node.constant(1).reshape(())), node.optional(2), node.optional_ints(3)
    batch, size, *rest = node.shape
    parts = rest[0] if rest else 1
    length = lengths[0] if lengths else shape_of(window)[0] if window is not None else size
    matrix = _matrix(node, length, parts, length, inverse=False, one_sided=node.integer("onesided", 1) == 1)
    bins = matrix.shape[1]
    weights = matrix.reshape(length, 1, parts, bins * 2)
    if window is not None:
        weights = weights * reshaped(window, (length, 1, 1, 1))
    x = reshaped(node.x, (batch, size, 1, parts))
    y = tf.nn.conv2d(x, weights, [step, 1], "VALID")
    return tf.reshape(y, [batch, (size - length) // step + 1, bins, 2])


@handles("MelWeightMatrix")
def mel_weight_matrix(node: Node) -> Operand:
    """A constant."""
    bands, length, rate, low, high = (node.constant(i).item() for i in range(5))
    kind = node.integer("output_datatype", 1)
    low_mel, high_mel = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mel = low_mel + np.arange(bands + 2) * (high_mel - low_mel) / (bands + 2)
    edges = ((length + 1) * (700 * (10 ** (mel / 2595) - 1)) // rate).astype(np.int64)
    matrix = np.zeros((length // 2 + 1, bands))
    for band, (lower, centre, upper) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        up, down = np.arange(lower, centre + 1), np.arange(centre, upper)
        matrix[up, band] = (up - lower) / (centre - lower) if centre > lower else 1
        matrix[down, band] = (upper - down) / max(upper - centre, 1)
    return matrix.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
