"""What a random graph is built with: values to pick from, and nodes whose shapes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st

MAX_ELEMENTS = 2048

Shape = tuple[int, ...]


@dataclass(slots=True)
class Builder:
    """Appends nodes to a graph and keeps the float values that others may read."""

    draw: st.DrawFn
    opset: int
    rng: np.random.Generator
    inputs: list[ir.Value] = field(default_factory=list)
    pool: list[ir.Value] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: list[ir.Value] = field(default_factory=list)

    def add_input(self, shape: Shape) -> None:
        value = ir.val(f"in{len(self.inputs)}", ir.DataType.FLOAT, shape)
        self.inputs.append(value)
        self.pool.append(value)

    def constant(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
        name = f"c{len(self.initializers)}"
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self.initializers.append(value)
        return value

    def floats(self, shape: Shape) -> ir.Value:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def integers(self, values: Sequence[int]) -> ir.Value:
        return self.constant(np.array(values, np.int64))

    def node(
        self,
        operator: str,
        operands: Sequence[ir.Value | None],
        shape: Shape,
        attributes: dict[str, int | float | str | Sequence[int]] | None = None,
        *,
        further: Sequence[Shape] = (),
        dtype: ir.DataType = ir.DataType.FLOAT,
        keep: bool = True,
    ) -> ir.Value:
        shapes = (shape, *further)
        outputs = [ir.val(f"v{len(self.nodes)}_{index}", dtype, each) for index, each in enumerate(shapes)]
        name = f"n{len(self.nodes)}"
        self.nodes.append(ir.node(operator, operands, attributes, outputs=outputs, name=name))
        if keep:
            self.pool += outputs
        return outputs[0]

    def reshape(self, x: ir.Value, shape: Shape, *, keep: bool = True) -> ir.Value:
        return self.node("Reshape", [x, self.integers(shape)], shape, keep=keep)

    def squeezed(self, operator: str, x: ir.Value, axes: Sequence[int], shape: Shape) -> ir.Value:
        if self.opset >= 13:
            return self.node(operator, [x, self.integers(axes)], shape)
        return self.node(operator, [x], shape, {"axes": axes})

    def cut(self, size: int, parts: int) -> Shape:
        """Factors whose product is ``size``."""
        shape = []
        for _ in range(parts - 1):
            shape.append(self.draw(st.sampled_from([factor for factor in range(1, size + 1) if size % factor == 0])))
            size //= shape[-1]
        return (*shape, size)

    def pick(self, *ranks: int) -> ir.Value | None:
        """Any value, or one of these ranks; newer ones are likelier."""
        fitting = [value for value in self.pool if not ranks or len(shape_of(value)) in ranks]
        if not fitting:
            return None
        return fitting[-1 - min(self.draw(st.integers(0, 3)), len(fitting) - 1)]

    def axis(self, shape: Shape) -> int:
        return self.draw(st.integers(0, len(shape) - 1))

    def signed(self, axis: int, shape: Shape) -> int:
        return axis - len(shape) * self.draw(st.integers(0, 1))


def shape_of(value: ir.Value) -> Shape:
    assert value.shape is not None
    return value.shape.numpy()
