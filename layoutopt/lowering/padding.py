"""Windows over the spatial axes: ONNX's pads and output sizes, as SAME, VALID or an explicit PAD."""

from __future__ import annotations

from dataclasses import dataclass

from layoutopt.lowering.node import Node
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value


@dataclass(frozen=True, slots=True)
class Axis:
    """A window that slides over one spatial axis.

    Attributes:
        size: of the input.
        kernel: elements in the window.
        stride: steps between windows.
        dilation: steps between elements.
        begin: padding before the first element, as the model says.
        end: padding after the last element, as the model says.
        out: how many windows.
        by_name: whether the model says SAME_UPPER, which is SAME at any size.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    out: int
    by_name: bool = False

    @property
    def extent(self) -> int:
        """Return the number of elements from the first to the last of one window."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def needed(self) -> int:
        """Padding after the last element that some window reads; below 0 where the tail of the input is not read."""
        return (self.out - 1) * self.stride + self.extent - self.size - self.begin

    @property
    def is_valid(self) -> bool:
        """Return whether VALID pads the same at this input size; where the model says SAME, SAME is used."""
        return not self.by_name and self.begin == 0 and self.needed <= 0

    @property
    def is_same(self) -> bool:
        """Return whether the padding SAME does the same for this input size."""
        total = max((self.out - 1) * self.stride + self.extent - self.size, 0)
        return self.out == -(-self.size // self.stride) and self.begin == total // 2

    @property
    def counts(self) -> list[int]:
        """Return the number of elements of each window that lie on the input."""
        starts = [i * self.stride - self.begin for i in range(self.out)]
        taps = [k * self.dilation for k in range(self.kernel)]
        return [sum(0 <= start + tap < self.size for tap in taps) for start in starts]

    @property
    def padded_counts(self) -> list[int]:
        """Return the number of elements of each window that lie on the input or on the model's padding."""
        starts = [i * self.stride for i in range(self.out)]
        taps = [k * self.dilation for k in range(self.kernel)]
        return [sum(start + tap < self.begin + self.size + self.end for tap in taps) for start in starts]


def sliding(node: Node, kernel: list[int], size: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return the windows of a Conv or pool over its spatial axes.

    Args:
        node: attributes ``strides``, ``dilations``, ``pads``, ``auto_pad`` and ``ceil_mode`` are read.
        kernel: sizes of the window.
        size: spatial sizes of the input.
    """
    rank = len(kernel)
    strides = node.ints("strides") or [1] * rank
    dilations = node.ints("dilations") or [1] * rank
    pads = node.ints("pads") or [0] * 2 * rank
    auto, ceil = node.text("auto_pad", "NOTSET"), node.integer("ceil_mode", 0) == 1
    return tuple(
        _axis(size[i], kernel[i], strides[i], dilations[i], (pads[i], pads[i + rank]), auto, ceil) for i in range(rank)
    )


def _axis(size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], auto: str, ceil: bool) -> Axis:
    extent = (kernel - 1) * dilation + 1
    begin, end = pads
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        out = -(-size // stride)
        total = max((out - 1) * stride + extent - size, 0)
        begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
        return Axis(size, kernel, stride, dilation, begin, total - begin, out, by_name=auto == "SAME_UPPER")
    if auto == "VALID":
        begin, end = 0, 0
    room = size + begin + end - extent
    out = room // stride + 1
    if ceil:
        out = -(-room // stride) + 1
        # A window may hang over the end, but must not start beyond the input and its first padding.
        out -= (out - 1) * stride >= size + begin
    return Axis(size, kernel, stride, dilation, begin, end, out)


def pad_for(x: Value, axes: tuple[Axis, ...], *, value: float = 0.0) -> tuple[Value, str]:
    """Choose SAME or VALID, and pad ``x`` (N, spatial..., C) only where neither does what ``axes`` say.

    Args:
        x: the input.
        axes: the windows over the spatial axes.
        value: what to pad with; zeros take PAD, which is cheaper than PADV2.

    Returns:
        The input, perhaps padded, and the option ``padding`` of the operator that reads it.
    """
    if all(axis.is_valid for axis in axes):
        return x, "VALID"
    if all(axis.is_same for axis in axes):
        return x, "SAME"
    return tfl.pad(x, paddings(axes), value), "VALID"


def paddings(axes: tuple[Axis, ...]) -> list[list[int]]:
    """Return what windows need before and after x (N, spatial..., C)."""
    return [[0, 0], *([axis.begin, max(axis.needed, 0)] for axis in axes), [0, 0]]
