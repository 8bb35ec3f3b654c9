"""The drawings of docs/how-it-works.md, from models that go through the passes: bytes and cuts are computed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

import layoutopt
from docs.tools.svg import Box, Drawing, Kind
from layoutopt.ir.counts import bytes_transposed
from layoutopt.ir.dialect import DOMAIN
from layoutopt.ir.values import size_in_bytes
from layoutopt.options import Io, Objective
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants, PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import PassManager
from layoutopt.pipeline.text import pass_name
from layoutopt.report.terminal.tables import format_size
from layoutopt.workflows.conversion import per_operator

CHAIN = """
    g (float[1, 3, 224, 224] image) => (float[1, 32, 56, 56] result) <float[32, 3, 3, 3] w, float[32, 1, 3, 3] v> {
        c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, w)
        r = Relu (c)
        m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
        d = Conv <pads = [1, 1, 1, 1], group = 32> (m, v)
        result = Relu (d)
    }
"""
HEAD = """
    g (float[1, 3, 64, 64] image) => (float[1, 8192] boxes, float[1, 4096] features)
    <float[64, 3, 3, 3] w, int64[1] zero = {0}, int64[1] eight = {8}, int64[1] axis = {1}> {
        a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, w)
        b = Sigmoid (a)
        c = Slice (b, zero, eight, axis)
        d = Exp (c)
        boxes = Flatten (d)
        e = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (b)
        f = Neg (e)
        features = Flatten (f)
    }
"""
WIDTH, MARGIN, GAP = 900, 16, 26
FILES = 134  # width of a box with the name of a file


def transposes() -> str:
    """Draw one network in three forms: every operator by itself, whole with its interface kept, whole and free."""
    folded = FoldConstants()(_model(CHAIN)).model
    forms = {
        "One operator at a time: per-operator layout": per_operator(folded),
        "The whole graph, inputs and outputs kept: --io keep": _optimized(folded, Io.KEEP),
        "The whole graph: --io free": _optimized(folded, Io.FREE),
    }
    counts = [str(sum(map(_is_transpose, model.graph))) for model in forms.values()]
    title = f"A network of {len(folded.graph)} operators converted in three ways, with {', '.join(counts)} transposes"
    drawing = Drawing(title, WIDTH, 20 + 104 * len(forms))
    for row, (words, model) in enumerate(forms.items()):
        y = 34 + 104 * row
        drawing.text(MARGIN, y, words, style="strong")
        moved = sum(map(bytes_transposed, model.graph))
        drawing.text(560, y, f"{counts[row]} transposes, {format_size(moved)} moved in each inference", style="small")
        _chain(drawing, list(model.graph), y + 16)
    return str(drawing)


def cut() -> str:
    """Draw where the cheapest border between what has to be NHWC and what has to be NCHW runs."""
    model = _model(HEAD)
    report = layoutopt.explain(model, objective=Objective.BYTES)
    assert report.layout.proved_optimal
    drawing = Drawing("A minimum cut between operators that need NHWC and outputs that need NCHW", WIDTH, 262)
    boxes = {
        "a": drawing.box(24, 112, "Conv", Kind.ANCHOR),
        "b": drawing.box(196, 112, "Sigmoid", Kind.OPERATOR),
        "c": drawing.box(370, 60, "Slice", Kind.OPERATOR),
        "d": drawing.box(550, 60, "Exp", Kind.OPERATOR),
        "boxes": drawing.box(730, 60, "boxes", Kind.FILE),
        "e": drawing.box(370, 164, "MaxPool", Kind.ANCHOR),
        "f": drawing.box(550, 164, "Neg", Kind.OPERATOR),
        "features": drawing.box(730, 164, "features", Kind.FILE),
    }
    edges = {
        str(value.name): [boxes[str(node.outputs[0].name)] for node in value.consumers()]
        for value in (node.outputs[0] for node in model.graph)
    }
    values = {str(value.name): value for node in model.graph for value in node.outputs}
    for name, readers in edges.items():
        for reader in readers:
            _edge(drawing, boxes[name], reader, values[name])
    copies = report.explanation.copies
    borders = sorted((_on(boxes[copy.value], reader, 0.78) for copy in copies for reader in edges[copy.value]), key=_y)
    drawing.cut((borders[0][0], 40), *borders, (borders[-1][0], 226))
    drawing.text(MARGIN, 26, "NHWC: TFLite runs Conv and MaxPool so", style="strong")
    drawing.text(600, 26, "NCHW: the outputs are flattened so", style="strong")
    cost, bound = format_size(report.layout.cost), format_size(report.layout.lower_bound)
    words = f"The cut moves {cost}. A flow of {bound} fits through the graph from left to right, so no cut is cheaper."
    drawing.text(MARGIN, 248, words, style="small")
    return str(drawing)


def pipeline() -> str:
    """Draw the way from a model to a .tflite."""
    drawing = Drawing("The way of a model through layoutopt, from .onnx to .tflite", WIDTH, 480)
    left, right, step = 170.0, WIDTH - MARGIN, 48.0
    source = drawing.box(MARGIN, 40, "model.onnx", Kind.FILE, width=FILES)
    drawing.text(left, 26, "passes on the ONNX graph", style="strong")
    x, y, last = left, 40.0, source
    for name in map(pass_name, DEFAULT_PIPELINE):
        kind = Kind.ANCHOR if name == pass_name(PropagateLayout) else Kind.OPERATOR
        if x + Drawing.width_of(name) > right:
            x, y = left, y + step
        box = drawing.box(x, y, name, kind)
        drawing.arrow(last.right if last.y == y else (x - 20, box.left[1]), box.left)
        x, last = box.right[0] + 24, box
    y += step + 34
    optimized = drawing.box(MARGIN, y, "model.nhwc.onnx", Kind.FILE, width=FILES)
    drawing.arrow((last.x + 20, last.bottom[1]), (optimized.right[0] - 20, optimized.y))
    drawing.text(left + 4, y - 10, "on LiteRT's operators", style="strong")
    last = optimized
    for label in ("lowering", "rewrites", "int8 kernels, if any", "writer"):
        box = drawing.box(last.right[0] + 24, y, label, Kind.OPERATOR)
        drawing.arrow(last.right, box.left)
        last = box
    result = drawing.box(last.right[0] + 24, y, "model.tflite", Kind.FILE)
    drawing.arrow(last.right, result.left)
    judge = drawing.box(
        300, y + step + 24, "ONNX Runtime on the original: what every result is compared with", Kind.FILE
    )
    drawing.arrow((judge.x + 20, judge.y), (optimized.right[0] - 20, optimized.bottom[1]))
    drawing.arrow((judge.right[0] - 20, judge.y), result.bottom)
    return str(drawing)


def _chain(drawing: Drawing, nodes: list[ir.Node], y: float) -> None:
    """Draw operators one after the other, with the bytes that each moves."""
    last: Box | None = None
    for node in nodes:
        kind = Kind.TRANSPOSE if _is_transpose(node) else Kind.ANCHOR if node.domain == DOMAIN else Kind.OPERATOR
        box = drawing.box(last.right[0] + GAP if last else MARGIN, y, node.op_type, kind)
        if last:
            drawing.arrow(last.right, box.left)
        if moved := bytes_transposed(node):
            drawing.text(box.bottom[0], box.bottom[1] + 15, format_size(moved), style="warn", middle=True)
        last = box


def _edge(drawing: Drawing, start: Box, end: Box, value: ir.Value) -> None:
    """Draw a value between two operators, with its bytes; the more, the thicker."""
    count = size_in_bytes(value)
    drawing.arrow(start.right, end.left, width=1 + count / 60_000)
    x, y = _on(start, end, 0.36)
    beside = {-1: -21, 0: -9, 1: 27}[int(np.sign(end.y - start.y))]  # clear of an arrow that goes up, on, or down
    drawing.text(x, y + beside, format_size(count), style="small", middle=True)


def _on(start: Box, end: Box, part: float) -> tuple[float, float]:
    """Return a place on the way from one box to another."""
    (x, y), (right, low) = start.right, end.left
    return x + part * (right - x), y + part * (low - y)


def _y(place: tuple[float, float]) -> float:
    return place[1]


def _is_transpose(node: ir.Node) -> bool:
    return node.op_type == "Transpose"


def _optimized(model: ir.Model, io: Io) -> ir.Model:
    return PassManager(default_pipeline(PropagateLayout(io=io, objective=Objective.BYTES))).run(model.clone()).model


def _model(graph: str) -> ir.Model:
    """Return a model from the text of its graph; weights that it only declares are ones."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {graph}')
    for weights in proto.graph.value_info:
        array = np.ones([size.dim_value for size in weights.type.tensor_type.shape.dim], np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, weights.name))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))
