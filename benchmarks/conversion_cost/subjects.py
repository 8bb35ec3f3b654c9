"""The models that are converted, large ones among them, with random weights.

``python -m benchmarks.conversion_cost.subjects NAME MODEL.onnx`` writes one, in a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.models.chain import chain
from layoutopt.ir.io import save

OPSET = 17
_NODES = 10_000
_WIDTH, _HIDDEN, _BLOCKS = 4096, 8192, 10

NETWORKS = (
    *("mobilenet_v2", "vit_4", "vit_12", "swin_4", "swin_t"),
    *("unet_bilinear", "unet_plus_plus", "unet_transposed", "yolo_head", "yolov8"),
)
"""Those of `benchmarks.models` that are among them: attention, U-Nets and detectors, beside the smallest."""


def network(name: str) -> ir.Model:
    """Export one of `benchmarks.models` at full size."""
    from benchmarks import models

    return models.export(models.NETWORKS[name], opset=OPSET)


def vgg16() -> ir.Model:
    """Export the network of 138 million weights from the paper on VGG."""
    from benchmarks.models.classifiers import VGG11
    from benchmarks.models.export import export_module
    from benchmarks.models.networks import Variant, build

    class VGG16(VGG11):
        """Table 1 (D)."""

        STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))

    variant = Variant(lambda: VGG16(hidden=4096), (1, 3, 224, 224))
    return export_module(build(variant), variant.shape, opset=OPSET)


def vit_b_16() -> ir.Model:
    """Export the Vision Transformer of 86 million weights."""
    from benchmarks.models.export import export_module
    from benchmarks.models.networks import Variant, build
    from benchmarks.models.transformers import VisionTransformer

    variant = Variant(lambda: VisionTransformer(width=768, heads=12), (1, 3, 224, 224))
    return export_module(build(variant), variant.shape, opset=OPSET)


def products(*, width: int = _WIDTH, hidden: int = _HIDDEN, blocks: int = _BLOCKS) -> ir.Model:
    """Make a picture's patches go through wide blocks of two products with a Relu between them and an Add around."""
    graph = _Graph()
    patches = graph.add("Conv", graph.image, graph.weight(width, 3, 32, 32, fan=3 * 32 * 32), strides=(32, 32))
    tokens = graph.add("Reshape", patches, graph.constant(np.array([1, width, 49])))
    x = graph.add("Transpose", tokens, perm=(0, 2, 1))
    for _ in range(blocks):
        inner = graph.add("Relu", graph.add("MatMul", x, graph.weight(width, hidden, fan=width)))
        x = graph.add("Add", x, graph.add("MatMul", inner, graph.weight(hidden, width, fan=hidden * blocks)))
    return graph.model(x, (1, 49, width))


class _Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.image = ir.val("image", ir.DataType.FLOAT, (1, 3, 224, 224))
        self._nodes: list[ir.Node] = []
        self._constants: list[ir.Value] = []
        self._random = np.random.default_rng(0)

    def add(self, op: str, *inputs: ir.Value, **attributes: tuple[int, ...]) -> ir.Value:
        name = f"{op}_{len(self._nodes)}"
        result = ir.val(name)
        self._nodes.append(ir.node(op, inputs, attributes, outputs=[result], name=name))
        return result

    def weight(self, *shape: int, fan: int) -> ir.Value:
        """Add a weight of variance ``1 / fan``."""
        array = self._random.standard_normal(shape, np.float32)
        array /= np.float32(fan**0.5)
        return self.constant(array)

    def constant(self, array: np.ndarray) -> ir.Value:
        name = f"constant_{len(self._constants)}"
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self._constants.append(value)
        return value

    def model(self, output: ir.Value, shape: tuple[int, ...]) -> ir.Model:
        output.name, output.shape, output.type = "output", ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        graph = ir.Graph(
            [self.image],
            [output],
            nodes=self._nodes,
            initializers=self._constants,
            opset_imports={"": OPSET},
            name="products",
        )
        return ir.Model(graph, ir_version=8)


SUBJECTS: Mapping[str, Callable[[], ir.Model]] = {
    **{name: lambda name=name: network(name) for name in NETWORKS},  # type: ignore[misc]
    "vgg16": vgg16,
    "vit_b_16": vit_b_16,
    "products_2_7_gb": products,
    "chain_10000": lambda: chain(_NODES),
}
"""The maker of each model, by the name of the model."""


def main() -> None:
    """Write a model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversion_cost.subjects", description="Write a model.")
    parser.add_argument("name", choices=SUBJECTS)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    save(SUBJECTS[options.name](), options.path)


if __name__ == "__main__":
    main()
