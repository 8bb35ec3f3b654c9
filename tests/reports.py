"""Reports of models that do not exist, of any size: what the page has to cope with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.layout.explain.explanation import (
    Copy,
    Explanation,
    InternalMovement,
    KeptTranspose,
    PartProof,
    TransposeSide,
)
from layoutopt.layout.explain.missing_rules import MissingRule
from layoutopt.layout.solver.problem import Solver
from layoutopt.options import Objective, Target
from layoutopt.pipeline.manager import PassRecord
from layoutopt.results.check import CheckReport, Finding
from layoutopt.results.explain import ExplainReport
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph, ModelReport, Stage
from layoutopt.results.optimize import (
    LayoutName,
    LayoutProof,
    ModelKind,
    ModelStats,
    ObjectiveChoice,
    OptimizeReport,
    TensorInfo,
)

VERSIONS = {"python": "3.11.9", "layoutopt": "0.1.0", "onnx": "1.23.2", "ai-edge-litert": "2.3.0"}
_NCHW, _NHWC = (1, 32, 56, 48), (1, 56, 48, 32)
_SHAPES = {Layout.NATURAL: _NCHW, Layout.CHANNELS_LAST: _NHWC}
_ORDERS = {Layout.NATURAL: "as is", Layout.CHANNELS_LAST: "NHWC", Layout.OTHER: "N H C W", Layout.UNKNOWN: ""}
_BYTES = 4 * 32 * 56 * 48
_OPERATORS_OF_A_BLOCK = 2.8
_SKIPS = 5
"""Across half of the graph."""


@dataclass
class _Writer:
    """Writes a graph operator by operator."""

    layout: Layout
    chance: random.Random
    nodes: list[GraphNode] = field(default_factory=list)
    tensors: dict[str, GraphTensor] = field(default_factory=dict)

    def tensor(self, name: str, layout: Layout, value: str) -> str:
        shape = _SHAPES.get(layout, _NCHW)
        error = 2e-7 * (1 + len(self.nodes) / 50) * self.chance.uniform(0.5, 2)
        own = error * self.chance.uniform(0.01, 0.2)
        known = layout is not Layout.UNKNOWN
        self.tensors[name] = GraphTensor(
            name, shape, "float32", _BYTES, layout, _ORDERS[layout], value, error if known else None, own
        )
        return name

    def add(self, operator: str, name: str, inputs: Sequence[str], layout: Layout | None = None) -> str:
        """One operator with one result, in the layout of the graph unless told otherwise."""
        number = len(self.nodes)
        output = self.tensor(f"t{number}", layout or self.layout, f"{name}_output")
        weights = ("weights 32x3x3x32 float32", "bias 32 float32") if "CONV" in operator else ()
        node = GraphNode(
            f"op{number}",
            operator,
            name,
            tuple(inputs),
            (output,),
            weights,
            {"padding": "SAME", "stride": "1 x 1"} if weights else {},
            rule="layout-sensitive: channels-last only" if weights else "any layout",
            reason="TFLite runs it channels-last only" if weights else "as its operand has it",
            microseconds=self.chance.lognormvariate(4 if weights else 2, 0.7),
        )
        self.nodes.append(node)
        return output

    def transpose(self, name: str, source: str, layout: Layout) -> str:
        output = self.add("TRANSPOSE", name, [source], layout)
        self.nodes[-1] = replace(
            self.nodes[-1],
            is_transpose=True,
            bytes_moved=_BYTES,
            attributes={"perm": "0, 2, 3, 1" if layout is Layout.CHANNELS_LAST else "0, 3, 1, 2"},
            constants=("perm 4 int32",),
            rule="",
            reason=f"written as {_ORDERS[self.tensors[source].layout]}, read as {_ORDERS[layout]}",
        )
        return output

    def graph(self, title: str, outputs: Sequence[str]) -> ModelGraph:
        return ModelGraph(title, tuple(self.nodes), self.tensors, ("image",), tuple(outputs))


def network(title: str, size: int, *, wrapped: bool, seed: int = 0) -> ModelGraph:
    """A network of ``size`` blocks: residuals, branches that join, and skips across half of the graph.

    Args:
        title: of the graph.
        size: how many blocks, of one to four operators, of which up to three may be wrapped.
        wrapped: whether every convolution stands between two transposes, as an operator-by-operator conversion has it.
        seed: of the choice of blocks, the same for both forms of one network.
    """
    blocks = random.Random(seed)
    writer = _Writer(Layout.NATURAL if wrapped else Layout.CHANNELS_LAST, random.Random(seed + 1))
    last = writer.tensor("image", writer.layout, "image")
    held: list[str] = []

    def conv(source: str, name: str, operator: str = "CONV_2D") -> str:
        if not wrapped:
            return writer.add(operator, name, [source])
        inside = writer.transpose(name, source, Layout.CHANNELS_LAST)
        result = writer.add(operator, name, [inside], Layout.CHANNELS_LAST)
        return writer.transpose(name, result, Layout.NATURAL)

    for block in range(1, size + 1):
        kind = blocks.random()
        if kind < 0.55:
            source = last
            last = conv(last, f"/block.{block}/conv1/Conv")
            last = conv(last, f"/block.{block}/dw/Conv", "DEPTHWISE_CONV_2D")
            last = writer.add("ADD", f"/block.{block}/Add", [last, source])
        elif kind < 0.75:
            ends = [conv(last, f"/block.{block}/branch.{branch}/Conv") for branch in range(3)]
            last = writer.add("CONCATENATION", f"/block.{block}/Concat", ends)
        elif block < size / 2 and len(held) < _SKIPS:
            held.append(last)
            last = writer.add("MAX_POOL_2D", f"/block.{block}/pool/MaxPool", [last], Layout.CHANNELS_LAST)
        elif block > size / 2 and held:
            last = writer.add("RESIZE_BILINEAR", f"/block.{block}/up/Resize", [last], Layout.CHANNELS_LAST)
            last = writer.add("CONCATENATION", f"/block.{block}/skip/Concat", [last, held.pop()])
        else:
            last = writer.add("LOGISTIC", f"/block.{block}/act/Sigmoid", [last])
    boxes = writer.add("RESHAPE", "/head/Reshape", [last], Layout.OTHER)
    scores = writer.add("SOFTMAX", "/head/Softmax", [last], Layout.UNKNOWN)
    return writer.graph(title, [boxes, scores])


def report(size: int = 60, *, before: bool = True, measured: bool = True, left: int = 0) -> ModelReport:
    """A report with everything in it.

    Args:
        size: operators of the result, about; the baseline has more than twice as many where ``before``.
        before: whether there is a baseline.
        measured: whether there are times and errors.
        left: transposes that are left in the result.
    """
    blocks = round(size / _OPERATORS_OF_A_BLOCK)
    after = _with_left(network("layoutopt", blocks, wrapped=False), left)
    plain = network("plain onnx-tf", blocks, wrapped=True) if before else None
    if not measured:
        after, plain = _unmeasured(after), _unmeasured(plain) if plain else None
    optimize = _optimize(plain, after, measured=measured)
    stages = _stages(plain or after, after)
    notes = ("The error of 3 tensors could not be told: they are in no file of the original.",)
    return ModelReport(
        "unet_resnet <18> & co",
        "2026-02-03T04:05:06+00:00",
        "AMD EPYC 7B13, 2 cores, Linux 6.1",
        optimize,
        _explain(after, left),
        plain,
        after,
        stages,
        notes,
        _check(plain) if plain else None,
    )


def _check(graph: ModelGraph) -> CheckReport:
    """Two operators alike that a target does not run, one that it may not, and one in the body of another."""
    lists = (
        ("has a number of axes of 5, and at most 4 are allowed",),
        ("RESHAPE to fewer axes before it", "a batch of 1"),
    )
    first, second, third, *_ = graph.nodes
    findings = (
        Finding(0, first.operator, "a", *lists),
        Finding(1, first.operator, second.outputs[0], *lists),
        Finding(2, third.operator, "b", ("is left to the CPU where it is large",), (), certain=False),
        Finding(len(graph.nodes), "TFLite_Detection_PostProcess", "c", ("is a custom operator",), ()),
    )
    count = len(graph.nodes) + 1
    source = "https://github.com/google-ai-edge/LiteRT/blob/main/tflite/tools/versioning/gpu_compatibility.cc"
    where = (Target.GPU, "LiteRT's GPU delegate", source, "2026-11-29", "runs on the CPU")
    return CheckReport(Path("after.tflite"), *where, count, count - 3, 3, count - 9, findings)


def _with_left(graph: ModelGraph, left: int) -> ModelGraph:
    """The graph with ``left`` of its additions in the place of transposes."""
    nodes = list(graph.nodes)
    for at in [index for index, node in enumerate(nodes) if len(node.inputs) == 1][1 : 1 + left]:
        nodes[at] = replace(nodes[at], operator="TRANSPOSE", is_transpose=True, bytes_moved=_BYTES, constants=())
    return replace(graph, nodes=tuple(nodes))


def _unmeasured(graph: ModelGraph) -> ModelGraph:
    tensors = {name: replace(each, relative_error=None, own_error=None) for name, each in graph.tensors.items()}
    return replace(graph, nodes=tuple(replace(node, microseconds=None) for node in graph.nodes), tensors=tensors)


def _form(kind: ModelKind, graph: ModelGraph, latency: float | None) -> ModelStats:
    histogram: dict[str, int] = {}
    for node in graph.nodes:
        histogram[node.operator] = histogram.get(node.operator, 0) + 1
    moved = sum(node.bytes_moved for node in graph.nodes)
    transposes = sum(node.is_transpose for node in graph.nodes)
    return ModelStats(
        *(kind, len(graph.nodes), transposes, 0, 1, 4, moved, histogram, 4_512_344, latency),
        *(latency and latency * 0.97, latency and 3.1e-6, latency and 4.2e-14),
    )


def _optimize(before: ModelGraph | None, after: ModelGraph, *, measured: bool) -> OptimizeReport:
    baseline = _form(ModelKind.PLAIN, before, 12.71 if measured else None) if before else None
    interface = TensorInfo("image", _NHWC, "float32", LayoutName.CHANNELS_LAST, _NCHW, "image.transpose(0,2,3,1)", "a")
    result = TensorInfo("scores", (1, 1000), "float32", LayoutName.NATURAL, (1, 1000), "", "b")
    return OptimizeReport(
        model=None,
        output=None,
        tflite=None,
        saved_model=None,
        pipeline="fold-constants,propagate-layout",
        inputs=(interface,),
        outputs=(result,),
        baseline=baseline,
        optimized=_form(ModelKind.LAYOUTOPT, after, 8.66 if measured else None),
        speedup=Speedup(1.468, 1.455, 1.462, 1.441, 1.483, Verdict.FASTER) if measured and before else None,
        layout=LayoutProof(0, 0, True, "bytes"),
        passes=(PassRecord("fold-constants", 0.2, True, 100, 90, 0, 0),),
        verification=None,
        notes=(),
        versions=VERSIONS,
        check=_check(after),
    )


def _stages(before: ModelGraph, after: ModelGraph) -> tuple[Stage, ...]:
    nodes, count = len(before.nodes), sum(node.is_transpose for node in before.nodes)
    left = sum(node.bytes_moved for node in after.nodes)
    return (
        Stage("original", 0, nodes, count, count * _BYTES),
        Stage("fold-constants", 0.213, nodes - 8, count, count * _BYTES),
        Stage("split-products", 0.011, nodes + 4, count + 2, (count + 2) * _BYTES),
        Stage("propagate-layout", 1.204, len(after.nodes), left // _BYTES, left),
        Stage("cancel-transposes", 0.031, len(after.nodes), left // _BYTES, left),
    )


def _explain(after: ModelGraph, left: int) -> ExplainReport:
    copies = tuple(
        Copy(
            *(f"/head/value.{at}", _NCHW, "float32", _BYTES, _BYTES, 1, 1),
            TransposeSide(
                "NHWC", ("Conv /head/Conv",), ("Add /head/Add",), "Conv /head/Conv", "TFLite runs it channels-last"
            ),
            TransposeSide("as is", ("Reshape /head/Reshape",), (), "output boxes", "its layout was asked for"),
            frozenset({"NonMaxSuppression"}),
        )
        for at in range(left)
    )
    cost = left * _BYTES
    parts = (PartProof(1, Solver.CUT, 214, cost, cost, True, cost),) if left else ()
    found = Explanation(
        copies,
        (InternalMovement("Softmax /head/Softmax", 1200, 0, "TFLite runs it on the last axis only"),),
        (KeptTranspose("Transpose /pre/Transpose", 602_112, "its shape is not known"),),
        parts,
    )
    missing = (MissingRule("NonMaxSuppression", 1, 33_600, 33_600, "has no layout rule"),) if left else ()
    choices = tuple(ObjectiveChoice(each, left, cost, 40_000 * left) for each in Objective)
    return ExplainReport(None, LayoutProof(cost, cost, True, "bytes"), found, missing, 53, VERSIONS, choices)
