"""Replaces a detector's selection of boxes by the operator of TensorFlow's Object Detection API."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from shlex import quote

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from layoutopt.boundary.cut import reads
from layoutopt.boundary.detection_postprocess import FORMATS, OPTION, BoxFormat, DetectionPostprocess
from layoutopt.boundary.names import find_tensors, tensors_of
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.ir import dialect, edit
from layoutopt.ir.attributes import constant_operand, integer
from layoutopt.ir.values import Array, static_shape
from layoutopt.passes import FoldConstants
from layoutopt.text import first_few

_MIN_OPSET = 11
"""Since which all operators of the definition exist."""
_MAX_NAMED = 8
"""Names that a message lists."""
_COORDINATES, _RANK = 4, 3
"""The numbers of a box, and the axes of the operands of NonMaxSuppression."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """The operands of the operator as the model has them.

    Attributes:
        boxes: (1, boxes, 4), or with the last two axes the other way round, or without the first.
        scores: likewise, with an axis of classes.
        classes_first: whether the boxes of ``scores`` are its last axis.
        format: of the boxes.
        iou_threshold: as `DetectionPostprocess` has it.
        score_threshold: likewise.
        detections_per_class: likewise.
        replaced: the values that depend on what is replaced; outputs among them fall away.
    """

    boxes: ir.Value
    scores: ir.Value
    classes_first: bool
    format: BoxFormat
    iou_threshold: float
    score_threshold: float
    detections_per_class: int
    replaced: Collection[ir.Value]


def replace_selection(model: ir.Model, wanted: DetectionPostprocess) -> tuple[str, ...]:
    """Let a model select boxes by the dialect's operator for ``TFLite_Detection_PostProcess``, in place.

    The outputs that depend on the old selection are replaced by ``detection_boxes`` (1, rows, 4) of ymin, xmin, ymax
    and xmax, ``detection_classes`` (1, rows), ``detection_scores`` (1, rows) and ``num_detections`` (1,), all of
    float32; others follow them. An input or another output that has one of these names keeps it, and a number is
    appended to that of the new output.

    Args:
        model: to be changed.
        wanted: how boxes are selected.

    Returns:
        Notes for the user.

    Raises:
        UsageError: what is asked for does not fit the model.
        UnsupportedOperatorError: the operator cannot do what the model's NonMaxSuppression does; names that node.
    """
    if model.graph.opset_imports.get("", 1) < _MIN_OPSET:
        raise UsageError(f"{OPTION}: the model is of an opset below {_MIN_OPSET}", hint="Export it with a newer one.")
    _infer_shapes(model)
    graph = model.graph
    selection = _named(graph, wanted) if wanted.boxes else _suppressing(graph, wanted)
    dropped = [str(value.name) for value in graph.outputs if value in selection.replaced]
    kept = [value for value in graph.outputs if value not in selection.replaced]
    outputs = _append(graph, wanted, selection)
    for value, name in zip(outputs, _RESULTS, strict=True):
        value.name = _claimed(graph, name, {*graph.inputs, *kept})
    graph.outputs[:] = [*outputs, *kept]
    RemoveUnusedNodesPass()(model)
    dialect.define(model)
    names = ", ".join(str(value.name) for value in outputs)
    return (
        f"{OPTION}: instead of {first_few(dropped, _MAX_NAMED)}, there are {names}.",
        "Run TFLite_Detection_PostProcess with one thread: LiteRT's kernel leaves out a class with more, unless there "
        "are at least as many threads as classes.",
    )


def _infer_shapes(model: ir.Model) -> None:
    """Give values their shapes, also those that the model computes from the shapes of its inputs."""
    ShapeInferencePass(data_prop=True)(model)
    unknown = [value for value in tensors_of(model.graph) if static_shape(value) is None]
    if unknown:
        known = {value.name: value for value in tensors_of(FoldConstants()(model.clone()).model.graph)}
        for value in unknown:
            if static_shape(found := known.get(value.name)) is not None and found is not None:
                value.shape, value.type = found.shape, found.type


def _named(graph: ir.Graph, wanted: DetectionPostprocess) -> _Selection:
    """Return the selection of the boxes and scores that a user has named."""
    boxes, scores = (_found(graph, key, getattr(wanted, key)) for key in ("boxes", "scores"))
    assert wanted.format is not None
    assert wanted.iou_threshold is not None
    assert wanted.score_threshold is not None
    if boxes is scores:
        raise UsageError(f"{OPTION}: boxes and scores are the same tensor")
    count, is_last = _count_of(boxes)
    shape = _shape_of(scores, "scores")
    if count not in shape:
        raise UsageError(
            f"{OPTION}: scores {scores.name!r} of {list(shape)} have no axis of the {count} boxes of {boxes.name!r}",
            hint="Name tensors of all boxes and of all scores: 'layoutopt tensors MODEL.onnx' lists them.",
        )
    classes_first = is_last if shape[0] == shape[1] else shape[1] == count
    return _Selection(
        *(boxes, scores, classes_first, wanted.format, wanted.iou_threshold, wanted.score_threshold),
        detections_per_class=wanted.detections_per_class or wanted.max_detections,
        replaced=_after(graph, {boxes, scores}),
    )


def _found(graph: ir.Graph, key: str, name: str) -> ir.Value:
    found = find_tensors(graph, [name], f"{OPTION} {key}")
    if len(found) > 1:
        names = ", ".join(str(value.name) for value in found)
        raise UsageError(f"{OPTION}: {key}={name} means several tensors", hint=f"Name one of {names}.")
    return found[0]


def _shape_of(value: ir.Value, key: str) -> tuple[int, int]:
    """Return the last two sizes of all boxes or of all scores.

    Raises:
        UsageError: the shape is not known, has other axes, or the elements are no floats.
    """
    shape = static_shape(value)
    if (
        shape is None
        or value.dtype is not ir.DataType.FLOAT
        or len(shape) not in (2, 3)
        or shape[:-2] not in ((), (1,))
    ):
        stated = "unknown shape" if value.shape is None else f"shape {value.shape}"
        dtype = "unknown type" if value.dtype is None else str(value.dtype)
        raise UsageError(
            f"{OPTION}: {key} {value.name!r} are of {stated} and {dtype}, not float32 of [{key}, ...] in a batch of 1",
            hint="The operator takes one image and a fixed number of boxes: export the model with fixed sizes.",
        )
    return shape[-2], shape[-1]


def _count_of(boxes: ir.Value) -> tuple[int, bool]:
    """Return the number of boxes, and whether they are the last axis."""
    shape = _shape_of(boxes, "boxes")
    if _COORDINATES not in shape:
        raise UsageError(f"{OPTION}: boxes {boxes.name!r} of {list(shape)} have no axis of 4 coordinates")
    is_last = shape[1] != _COORDINATES
    return shape[is_last], is_last


def _suppressing(graph: ir.Graph, wanted: DetectionPostprocess) -> _Selection:
    """Return the selection of the only NonMaxSuppression of the model."""
    nodes = [node for node in graph.all_nodes() if node.op_type == "NonMaxSuppression" and node.domain == ""]
    named = (
        f"Name the boxes and scores: {OPTION} boxes=NAME,scores=NAME,... ('layoutopt tensors MODEL.onnx' lists them)."
    )
    if not nodes:
        raise UsageError(f"{OPTION}: the model has no NonMaxSuppression", hint=named)
    if len(nodes) > 1 or nodes[0].graph is not graph:
        names = first_few([_name(node) for node in nodes], _MAX_NAMED)
        where = (
            f"{len(nodes)} NonMaxSuppression ({names})" if len(nodes) > 1 else f"{names} in the body of another node"
        )
        raise UsageError(f"{OPTION}: the operator stands for one NonMaxSuppression, and there is {where}", hint=named)
    node = nodes[0]
    boxes, scores = node.inputs[:2]
    assert boxes is not None
    assert scores is not None
    if wanted.format is not None and wanted.format.has_corners == _takes_centres(node):
        raise UsageError(f"{OPTION}: format={wanted.format.value} is not what {_name(node)} takes", hint=FORMATS)
    if why := _why_unsuitable(boxes, "boxes") or _why_unsuitable(scores, "scores"):
        raise _refused(node, why, wanted)
    form = wanted.format or (BoxFormat.XYWH if _takes_centres(node) else None)
    if form is None:
        raise UsageError(f"{OPTION}: the format of the boxes that {_name(node)} takes must be given", hint=FORMATS)
    most = wanted.detections_per_class or int(_limit(node, 2, "detections_per_class", 0))
    if most < 1:
        raise _refused(node, "it selects no boxes at all (max_output_boxes_per_class is 0)", wanted)
    overlap, least = wanted.iou_threshold, wanted.score_threshold
    return _Selection(
        *(boxes, scores, True, form),
        iou_threshold=_limit(node, 3, "iou_threshold", 0) if overlap is None else overlap,
        score_threshold=_limit(node, 4, "score_threshold", _LOWEST) if least is None else least,
        detections_per_class=most,
        replaced=_after(graph, set(node.outputs)),
    )


def _takes_centres(node: ir.Node) -> bool:
    return integer(node, "center_point_box", 0) == 1


def _why_unsuitable(operand: ir.Value, key: str) -> str:
    """Return why the operator cannot select by an operand of NonMaxSuppression of this shape; empty where it can."""
    if operand.shape is not None and operand.shape.rank() != _RANK:
        return f"its {key} have {operand.shape.rank()} axes and not the {_RANK} of ONNX"
    if operand.shape is not None and 0 in operand.shape:
        return f"its {key} of {operand.shape} are empty"
    if (sizes := static_shape(operand)) is None:
        return "how many boxes it selects from is not known before the model runs"
    return "" if sizes[0] == 1 else f"it selects from {sizes[0]} images at once, and the operator takes one"


_LOWEST = float(np.finfo(np.float32).min)


def _name(node: ir.Node) -> str:
    return str(node.name or node.outputs[0].name)


def _limit(node: ir.Node, index: int, key: str, default: float) -> float:
    """Return an operand of NonMaxSuppression that is one number.

    Raises:
        UsageError: it is computed when the model runs.
    """
    if index >= len(node.inputs) or node.inputs[index] is None:
        return default
    number = constant_operand(node, index)
    if number is None:
        raise UsageError(
            f"{OPTION}: {_name(node)} computes its {key} when the model runs", hint=f"Give the number: {key}=..."
        )
    return float(np.float32(number.reshape(-1)[0])) if index > 2 else float(number.reshape(-1)[0])


def _refused(node: ir.Node, why: str, wanted: DetectionPostprocess) -> UnsupportedOperatorError:
    """Return the error to raise for a NonMaxSuppression that the operator cannot stand for."""
    boxes, scores = _before_selection(node)
    instead = replace(
        wanted,
        boxes=boxes,
        scores=scores,
        format=wanted.format or (BoxFormat.XYWH if _takes_centres(node) else BoxFormat.XYXY),
        iou_threshold=0.5 if wanted.iou_threshold is None else wanted.iou_threshold,
        score_threshold=0.25 if wanted.score_threshold is None else wanted.score_threshold,
    )
    hint = f"Take boxes and scores before it, with thresholds of your own: {OPTION} {quote(str(instead))}"
    return UnsupportedOperatorError(f"{OPTION}: node {_name(node)} (NonMaxSuppression): {why}", hint=hint)


def _before_selection(node: ir.Node) -> tuple[str, str]:
    """Return the names of the nearest tensors before a NonMaxSuppression that may be all boxes and all scores."""
    boxes = next((each for each in _upwards(node.inputs[0]) if _COORDINATES in _table(each)), None)
    if boxes is None:
        return "NAME", "NAME"
    count, _ = _count_of(boxes)
    scores = next((each for each in _upwards(node.inputs[1]) if count in _table(each) and each is not boxes), None)
    return str(boxes.name), "NAME" if scores is None else str(scores.name)


def _table(value: ir.Value) -> tuple[int, ...]:
    """Return the sizes of a tensor of fixed size that may be boxes or scores; empty for any other."""
    shape = static_shape(value)
    is_table = shape is not None and len(shape) in (2, 3) and shape[:-2] in ((), (1,)) and min(shape[-2:]) > 1
    return shape[-2:] if is_table and shape is not None and value.dtype is ir.DataType.FLOAT else ()


def _upwards(value: ir.Value | None) -> Iterator[ir.Value]:
    """Iterate over what a value is computed of, the nearest first."""
    waiting, seen = [value] if value is not None else [], set[ir.Value]()
    while waiting:
        each = waiting.pop(0)
        node = each.producer()
        if each not in seen and node is not None:
            yield each
            seen.add(each)
            waiting += reads(node)


def _after(graph: ir.Graph, values: set[ir.Value]) -> set[ir.Value]:
    """Return these values and all that depend on one of them."""
    found = set(values)
    for node in graph:
        if any(value in found for value in reads(node)):
            found.update(node.outputs)
    return found


# --- nodes -----------------------------------------------------------------------------------------------------------


def _append(graph: ir.Graph, wanted: DetectionPostprocess, selection: _Selection) -> list[ir.Value]:
    """Append the operator and what brings its operands into its form; return its results."""
    count, last = _count_of(selection.boxes)
    boxes = _in_rows(graph, selection.boxes, "boxes", turned=last)
    scores = _in_rows(graph, selection.scores, "scores", turned=selection.classes_first)
    classes = _shape_of(selection.scores, "scores")[0 if selection.classes_first else 1] - wanted.background
    if classes < 1:
        raise UsageError(f"{OPTION}: no class is left of {selection.scores.name!r} without the background")
    limits: tuple[Array, ...] = (
        np.array([wanted.max_detections], np.int64),
        np.array([min(selection.detections_per_class, wanted.max_detections, count)], np.int64),
        np.array([selection.iou_threshold], np.float32),
        np.array([selection.score_threshold], np.float32),
        np.array([classes], np.int64),
    )
    constants = [
        edit.add_constant(graph, f"detection_{name}", array)
        for name, array in zip(dialect.DETECTION_LIMITS, limits, strict=True)
    ]
    operands = [_centred(graph, boxes, selection.format), scores, *constants]
    node = ir.node(dialect.DETECTION_POSTPROCESS, operands, domain=dialect.DOMAIN, num_outputs=len(_RESULTS))
    node.name = edit.fresh_name(graph, dialect.DETECTION_POSTPROCESS)
    rows = wanted.max_detections
    for value, shape in zip(node.outputs, _RESULTS.values(), strict=True):
        value.type = ir.TensorType(ir.DataType.FLOAT)
        value.shape = ir.Shape([rows if size is None else size for size in shape])
    graph.append(node)
    return list(node.outputs)


_RESULTS: dict[str, tuple[int | None, ...]] = {
    "detection_boxes": (1, None, _COORDINATES),
    "detection_classes": (1, None),
    "detection_scores": (1, None),
    "num_detections": (1,),
}
"""The outputs in the order in which apps read them, with their shapes; None stands for the rows."""


def _claimed(graph: ir.Graph, name: str, fixed: Collection[ir.Value]) -> str:
    """Return ``name``, after another one for what has it; with a number appended if that is one of ``fixed``."""
    free = edit.fresh_name(graph, name)
    holders = [value for value in edit.values_of(graph) if value.name == name]
    if any(value in fixed for value in holders):
        return free
    for value in holders:
        value.name = edit.fresh_name(graph, f"{name}_inner")
    return name


def _in_rows(graph: ir.Graph, value: ir.Value, name: str, *, turned: bool) -> ir.Value:
    """Return boxes or scores as (1, boxes, ...)."""
    sizes = _shape_of(value, name)
    if value.shape is not None and len(value.shape) < 3:
        value = _node(graph, f"{name}_of_one_image", "Reshape", value, np.array([1, *sizes], np.int64))
    return _node(graph, f"{name}_in_rows", "Transpose", value, perm=(0, 2, 1)) if turned else value


def _centred(graph: ir.Graph, boxes: ir.Value, form: BoxFormat) -> ir.Value:
    """Return boxes (1, boxes, 4) as y, x, height and width of their centres; no size is negative."""
    if form.begins_with_x:
        boxes = _node(graph, "boxes_y_first", "Gather", boxes, np.array([1, 0, 3, 2], np.int64), axis=2)
    first, last = (
        _node(graph, f"boxes_{name}", "Slice", boxes, *(np.array([at], np.int64) for at in (start, start + 2, 2)))
        for name, start in (("first", 0), ("last", 2))
    )
    if form.has_corners:
        total = _node(graph, "boxes_sum", "Add", first, last)
        first, last = (
            _node(graph, "boxes_centre", "Mul", total, np.array(0.5, np.float32)),
            _node(graph, "boxes_size", "Abs", _node(graph, "boxes_difference", "Sub", last, first)),
        )
    else:
        last = _node(graph, "boxes_size", "Relu", last)
    return _node(graph, "boxes_centred", "Concat", first, last, axis=2)


def _node(
    graph: ir.Graph, name: str, operator: str, *operands: ir.Value | Array, **attributes: int | tuple[int, ...]
) -> ir.Value:
    """Return the result of a node that is appended to ``graph``; arrays among its operands become constants."""
    values = [
        each if isinstance(each, ir.Value) else edit.add_constant(graph, f"{name}_operand", each) for each in operands
    ]
    node = ir.node(operator, values, attributes)
    node.name = edit.fresh_name(graph, f"{operator}/{name}")
    node.outputs[0].name = edit.fresh_name(graph, name)
    graph.append(node)
    return node.outputs[0]
