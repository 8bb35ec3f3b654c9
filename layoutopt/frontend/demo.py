"""A network to try layoutopt on: MobileNetV2 as PyTorch exports it, made without PyTorch and without a download."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import UsageError

OPSET = 17
CLASSES = 1000
INPUT, OUTPUT = "input", "logits"

# Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2.
STAGES = (
    # expansion, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280
_EPSILON = 1e-5

Array = npt.NDArray[np.float32]


def mobilenet_v2(*, resolution: int = 224, width: float = 1.0, seed: int = 0) -> ir.Model:
    """Build MobileNetV2 in NCHW, node for node as PyTorch's exporter writes it, with random weights.

    BatchNormalization stays a node of its own, as in a model exported for fine-tuning. Weights are He-initialised and
    the running statistics are those that standard-normal pictures are expected to cause, so every activation keeps a
    healthy range and the logits have a variance of about one.

    Args:
        resolution: height and width of the picture in pixels.
        width: multiplies the numbers of channels, which are then rounded to multiples of 8.
        seed: of the weights; the same seed gives the same model.

    Returns:
        A model of opset 17 from ``input`` (1, 3, resolution, resolution) to ``logits`` (1, 1000), both float32.

    Raises:
        UsageError: ``resolution`` or ``width`` is not positive.
    """
    if resolution < 1 or width <= 0:
        raise UsageError(
            f"MobileNetV2 cannot have resolution {resolution} and width {width}.", hint="Both must be positive."
        )
    picture = ir.val(INPUT, ir.DataType.FLOAT, [1, 3, resolution, resolution])
    builder = _Builder(np.random.default_rng(seed))
    x = _Signal(picture, np.zeros(3), np.ones(3))
    x = builder.unit(x, "features.0", _rounded(_STEM * width), kernel=3, stride=2)
    index = 1
    for expansion, channels, blocks, stride in STAGES:
        for block in range(blocks):
            x = builder.inverted_residual(
                x,
                f"features.{index}",
                _rounded(channels * width),
                expansion=expansion,
                stride=1 if block else stride,
            )
            index += 1
    # Thinner networks keep the last convolution as it is.
    x = builder.unit(x, f"features.{index}", _rounded(_LAST * max(1.0, width)))
    logits = builder.classifier(x)
    graph = ir.Graph(
        [picture],
        [logits],
        nodes=builder.nodes,
        initializers=builder.initializers,
        opset_imports={"": OPSET},
        name="main_graph",
    )
    return ir.Model(graph, ir_version=8, producer_name="layoutopt")


def _rounded(channels: float) -> int:
    """Return ``channels`` rounded to a multiple of 8, at least 8, and never down by more than 10 %."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


@dataclass(frozen=True, slots=True)
class _Signal:
    """A value, and the mean and variance that each of its channels is expected to have."""

    value: ir.Value
    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the static shape, ``(N, C, H, W)`` or ``(N, C)``."""
        assert self.value.shape is not None
        return self.value.shape.numpy()


@dataclass(slots=True)
class _Builder:
    """Append nodes, and follow the statistics of the values on the way.

    The statistics treat channels and pixels as independent, which is close enough for the running statistics of a
    network that was never trained.
    """

    rng: np.random.Generator
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: list[ir.Value] = field(default_factory=list)

    def inverted_residual(self, x: _Signal, name: str, channels: int, *, expansion: int, stride: int) -> _Signal:
        """Add an expansion, a depthwise convolution and a projection, and ``x`` where the shapes allow it."""
        y, hidden = x, expansion * x.shape[1]
        if expansion > 1:
            y = self.unit(y, f"{name}.conv.0", hidden)
        y = self.unit(y, f"{name}.conv.{int(expansion > 1)}", hidden, kernel=3, stride=stride, depthwise=True)
        y = self.convolution(y, f"{name}.conv.{1 + int(expansion > 1)}", channels)
        y = self.normalization(y, f"{name}.conv.{2 + int(expansion > 1)}")
        if stride != 1 or channels != x.shape[1]:
            return y
        total = self._emit("Add", [x.value, y.value], f"/{name}/Add", x.shape)
        return _Signal(total, x.mean + y.mean, x.variance + y.variance)

    def unit(
        self, x: _Signal, name: str, channels: int, *, kernel: int = 1, stride: int = 1, depthwise: bool = False
    ) -> _Signal:
        """Add a convolution, its normalization and ReLU6."""
        x = self.convolution(x, f"{name}.0", channels, kernel=kernel, stride=stride, depthwise=depthwise)
        return self.relu6(self.normalization(x, f"{name}.1"), f"{name}.2")

    def convolution(
        self, x: _Signal, name: str, channels: int, *, kernel: int = 1, stride: int = 1, depthwise: bool = False
    ) -> _Signal:
        """Return a Conv without bias, padded so that stride 1 keeps the size."""
        _, inputs, height, width = x.shape
        taken = 1 if depthwise else inputs
        fan_in = taken * kernel * kernel
        shape = (channels, taken, kernel, kernel)
        weight = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(math.sqrt(2 / fan_in))
        padding = kernel // 2
        result = self._emit(
            "Conv",
            [x.value, self._initializer(f"{name}.weight", weight)],
            f"/{name}/Conv",
            (1, channels, -(-height // stride), -(-width // stride)),
            {
                "dilations": [1, 1],
                "group": inputs if depthwise else 1,
                "kernel_shape": [kernel, kernel],
                "pads": [padding] * 4,
                "strides": [stride, stride],
            },
        )
        sums, squares = weight.sum(axis=(2, 3), dtype=np.float64), (weight**2).sum(axis=(2, 3), dtype=np.float64)
        if depthwise:
            return _Signal(result, sums[:, 0] * x.mean, squares[:, 0] * x.variance)
        return _Signal(result, sums @ x.mean, squares @ x.variance)

    def normalization(self, x: _Signal, name: str) -> _Signal:
        """Add a BatchNormalization to a random scale and shift per channel."""
        channels = x.shape[1]
        scale = self.rng.uniform(0.7, 1.3, channels)
        shift = self.rng.normal(0.0, 0.2, channels)
        parameters = {"weight": scale, "bias": shift, "running_mean": x.mean, "running_var": x.variance}
        result = self._emit(
            "BatchNormalization",
            [x.value, *(self._initializer(f"{name}.{key}", array) for key, array in parameters.items())],
            f"/{name}/BatchNormalization",
            x.shape,
            {"epsilon": _EPSILON, "momentum": 0.9, "training_mode": 0},
        )
        return _Signal(result, shift, scale**2)

    def relu6(self, x: _Signal, name: str) -> _Signal:
        """Clip to [0, 6], with the bounds as Constant nodes, as the exporter has it."""
        bounds = [
            self._emit("Constant", [], f"/{name}/Constant{suffix}", (), {"value": ir.tensor(np.float32(bound))})
            for suffix, bound in (("", 0.0), ("_1", 6.0))
        ]
        result = self._emit("Clip", [x.value, *bounds], f"/{name}/Clip", x.shape)
        return _Signal(result, *_clipped_normal(x.mean, x.variance, 6.0))

    def classifier(self, x: _Signal) -> ir.Value:
        """Add a global average, then a Gemm to the logits, scaled to a variance of one."""
        _, channels, height, width = x.shape
        pooled = self._emit("GlobalAveragePool", [x.value], "/GlobalAveragePool", (1, channels, 1, 1))
        flat = self._emit("Flatten", [pooled], "/Flatten", (1, channels), {"axis": 1})
        power = float(np.sum(x.mean**2 + x.variance / (height * width)))
        weight = self.rng.standard_normal((CLASSES, channels), dtype=np.float32) / np.float32(math.sqrt(power))
        bias = self.rng.normal(0.0, 0.1, CLASSES)
        operands = [
            flat,
            self._initializer("classifier.1.weight", weight),
            self._initializer("classifier.1.bias", bias),
        ]
        attributes = {"alpha": 1.0, "beta": 1.0, "transB": 1}
        logits = self._emit("Gemm", operands, "/classifier/classifier.1/Gemm", (1, CLASSES), attributes)
        logits.name = OUTPUT
        return logits

    def _emit(
        self,
        operator: str,
        operands: Sequence[ir.Value],
        name: str,
        shape: Sequence[int],
        attributes: Mapping[str, float | int | Sequence[int] | ir.TensorProtocol] | None = None,
    ) -> ir.Value:
        """Append one node and return its float32 result of ``shape``."""
        result = ir.val(f"{name}_output_0", ir.DataType.FLOAT, shape)
        self.nodes.append(ir.node(operator, operands, attributes, outputs=[result], name=name))
        return result

    def _initializer(self, name: str, array: npt.NDArray[np.floating]) -> ir.Value:
        tensor = ir.tensor(array.astype(np.float32), name=name)
        value = ir.val(name, const_value=tensor)
        self.initializers.append(value)
        return value


def _clipped_normal(
    mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], upper: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance of ``min(max(x, 0), upper)`` for normal ``x``, by quadrature."""
    nodes = np.linspace(-6.0, 6.0, 601)
    density = np.exp(-(nodes**2) / 2)
    density /= density.sum()
    clipped = np.clip(mean[:, None] + np.sqrt(variance)[:, None] * nodes, 0.0, upper)
    first = clipped @ density
    return first, clipped**2 @ density - first**2
