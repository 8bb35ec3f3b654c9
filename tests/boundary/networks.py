"""Small models that are cut and given other inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

FLOAT = ir.DataType.FLOAT


def constant(name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
    return ir.val(name, const_value=ir.tensor(array, name=name))


def floats(name: str, *shape: int) -> ir.Value:
    rng = np.random.default_rng([len(name), *shape])  # the same each time
    return constant(name, (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


def node(
    operator: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    *,
    result: str = "",
    domain: str = "",
    **attributes: object,
) -> ir.Node:
    made = ir.node(operator, list(inputs), attributes, domain=domain, name=name)  # type: ignore[arg-type]
    made.outputs[0].name = result or f"{name}_out"
    return made


def model(
    inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], nodes: Sequence[ir.Node], *constants: ir.Value
) -> ir.Model:
    domains = {each.domain: 1 for each in nodes if each.domain}
    graph = ir.Graph(
        inputs, outputs, nodes=nodes, initializers=constants, opset_imports={"": 17, **domains}, name="network"
    )
    return ir.Model(graph, ir_version=9)


def picture(*shape: int) -> ir.Value:
    return ir.val("image", FLOAT, shape or (1, 3, 16, 16))


def stem(
    x: ir.Value, *, stride: int = 2, pads: int = 1, kernel: int = 3, channels: int = 3
) -> tuple[ir.Node, ir.Value, ir.Value]:
    """A first convolution."""
    weights, bias = floats("weights", 8, channels, kernel, kernel), floats("bias", 8)
    conv = node("Conv", [x, weights, bias], "stem", strides=[stride] * 2, pads=[pads] * 4)
    return conv, weights, bias


def classifier(*, stride: int = 2, pads: int = 1, kernel: int = 3) -> ir.Model:
    """Convolution, activation, convolution: the result is a picture, so that borders show."""
    x = picture()
    conv, *constants = stem(x, stride=stride, pads=pads, kernel=kernel)
    head = floats("head_weights", 5, 8, 1, 1)
    act = node("Relu", [conv.outputs[0]], "act")
    last = node("Conv", [act.outputs[0], head], "head", result="scores")
    last.outputs[0].dtype = FLOAT
    last.outputs[0].shape = ir.Shape([1, 5, *[(16 + 2 * pads - kernel) // stride + 1] * 2])
    return model([x], last.outputs, [conv, act, last], *constants, head)


def detector(operator: str = "Suppress", domain: str = "plugins.of.somebody") -> ir.Model:
    """The same with a tail of an operator that nobody knows."""
    made = classifier()
    graph = made.graph
    scores = graph.outputs[0]
    tail = node(operator, [scores], "tail", result="detections", domain=domain)
    tail.outputs[0].dtype, tail.outputs[0].shape = FLOAT, ir.Shape([1, 10, 6])
    graph.append(tail)
    graph.outputs[0] = tail.outputs[0]
    graph.opset_imports[domain] = 1
    return made
