"""Resize1D to 3D and Upsample1D to 3D: RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR, gathers where those differ.

Along one axis, every mode is a matrix with a few non-zero elements per row. It is built here by ONNX's rules and
compared with what the LiteRT operator would compute; so the choice is right for the very sizes at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FLAGS = {"half_pixel": (False, True), "align_corners": (True, False), "asymmetric": (False, False)}
"""Of LiteRT's resize operators: align_corners and half_pixel_centers, by the coordinate mode that they stand for."""


@dataclass(frozen=True, slots=True)
class Taps:
    """One axis of a resize: output i is the sum over t of ``weights[t, i] * input[indices[t, i]]``."""

    size: int
    indices: Ints
    weights: Floats

    @property
    def out(self) -> int:
        """Return the size of the output."""
        return int(self.indices.shape[1])

    @property
    def matrix(self) -> Floats:
        """Return the same as a dense matrix (out, size)."""
        dense = np.zeros((self.out, self.size))
        for index, weight in zip(self.indices, self.weights, strict=True):
            np.add.at(dense, (np.arange(self.out), index), weight)
        return dense

    def same(self, other: Taps) -> bool:
        """Return whether both compute the same, up to float32 rounding of the weights.

        These are fractions of coordinates, which have the rounding of numbers as large as the axis: in LiteRT, and as
        much in ONNX Runtime.
        """
        return np.allclose(self.matrix, other.matrix, rtol=0, atol=max(2e-6, self.size * 2.0**-23))


def _kept(size: int) -> Taps:
    """Return an axis that stays as it is."""
    return Taps(size, np.arange(size)[None], np.ones((1, size)))


@lowers(*(f"{name}{rank}D" for name in ("Resize", "Upsample") for rank in (1, 2, 3)), domain=DOMAIN)
def resize(node: Node) -> Value:
    """Lower Resize and Upsample of x (N, spatial..., C); scales and sizes come in the order N, C, spatial...

    One axis is taken for two, the second of size 1; of three, the last two and then the first.
    """
    if _is_upsample(node) and node.opset >= 9 and not node.known(1):
        return _upsampled(node)
    *first, last = (_axis(node, i, scale, out) for i, (scale, out) in enumerate(_targets(node)))
    batch, *_, channels = node.shape
    if not first:
        y = _plane(node, tfl.reshape(node.x, (batch, last.size, 1, channels)), last, _kept(1))
        return tfl.reshape(y, (batch, last.out, channels))
    if len(first) == 1:
        return _plane(node, node.x, first[0], last)
    depth, height = first
    y = _plane(node, tfl.reshape(node.x, (batch * depth.size, height.size, last.size, channels)), height, last)
    y = _plane(
        node, tfl.reshape(y, (batch, depth.size, height.out * last.out, channels)), depth, _kept(height.out * last.out)
    )
    return tfl.reshape(y, (batch, depth.out, height.out, last.out, channels))


def _upsampled(node: Node) -> Value:
    """Record GATHERs of the nearest elements for scales that come at run time, to the shape that the model states."""
    y, shape = node.x, node.result_shape()
    if shape is None or node.text("mode", "nearest") != "nearest":
        raise node.unsupported("the scales must be constants")
    for position, size in enumerate(node.shape[1:-1], 1):
        at = tfl.floor(np.arange(shape[position], dtype=np.float32) / node[1][position + 1])
        y = tfl.gather(y, tfl.minimum(tfl.int32(at), size - 1), position)
    return y


def _plane(node: Node, x: Value, *axes: Taps) -> Value:
    """Resize H and W of x (N, H, W, C)."""
    if all(np.array_equal(axis.matrix, np.eye(axis.size)) for axis in axes):
        return x
    if (kernel := _KERNELS.get(node.text("mode", "nearest"))) is not None:
        # Those flags of the node's own mode first: others may do the same at this size alone.
        own = _FLAGS.get(_coordinate_mode(node))
        for corners, centers in sorted(_FLAGS.values(), key=lambda flags: flags != own):
            if all(axis.same(kernel.taps(axis.size, axis.out, corners, centers)) for axis in axes):
                sizes = [axis.out for axis in axes]
                return kernel.record(x, sizes, align_corners=corners, half_pixel_centers=centers)
    return _gathered(_gathered(x, axes[0], 1), axes[1], 2)


def _gathered(x: Value, taps: Taps, position: int) -> Value:
    """Resize one axis by GATHERs with constant indices: the way for what LiteRT has no operator for."""
    shape = [-1 if i == position else 1 for i in range(4)]
    parts = []
    for index, weight in zip(taps.indices, taps.weights, strict=True):
        in_place = np.array_equal(index, np.arange(taps.size))
        part = x if in_place else tfl.gather(x, index.astype(np.int32), position)
        parts.append(part if np.all(weight == 1) else part * weight.reshape(shape).astype(x.dtype.numpy))
    return reduce(tfl.add, parts)


# --- sizes -------------------------------------------------------------------------------------------------------


def _targets(node: Node) -> list[tuple[float, int]]:
    """Return scale and output size of each spatial axis."""
    batch, *spatial, channels = node.shape
    logical = (batch, channels, *spatial)
    axes = [axis % len(logical) for axis in node.ints("axes") or range(len(logical))]
    scales, sizes = _scales_and_sizes(node)
    if sizes is not None:
        ratios = [size / logical[axis] for axis, size in zip(axes, sizes, strict=True)]
        policy = node.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
            sizes = [int(np.floor(ratio * logical[axis] + 0.5)) for axis, ratio in zip(axes, ratios, strict=True)]
    else:
        ratios = [float(scale) for scale in scales]
        # The product in float32, as ONNX Runtime takes it: 10 * 1.3 is 13 there.
        sizes = [int(np.floor(np.float32(ratio) * logical[axis])) for axis, ratio in zip(axes, ratios, strict=True)]
    target = {axis: (ratio, size) for axis, ratio, size in zip(axes, ratios, sizes, strict=True)}
    if any(target.get(axis, (1.0, logical[axis]))[1] != logical[axis] for axis in (0, 1)):
        raise node.unsupported("N and C cannot be resized")
    return [target.get(axis, (1.0, logical[axis])) for axis in range(2, len(logical))]


def _scales_and_sizes(node: Node) -> tuple[list[float], list[int] | None]:
    """Return the scales and the sizes, from where each version of Upsample and Resize keeps them."""
    if _is_upsample(node) and node.opset < 9:
        scales = node.attributes["scales"]
        assert isinstance(scales, list)
        return scales, None
    position = 1 if _is_upsample(node) or node.opset < 11 else 2
    if sizes := _sizes(node):
        return [], sizes
    return [float(np.float32(scale)) for scale in node.constant(position)], None


def _sizes(node: Node) -> list[int] | None:
    """Return the sizes; those that come at run time are those that the model states for the result."""
    shape = node.result_shape()
    if node.optional(3) is None or node.known(3) or shape is None:
        return node.optional_ints(3)
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("sizes that keep the aspect ratio must be constants")
    batch, *spatial, channels = shape
    logical = (batch, channels, *spatial)
    return [logical[axis] for axis in node.ints("axes") or range(len(logical))]


def _is_upsample(node: Node) -> bool:
    return node.operator.startswith("Upsample")


# --- ONNX --------------------------------------------------------------------------------------------------------


def _axis(node: Node, position: int, scale: float, out: int) -> Taps:
    size = node.shape[position + 1]
    mode = node.text("mode", "nearest")
    if size == out and scale == 1:
        return _kept(size)
    if node.integer("antialias", 0) and scale < 1 and mode != "nearest":
        raise node.unsupported("antialias is not supported for a smaller output")
    centers = _coordinates(node, size, out, scale)
    if mode == "nearest":
        index = _nearest(node, centers, scale)
        return Taps(size, index.clip(0, size - 1)[None], np.ones((1, out)))
    if mode == "linear":
        centers = centers.clip(0, size - 1)
        low = np.floor(centers).astype(np.int64)
        part = centers - low
        return Taps(size, np.stack([low, (low + 1).clip(max=size - 1)]), np.stack([1 - part, part]))
    if mode == "cubic":
        return _cubic(node, centers, size)
    raise node.unsupported(f"mode {mode!r} is not known")


def _coordinate_mode(node: Node) -> str:
    older = _is_upsample(node) or node.opset < 11
    return "asymmetric" if older else node.text("coordinate_transformation_mode", "half_pixel")


def _coordinates(node: Node, size: int, out: int, scale: float) -> Floats:
    """Return where on the input each element of the output lies, by ``coordinate_transformation_mode``."""
    i = np.arange(out, dtype=np.float64)
    mode = _coordinate_mode(node)
    half_pixel = (i + 0.5) / scale - 0.5
    whole = scale * size
    formulas: dict[str, Callable[[], Floats]] = {
        "half_pixel": lambda: half_pixel,
        "pytorch_half_pixel": lambda: half_pixel if out > 1 else np.zeros_like(i),
        "half_pixel_symmetric": lambda: size / 2 * (1 - out / whole) + half_pixel,
        "align_corners": lambda: i * (size - 1) / (out - 1) if out > 1 else np.zeros_like(i),
        "asymmetric": lambda: i / scale,
        # Deprecated in opset 13 and only then an attribute of its own.
        "tf_half_pixel_for_nn": lambda: (i + 0.5) / scale,
    }
    if mode not in formulas:
        raise node.unsupported(f"coordinate_transformation_mode {mode!r} has no counterpart in LiteRT")
    return formulas[mode]()


def _nearest(node: Node, centers: Floats, scale: float) -> Ints:
    """Return the element next to each coordinate, by ``nearest_mode``."""
    centers = centers.round(6)  # what is a tie in exact arithmetic must be one here
    if _is_upsample(node) or node.opset < 11:
        # Before the attribute came, ONNX Runtime took the element above when making an image smaller.
        return (np.ceil(centers) if scale < 1 else np.floor(centers)).astype(np.int64)
    modes: dict[str, Callable[[Floats], Floats]] = {
        "round_prefer_floor": lambda c: np.ceil(c - 0.5),
        "round_prefer_ceil": lambda c: np.floor(c + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    return modes[node.text("nearest_mode", "round_prefer_floor")](centers).astype(np.int64)


def _cubic(node: Node, centers: Floats, size: int) -> Taps:
    """Return the taps of Keys' cubic convolution, four elements wide."""
    a = node.number("cubic_coeff_a", -0.75)
    low = np.floor(centers).astype(np.int64)
    indices = np.stack([low + offset for offset in (-1, 0, 1, 2)])
    d = np.abs(centers - indices)
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0))
    if node.integer("exclude_outside", 0):
        weights = np.where((indices >= 0) & (indices < size), weights, 0)
        weights = weights / weights.sum(0)
    return Taps(size, indices.clip(0, size - 1), weights)


# --- LiteRT ------------------------------------------------------------------------------------------------------


def _kernel_scale(size: int, out: int, corners: bool) -> np.float32:
    return np.float32(size - 1) / np.float32(out - 1) if corners and out > 1 else np.float32(size) / np.float32(out)


def _nearest_kernel(size: int, out: int, corners: bool, centers: bool) -> Taps:
    """Return the taps of RESIZE_NEAREST_NEIGHBOR, in float32 as the runtime computes it."""
    at = (np.arange(out, dtype=np.float32) + np.float32(0.5 if centers else 0)) * _kernel_scale(size, out, corners)
    index = np.floor(at + 0.5) if corners else np.floor(at)
    return Taps(size, index.astype(np.int64).clip(0, size - 1)[None], np.ones((1, out)))


def _bilinear_kernel(size: int, out: int, corners: bool, centers: bool) -> Taps:
    """Return the taps of RESIZE_BILINEAR, in float32 as the runtime computes it."""
    half = np.float32(0.5 if centers else 0)
    at = (np.arange(out, dtype=np.float32) + half) * _kernel_scale(size, out, corners) - half
    low = np.floor(at).clip(0).astype(np.int64).clip(max=size - 1)
    part = (at - low).astype(np.float64)
    high = np.ceil(at).astype(np.int64).clip(0, size - 1)
    return Taps(size, np.stack([low, high]), np.stack([1 - part, part]))


@dataclass(frozen=True, slots=True)
class _Kernel:
    """An operator that resizes, and the matrix that it computes with."""

    record: Callable[..., Value]
    taps: Callable[[int, int, bool, bool], Taps]


_KERNELS: Mapping[str, _Kernel] = {
    "nearest": _Kernel(tfl.resize_nearest_neighbor, _nearest_kernel),
    "linear": _Kernel(tfl.resize_bilinear, _bilinear_kernel),
}
"""By ONNX's mode."""
