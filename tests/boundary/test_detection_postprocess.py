"""The custom operator TFLite_Detection_PostProcess instead of NonMaxSuppression: the same boxes in LiteRT."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from typer.testing import CliRunner

import layoutopt
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.boundary import Boundary, BoxFormat, DetectionPostprocess
from layoutopt.boundary.writing import boundary_of
from layoutopt.cli import app
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.ir.verify import run_onnx
from layoutopt.tfl import custom_options
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.text import format_graph
from tests import detectors
from tests.boundary.networks import classifier
from tests.conversion_cases import Array

CODE = "TFLite_Detection_PostProcess"
NAMES = ["detection_boxes", "detection_classes", "detection_scores", "num_detections"]
COUNT, CLASSES = 40, 3


@dataclass(frozen=True)
class Limits:
    """The constants of a NonMaxSuppression; None for one that is left out."""

    most: int = 40
    overlap: float | None = 0.5
    least: float | None = 0.25


def suppression(limits: Limits, *, center: int = 0, head: str = "", opset: int = 17) -> onnx.ModelProto:
    """A NonMaxSuppression of one image."""
    signature = f"g (float[1, {COUNT}, 4] boxes, float[1, {CLASSES}, {COUNT}] scores) => (int64[k, 3] y)"
    given = {"most": limits.most, "overlap": limits.overlap, "least": limits.least}
    operands = ", ".join(name if value is not None else '""' for name, value in given.items())
    body = f"{head} y = NonMaxSuppression<center_point_box = {center}>(boxes, scores, {operands})"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {signature} {{ {body} }}')
    arrays = {name: np.array([value], np.int64 if name == "most" else np.float32) for name, value in given.items()}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if given[name] is not None
    )
    return model


def selecting(model: onnx.ModelProto, wanted: DetectionPostprocess) -> ir.Model:
    """The model with the operator instead."""
    return Boundary(detection_postprocess=wanted).apply(ir.from_proto(model))[0]


def runner(model: ir.Model, path: Path, threads: int = 1) -> tuple[Interpreter, list[str]]:
    conversion = convert_directly(model, path)
    interpreter = Interpreter(str(path), num_threads=threads)
    return interpreter, [conversion.output_names[name] for name in NAMES]


def expected(kept: Array, corners: Array, scores: Array, rows: int) -> dict[str, Array]:
    """What the operator returns for the rows (batch, class, box) of NonMaxSuppression, by its documentation."""
    _, classes, boxes = kept.T
    best = np.argsort(-scores[0, classes, boxes], kind="stable")[:rows]
    found = {
        "detection_boxes": corners[0, boxes[best]],
        "detection_classes": classes[best].astype(np.float32),
        "detection_scores": scores[0, classes[best], boxes[best]],
    }
    padded = {}
    for name, array in found.items():
        padded[name] = np.zeros((1, rows, *array.shape[1:]), np.float32)
        padded[name][0, : len(array)] = array
    return {**padded, "num_detections": np.array([len(best)], np.float32)}


def corners_of(centres: Array) -> Array:
    """Corners, y first, of boxes as x, y, width, height."""
    centre, half = centres[..., 1::-1], centres[..., :1:-1] * np.float32(0.5)
    return np.concatenate([centre - half, centre + half], -1)


def centred(corners: Array) -> Array:
    """Boxes as x, y, width, height of corners that begin with y, in float32."""
    low, high = corners[..., 1::-1], corners[..., :1:-1]
    return np.concatenate([(low + high) * np.float32(0.5), np.abs(high - low)], -1)


VARIANTS = [
    Limits(most, overlap, least)
    for overlap in (0.0, 0.25, 1 / 3, 0.5, float(np.nextafter(np.float32(0.5), 0)), 1.0)
    for most, least in ((COUNT, 0.25), (2, None), (7, 0.0), (10 * COUNT, 0.95), (COUNT, 2.0))
]


@pytest.mark.parametrize("sets", [5, pytest.param(420, marks=pytest.mark.long)])
@pytest.mark.parametrize("rows", [4, 200])
def test_centres_are_selected_exactly(rows: int, sets: int, tmp_path: Path) -> None:
    """Also with ties, scores next to each other, boxes of no size and overlaps of exactly the threshold."""
    numbers = set()
    for limits in VARIANTS:
        model = suppression(limits, center=1)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        made = selecting(model, DetectionPostprocess(max_detections=rows))
        interpreter, names = runner(made, tmp_path / "a.tflite")
        run = interpreter.get_signature_runner()
        for seed in range(sets):
            rng = np.random.default_rng(seed)
            boxes, scores = detectors.centres(rng, 1, COUNT), detectors.scores(rng, 1, CLASSES, COUNT)
            if seed % 2:
                boxes += rng.random(boxes.shape, np.float32) * (boxes > 0)
            kept = session.run(None, {"boxes": boxes, "scores": scores})[0]
            wanted, found = expected(kept, corners_of(boxes), scores, rows), run(boxes=boxes, scores=scores)
            for name, ours in zip(names, NAMES, strict=True):
                np.testing.assert_array_equal(found[name], wanted[ours], err_msg=f"{ours} {limits} {seed}", strict=True)
            numbers.add(int(wanted["num_detections"][0]))
    assert 0 in numbers
    assert max(numbers) >= min(rows, 60)


@pytest.mark.parametrize("form", ["yxyx", "xyxy", "yxhw", "xywh"])
def test_any_format_gives_corners_with_y_first(form: str, tmp_path: Path) -> None:
    """Corners are taken as the centres that they have in float32: no coordinate is off by more than its last digits."""
    rng = np.random.default_rng(1)
    order = [1, 0, 3, 2] if form.startswith("x") else [0, 1, 2, 3]
    is_centred = form.endswith(("hw", "wh"))
    model = suppression(Limits(), center=int(is_centred))
    made = selecting(model, DetectionPostprocess(max_detections=9, format=BoxFormat(form)))
    interpreter, names = runner(made, tmp_path / "a.tflite")
    run, checked = interpreter.get_signature_runner(), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = detectors.scores(rng, 1, CLASSES, COUNT)
        corners = (detectors.boxes(rng, 1, COUNT) + rng.random((1, COUNT, 4))).astype(np.float32) * np.float32(37.7)
        centres = centred(corners)[..., [1, 0, 3, 2]]
        given = np.ascontiguousarray((centres if is_centred else corners)[..., order])
        # What ONNX Runtime selects of the very boxes that the operator sees.
        judge = suppression(Limits(), center=1)
        kept = run_onnx(ir.from_proto(judge), {"boxes": centred(corners), "scores": scores})["y"]
        wanted = expected(np.asarray(kept), corners_of(centred(corners)), scores, 9)
        for found in (run(boxes=given, scores=scores), run_onnx(made, {"boxes": given, "scores": scores})):
            for name, ours in zip(names, NAMES, strict=True):
                array = found.get(name, found.get(ours))
                np.testing.assert_array_equal(array, wanted[ours], err_msg=f"{ours} {seed}", strict=True)
        normal = np.concatenate(
            [np.minimum(corners[..., :2], corners[..., 2:]), np.maximum(corners[..., :2], corners[..., 2:])], -1
        )
        error = np.abs(corners_of(centred(corners)) - normal).max()
        assert error <= 1.5 * np.spacing(np.abs(corners).max())
        checked += int(wanted["num_detections"][0])
    assert checked > 20


NAMED = "max_detections=12,format=yxyx,boxes={},scores={},iou_threshold=0.5,score_threshold=0.25"


@pytest.mark.parametrize("boxes_turned", [False, True])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("background", [0, 1])
def test_named_tensors_in_any_arrangement(boxes_turned: bool, rank: int, background: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    classes = CLASSES + background
    given = {"p": detectors.centres(rng, COUNT, 4)[:, 0], "q": detectors.scores(rng, COUNT, classes)}
    shapes = {"p": (COUNT, 4), "q": (COUNT, classes)}
    if boxes_turned:
        given, shapes = {k: v.T for k, v in given.items()}, {k: v[::-1] for k, v in shapes.items()}
    lead = (1,) * (rank - 2)
    fed = {key: np.ascontiguousarray(value.reshape(lead + value.shape)) for key, value in given.items()}
    sizes = {key: ", ".join(map(str, lead + shape)) for key, shape in shapes.items()}
    text = f"""<ir_version: 8, opset_import: ["": 12]>
    g (float[{sizes["p"]}] p, float[{sizes["q"]}] q, float[2] r) => (float[a] joined, float[b] kept, float[2] other) {{
        boxes = Neg(p) scores = Abs(q)
        flat_boxes = Flatten<axis = 0>(boxes) minus = Constant<value = int64[1] {{-1}}>()
        joined = Reshape(flat_boxes, minus) kept = Reshape(scores, minus) other = Neg(r)
    }}"""
    wanted = DetectionPostprocess.parse(
        NAMED.format("boxes", "scores").replace("yxyx", "xywh") + f",background={background}"
    )
    made, notes = Boundary(detection_postprocess=wanted).apply(ir.from_proto(onnx.parser.parse_model(text)))
    assert [value.name for value in made.graph.outputs] == [*NAMES, "other"]
    assert "instead of joined, kept, there are detection_boxes" in notes[0]
    fed["p"] = -fed["p"]
    interpreter, names = runner(made, tmp_path / "a.tflite")
    found = interpreter.get_signature_runner()(**fed, r=np.ones(2, np.float32))
    boxes = (given["p"].T if boxes_turned else given["p"])[None]
    scores = (given["q"] if boxes_turned else given["q"].T)[None, background:]
    judge = suppression(Limits(), center=1)
    kept = run_onnx(ir.from_proto(judge), {"boxes": boxes, "scores": np.ascontiguousarray(scores)})["y"]
    expectation = expected(np.asarray(kept), corners_of(boxes), scores, 12)
    for name, ours in zip(names, NAMES, strict=True):
        np.testing.assert_array_equal(found[name], expectation[ours], err_msg=ours, strict=True)
    assert expectation["num_detections"] > 3


NAMESAKES = {
    "boxes = Neg(p) scores = Abs(q) num_detections = Flatten(scores) joined = Flatten(boxes) other = Neg(r)": NAMES,
    "boxes = Neg(p) scores = Abs(q) detection_scores = Flatten(scores) num_detections = Neg(detection_scores) "
    "joined = Flatten(boxes) other = Neg(r)": NAMES,
    "detection_boxes = Neg(p) boxes = Neg(detection_boxes) detection_scores = Abs(q) scores = Abs(detection_scores) "
    "joined = Flatten(boxes) num_detections = Flatten(scores) other = Neg(r)": NAMES,
    "[num_detections] boxes = Neg(p) scores = Abs(q) num_detections = Flatten(scores) joined = Flatten(boxes) "
    "other = Neg(r)": NAMES,
    "boxes = Neg(p) scores = Abs(q) other = Flatten(scores) joined = Flatten(boxes) num_detections = Neg(r)": [
        *NAMES[:3],
        "num_detections_1",
    ],
}
"""Models with tensors or nodes that are called like the new outputs, and what these are called then."""


@pytest.mark.parametrize("body", NAMESAKES)
def test_outputs_have_their_names_whatever_else_had_them(body: str) -> None:
    signature = (
        f"g (float[1, {COUNT}, 4] p, float[1, {COUNT}, {CLASSES}] q, float[2] r) => (joined, other, num_detections)"
    )
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 17]> {signature} {{ {body} }}')
    wanted = DetectionPostprocess.parse(NAMED.format("boxes", "scores").replace("yxyx", "xywh"))
    made, notes = Boundary(detection_postprocess=wanted).apply(ir.from_proto(model))
    assert [value.name for value in made.graph.outputs][:4] == NAMESAKES[body]
    dropped = "joined, other" if NAMESAKES[body] != NAMES else "joined, num_detections"
    assert f"instead of {dropped}, there are {', '.join(NAMESAKES[body])}." in notes[0]
    rng = np.random.default_rng(0)
    fed = {"p": -detectors.centres(rng, 1, COUNT), "q": detectors.scores(rng, 1, COUNT, CLASSES)}
    found = run_onnx(made, {**fed, "r": np.ones(2, np.float32)})
    assert found["detection_boxes"].shape == (1, 12, 4)
    assert found[NAMESAKES[body][3]].item() > 3


FROM_HEADS = NAMED.format("every_box", "every_score")


def test_a_detector_end_to_end(tmp_path: Path) -> None:
    """Verified, written as the Object Detection API writes it, recorded, compared, counted and checked."""
    path = tmp_path / "a.tflite"
    boundary = Boundary(detection_postprocess=DetectionPostprocess.parse(FROM_HEADS))
    report = layoutopt.optimize(detectors.network(), tflite=path, output=tmp_path / "a.onnx", boundary=boundary)
    assert report.verification is not None
    assert report.verification.passed
    assert [each.shape for each in report.outputs] == [(1, 12, 4), (1, 12), (1, 12), (1,)]
    assert any("with one thread" in note for note in report.notes)
    graph = read_tflite(path).graph
    operation = graph.operations[-1]
    assert operation.code == CODE
    assert custom_options.decode(operation.options["custom_options"]) == {
        "detections_per_class": 12,
        "h_scale": 1.0,
        "max_classes_per_detection": 1,
        "max_detections": 12,
        "nms_iou_threshold": 0.5,
        "nms_score_threshold": float(np.nextafter(np.float32(0.25), np.float32(1))),
        "num_classes": 3,
        "use_regular_nms": True,
        "w_scale": 1.0,
        "x_scale": 1.0,
        "y_scale": 1.0,
    }
    assert f"{CODE}(<float32[1,64,4]>" in format_graph(graph)
    assert "use_regular_nms=True" in format_graph(graph)
    assert boundary_of(path) == boundary
    assert boundary.told() == [f"--detection-postprocess {FROM_HEADS}"]
    assert layoutopt.compare(detectors.network(), path).passed
    assert layoutopt.count(path).counts.histogram[CODE] == 1
    assert layoutopt.check(path, "micro").taken == len(graph.operations)
    (finding,) = layoutopt.check(path, "gpu").findings
    assert (finding.operator, finding.reasons) == (CODE, ("is a custom operator",))
    again = layoutopt.optimize(tmp_path / "a.onnx", tflite=tmp_path / "b.tflite", backend="direct")
    assert again.verification is not None
    assert again.verification.passed


def test_int8_stops_before_it(tmp_path: Path) -> None:
    images = (np.random.default_rng(0).standard_normal((24, 1, 3, 32, 32)) * 0.1).astype(np.float32)
    report = layoutopt.optimize(
        detectors.network(),
        tflite=tmp_path / "a.tflite",
        quantize="int8",
        calibration={"image": images},
        boundary=Boundary(detection_postprocess=DetectionPostprocess.parse(FROM_HEADS)),
        baseline=False,
    )
    assert report.quantization is not None
    assert report.quantization.whole >= 2
    assert [each.code for each in report.quantization.floats].count(CODE) == 1
    assert min(output.sqnr for output in report.quantization.outputs) > 20


REFUSED = {
    "max_detections=5": (UsageError, "the format of the boxes that y takes must be given"),
    "max_detections=5,format=xywh": (UsageError, "format=xywh is not what y takes"),
    "max_detections=5,format=xyxy,iou_threshold=2": (UsageError, "iou_threshold=2 is not between 0 and 1"),
    "max_detections=0,format=xyxy": (UsageError, "at least 1"),
    "max_detections=5,format=xyxy,background=2": (UsageError, "background=2"),
    "max_detections=5,format=xyxy,score_threshold=nan": (UsageError, "score_threshold is not finite"),
    "max_detections=5,format=xy": (UsageError, "format"),
    "max_detections=many": (UsageError, "max_detections=many is not a number"),
    "max_detections=5,max_detections=6": (UsageError, "'max_detections=6' cannot be read"),
    "max_detections=5,size=6": (UsageError, "'size=6' cannot be read"),
    "format=xyxy": (UsageError, "max_detections is missing"),
    "max_detections=5,boxes=boxes": (UsageError, "name both boxes and scores, or neither"),
    "max_detections=5,boxes=boxes,scores=scores": (UsageError, "need iou_threshold and score_threshold"),
    NAMED.format("boxes", "scores").replace("format=yxyx,", ""): (UsageError, "the format of the boxes must be given"),
    'max_detections=5,"boxes=a': (UsageError, "unexpected end of data"),
    NAMED.format("boxes", "boxs"): (UsageError, "there is no tensor or node 'boxs'"),
    NAMED.format("scores", "boxes"): (UsageError, "have no axis of 4 coordinates"),
    NAMED.format("boxes", "boxes"): (UsageError, "are the same tensor"),
    NAMED.format("boxes", "other"): (UsageError, "no axis of the 40 boxes"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    error, message = REFUSED[text]
    model = suppression(Limits())
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, (7, 9)))
    with pytest.raises(error, match=re.escape(message)):
        selecting(model, DetectionPostprocess.parse(text))


def test_what_the_operator_cannot_do_is_refused() -> None:
    wanted = DetectionPostprocess(max_detections=5, format=BoxFormat.YXYX)
    with pytest.raises(UnsupportedOperatorError, match=r"node y \(NonMaxSuppression\): it selects no boxes"):
        selecting(suppression(Limits(most=0)), wanted)
    with pytest.raises(UsageError, match="below 11"):
        selecting(suppression(Limits(), opset=10), wanted)
    with pytest.raises(UsageError, match="the model has no NonMaxSuppression"):
        selecting(ir.to_proto(classifier()), wanted)
    two = suppression(Limits(), head="other = NonMaxSuppression(boxes, scores, most)")
    with pytest.raises(UsageError, match=r"there is 2 NonMaxSuppression \(other, y\)"):
        selecting(two, wanted)
    computed = suppression(Limits(), head="overlap = ReduceMax<keepdims = 0>(scores)")
    del computed.graph.initializer[1]
    with pytest.raises(UsageError, match="y computes its iou_threshold when the model runs"):
        selecting(computed, wanted)
    selecting(computed, replace(wanted, iou_threshold=0.5))
    batch = suppression(Limits())
    for value in batch.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(UnsupportedOperatorError, match="it selects from 2 images at once"):
        selecting(batch, wanted)


@pytest.mark.parametrize(
    ("boxes", "scores", "why"),
    [
        ("", "[1, 3, 40]", "its boxes have 0 axes and not the 3 of ONNX"),
        ("[0, 4]", "[1, 3, 0]", "its boxes have 2 axes and not the 3 of ONNX"),
        ("[40, 4]", "[1, 3, 40]", "its boxes have 2 axes and not the 3 of ONNX"),
        ("[1, 40, 4]", "[3, 40]", "its scores have 2 axes and not the 3 of ONNX"),
        ("[1, 0, 4]", "[1, 3, 0]", "its boxes of [1,0,4] are empty"),
        ("[1, 40, 4]", "[1, 0, 40]", "its scores of [1,0,40] are empty"),
        ("[2, 40, 4]", "[2, 3, 40]", "it selects from 2 images at once"),
        ("[1, 40, 4]", "[2, 3, 40]", "it selects from 2 images at once"),
        ("[1, n, 4]", "[1, 3, n]", "how many boxes it selects from is not known before the model runs"),
    ],
)
def test_operands_that_the_operator_cannot_take_are_described(boxes: str, scores: str, why: str) -> None:
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]>
    g (float{boxes} boxes, float{scores} scores) => (int64[k, 3] y) <int64[1] most = {{9}}> {{
        y = NonMaxSuppression(boxes, scores, most)
    }}""")
    with pytest.raises(UnsupportedOperatorError, match=re.escape(f"(NonMaxSuppression): {why}")):
        selecting(model, DetectionPostprocess(max_detections=5, format=BoxFormat.YXYX))


def selected_in_part(center: int) -> onnx.ModelProto:
    """A NonMaxSuppression of some of all boxes, of which only the data tells how many there are."""
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]>
    g (float[1, {COUNT}, 4] p, float[1, {CLASSES}, {COUNT}] q, int64[n] at) => (y) <int64[1] most = {{9}}> {{
        boxes = Neg(p) scores = Abs(q) some = Gather<axis = 1>(boxes, at) rated = Gather<axis = 2>(scores, at)
        y = NonMaxSuppression<center_point_box = {center}>(some, rated, most)
    }}""")


@pytest.mark.parametrize(("center", "form"), [(0, BoxFormat.XYXY), (1, BoxFormat.XYWH)])
def test_the_complete_option_of_an_error_has_the_kind_of_format_that_the_selection_takes(
    center: int, form: BoxFormat
) -> None:
    with pytest.raises(UnsupportedOperatorError, match="is not known before the model runs") as caught:
        selecting(selected_in_part(center), DetectionPostprocess(max_detections=12))
    wanted = DetectionPostprocess.parse(caught.value.hint.rpartition(" ")[2])
    assert (wanted.boxes, wanted.scores, wanted.format) == ("boxes", "scores", form)
    other = BoxFormat.YXYX if center else BoxFormat.YXHW
    with pytest.raises(UsageError, match=f"format={other.value} is not what y takes"):
        selecting(selected_in_part(center), DetectionPostprocess(max_detections=12, format=other))


@pytest.mark.parametrize(
    "name", ["a,b", 'a"b', '"a"', "a=b,scores=c", "a b", "a'b", "a\\b", "a\nb", "$a;", ",", "a\r,"]
)
def test_any_name_can_be_written_as_an_option(name: str) -> None:
    wanted = DetectionPostprocess.parse(NAMED.format("b", "s"))
    for named in (replace(wanted, boxes=name), replace(wanted, scores=name)):
        assert DetectionPostprocess.parse(str(named)) == named
        (told,) = Boundary(detection_postprocess=named).told()
        assert shlex.split(told) == ["--detection-postprocess", str(named)]


def test_an_error_names_a_tensor_with_a_comma_in_an_option_that_a_shell_takes() -> None:
    model = ir.from_proto(selected_in_part(0))
    for node in model.graph:
        for value in node.outputs:
            value.name = f"{value.name},0"
    with pytest.raises(UnsupportedOperatorError) as caught:
        selecting(ir.to_proto(model), DetectionPostprocess(max_detections=12))
    *_, text = shlex.split(caught.value.hint)
    made = selecting(ir.to_proto(model), DetectionPostprocess.parse(text))
    assert [value.name for value in made.graph.outputs] == NAMES


def test_a_selection_before_the_selection_names_the_tensors_before_both() -> None:
    with pytest.raises(UnsupportedOperatorError, match="node /kept/NonMaxSuppression") as caught:
        selecting(detectors.network(), DetectionPostprocess(max_detections=12))
    _, _, text = caught.value.hint.rpartition("--detection-postprocess ")
    assert "boxes=every_box,scores=every_score" in text
    made = selecting(detectors.network(), DetectionPostprocess.parse(text))
    assert [value.name for value in made.graph.outputs] == NAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "onnx-tf"], "--detection-postprocess chooses operators"),
        (["--dynamic", "batch"], "--detection-postprocess is for fixed sizes"),
    ],
)
def test_the_command_line_refuses_before_anything_is_written(options: list[str], message: str, tmp_path: Path) -> None:
    onnx.save(detectors.network(), tmp_path / "a.onnx")
    told = ["optimize", str(tmp_path / "a.onnx"), "--detection-postprocess", FROM_HEADS]
    found = CliRunner().invoke(app, [*told, *options])
    assert found.exit_code == 2
    assert message in found.output
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


def test_the_command_line(tmp_path: Path) -> None:
    onnx.save(detectors.network(), tmp_path / "a.onnx")
    told = ["optimize", str(tmp_path / "a.onnx"), "--detection-postprocess", FROM_HEADS, "--no-baseline"]
    assert CliRunner().invoke(app, told).exit_code == 0
    counted = CliRunner().invoke(app, ["count", str(tmp_path / "a.tflite")])
    assert f"--detection-postprocess {FROM_HEADS}" in " ".join(counted.output.split())


def test_sizes_that_the_model_computes_are_known() -> None:
    """Exports by TorchScript compute sizes from shapes: they are constants, which folding tells."""
    text = f"""<ir_version: 8, opset_import: ["": 17]>
    g (float[1, {COUNT}, 4] p, float[1, {CLASSES}, {COUNT}] q) => (float[a, b, c] y) {{
        boxes = Neg(p) shape = Shape(q) place = Constant<value = int64[1] {{1}}>() number = Gather(shape, place)
        all = Constant<value = int64[1] {{{COUNT}}}>()
        to = Concat<axis = 0>(place, number, all) scores = Reshape(q, to) turned = Transpose<perm = [0, 2, 1]>(scores)
        y = Concat<axis = 2>(boxes, turned)
    }}"""
    model = onnx.parser.parse_model(text)
    made = selecting(model, DetectionPostprocess.parse(NAMED.format("boxes", "scores")))
    assert [value.name for value in made.graph.outputs] == NAMES


def test_options_that_are_no_map_are_left_as_they_are() -> None:
    options = {"a": True, "b": 3, "c": 0.5}
    assert custom_options.decode(custom_options.encode(options)) == options
    rng = np.random.default_rng(0)
    for size in range(60):
        assert custom_options.decode(rng.bytes(size)) in (None, {})
