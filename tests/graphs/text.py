"""Graphs as text, and the pieces that many of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tests.harness import model_of


@dataclass(frozen=True)
class Text:
    """A graph as text.

    Attributes:
        text: of the graph, without the header.
        opset: of the model.
        listed: names of the initializers that are inputs as well.
    """

    text: str
    opset: int = 17
    listed: tuple[str, ...] = ()

    def model(self) -> ir.Model:
        model = model_of(f"g {self.text}", opset=self.opset)
        for name in self.listed:
            model.graph.inputs.append(model.graph.initializers[name])
        return model


def numbers(name: str, *shape: int) -> str:
    """The text of an initializer in which no two elements are alike."""
    size = int(np.prod(shape))
    values = np.random.default_rng(size).permutation(size) / 5 - 1.1
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(f'{value:.4f}' for value in values)}}}"


W = numbers("w", 4, 3, 1, 1)
W44 = numbers("w44", 4, 4, 1, 1)
IMAGE = "float[1,3,4,6]"
X = f"{IMAGE} x"
AFTER = "float[1,4,4,6]"
CONV = "t = Conv (x, w)"
BATCH_NORM = f"{numbers('gamma', 4)}, {numbers('beta', 4)}, {numbers('mean', 4)}, float[4] var = {{0.5, 1.0, 2.0, 0.1}}"
NORMALIZE = "BatchNormalization (t, gamma, beta, mean, var)"
GROUP_NORM = (
    f"{numbers('gamma', 4)}, {numbers('beta', 4)}, {numbers('scale', 4, 1, 1)}, {numbers('shift', 4, 1, 1)}, "
    "float[2] one = {1, 1}, float[2] zero = {0, 0}, int64[3] groups = {0, 2, -1}, int64[4] whole = {2, 4, 4, 6}"
)
GROUPED = "r = Reshape (t, groups) n = InstanceNormalization (r, one, zero)"

STEPS = "float s = {0.25}, uint8 o = {3}, float fine = {0.125}"
QUANTIZED = "q = QuantizeLinear (x, s, o)"
