"""Models that reports are made of, and what they are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from layoutopt.errors import ConversionError
from layoutopt.results.model_report import ModelGraph

HEAD = """<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,16,20] image) => (float[1,160,7] y) {
    [stem] a = Conv<pads=[1,1,1,1]>(image, w1, b1)
    [act] r = Relu(a)
    [down] d = Conv<pads=[1,1,1,1], strides=[2,2]>(r, w2, b2)
    [gate] g = Sigmoid(d)
    [silu] m = Mul(d, g)
    [head] h = Conv(m, w3, b3)
    [view] v = Reshape(h, split)
    [permute] p = Transpose<perm=[0,1,3,4,2]>(v)
    [squash] q = Sigmoid(p)
    [join] y = Reshape(q, flat)
}"""
"""A detector's head: behind the last convolution, boxes come before channels, which costs one transpose."""


def head(path: Path) -> Path:
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(HEAD)
    shapes = {"w1": (6, 3, 3, 3), "w2": (8, 6, 3, 3), "w3": (14, 8, 1, 1), "b1": (6,), "b2": (8,), "b3": (14,)}
    constants: dict[str, npt.NDArray[np.generic]] = {
        name: rng.standard_normal(shape).astype(np.float32) / 4 for name, shape in shapes.items()
    }
    constants |= {"split": np.array([1, 2, 7, 8, 10]), "flat": np.array([1, 160, 7])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    return path


def refuse(*_: object, **__: object) -> None:
    raise ConversionError("lowering", "no")


def inner(path: Path, names: list[str], feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime computes for values inside of a model."""
    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feed), strict=True))


def transposes(graph: ModelGraph) -> list[str]:
    return [node.id for node in graph.nodes if node.is_transpose]
