"""A graph of any number of nodes, for what depends on that number alone.

Convolutions, activations, additions, concatenations, Transposes and skip connections over tiny tensors and two shared
weights.
"""

from __future__ import annotations

import random

import numpy as np
import onnx_ir as ir

SHAPE = (1, 4, 6, 5)
OPSET = 17


def chain(nodes: int) -> ir.Model:
    """Return a chain of blocks of ten nodes, each with a skip connection around it and one from further up."""
    return _Chain(nodes).model()


class _Chain:
    """A graph under construction; every value but those inside a block has the shape ``SHAPE``."""

    def __init__(self, nodes: int) -> None:
        self.nodes: list[ir.Node] = []
        self.weight = _initializer("weight", np.full((4, 4, 1, 1), 0.25, np.float32))
        self.wide = _initializer("wide", np.full((4, 8, 1, 1), 0.125, np.float32))
        self.image = ir.val("image", ir.DataType.FLOAT, SHAPE)
        self.choices = random.Random(0)
        self.ends = [self.image]
        while len(self.nodes) < nodes:
            self.ends.append(self.block(self.ends[-1], self.choices.choice(self.ends[-20:])))

    def block(self, x: ir.Value, skip: ir.Value) -> ir.Value:
        first, last, natural = (0, 2, 3, 1), (1, 6, 5, 4), (0, 3, 1, 2)
        y = self.add("Relu", self.add("Conv", x, self.weight))
        y = self.add("Add", self.add("Conv", y, self.weight), x)
        y = self.add("Sigmoid", self.add("Transpose", y, shape=last, perm=first), shape=last)
        y = self.add("Relu", self.add("Transpose", y, perm=natural))
        return self.add("Conv", self.add("Concat", y, skip, shape=(1, 8, 6, 5), axis=1), self.wide)

    def add(
        self, op: str, *inputs: ir.Value, shape: tuple[int, ...] = SHAPE, **attributes: int | tuple[int, ...]
    ) -> ir.Value:
        name = f"{op}_{len(self.nodes)}"
        result = ir.val(name, ir.DataType.FLOAT, shape)
        self.nodes.append(ir.node(op, inputs, attributes, outputs=[result], name=name))
        return result

    def model(self) -> ir.Model:
        graph = ir.Graph(
            [self.image],
            [self.ends[-1]],
            nodes=self.nodes,
            initializers=[self.weight, self.wide],
            opset_imports={"": OPSET},
            name="chain",
        )
        return ir.Model(graph, ir_version=8)


def _initializer(name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ir.Value:
    return ir.val(name, const_value=ir.tensor(array, name=name))
