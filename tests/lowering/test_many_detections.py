"""Detections of many random sets of boxes and scores: the same ones in the same order as in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests import detectors
from tests.conversion_cases import Array, Case, CaseRunner
from tests.detectors import Generator

_FEW = 100
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Detector:
    """Some nodes, and what draws their inputs."""

    body: str
    draw: Callable[[Generator], dict[str, Array]]
    constants: Mapping[str, Array] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("y",)
    opset: int = 18


def _suppression(batch: int, classes: int, count: int) -> Detector:
    def draw(rng: Generator) -> dict[str, Array]:
        given = {"boxes": detectors.boxes(rng, batch, count), "scores": detectors.scores(rng, batch, classes, count)}
        return {**given, **detectors.limits(rng, count)}

    return Detector(detectors.SUPPRESSION, draw)


def _by_centres(rng: Generator) -> dict[str, Array]:
    given = {"boxes": detectors.centres(rng, 1, 30), "scores": detectors.scores(rng, 1, 2, 30)}
    return {**given, **detectors.limits(rng, 30)}


def _tail(rng: Generator) -> dict[str, Array]:
    lowered = rng.choice([0.0, 0.0, 0.5, 0.85, 1.0])  # of so few detections that some sets have none
    scores = np.maximum(detectors.scores(rng, 40, 3) - np.float32(lowered), 0)
    return {"boxes": detectors.boxes(rng, 40), "scores": scores}


DETECTORS = {
    "one class": _suppression(1, 1, 60),
    "batches and classes": _suppression(2, 3, 24),
    "centres": Detector(detectors.SUPPRESSION.replace("(boxes", "<center_point_box = 1>(boxes"), _by_centres),
    "torchvision": Detector(detectors.TORCHVISION, _tail, detectors.TORCHVISION_CONSTANTS, ("y", "z", "w")),
    "ultralytics": Detector(detectors.ULTRALYTICS, _tail, detectors.ULTRALYTICS_CONSTANTS, opset=17),
}


@pytest.mark.parametrize("sets", [_FEW, pytest.param(_MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", DETECTORS)
def test_detections_are_those_of_onnx_runtime(name: str, sets: int, tmp_path: Path) -> None:
    detector = DETECTORS[name]
    case = Case(
        detector.body,
        detector.draw(np.random.default_rng(0)),
        detector.constants,
        outputs=detector.outputs,
        opset=detector.opset,
    )
    session = onnxruntime.InferenceSession(case.model().SerializeToString(), providers=["CPUExecutionProvider"])
    run = Interpreter(str(CaseRunner(tmp_path).convert(case, case.expected())), num_threads=1).get_signature_runner()
    numbers = set()
    for seed in range(sets):
        inputs = detector.draw(np.random.default_rng(seed))
        wanted, found = session.run(None, inputs), run(**inputs)
        for output, array in zip(detector.outputs, wanted, strict=True):
            np.testing.assert_array_equal(found[output], array, err_msg=f"{output}, seed {seed}", strict=True)
        numbers.add(len(wanted[0]) if name != "ultralytics" else np.count_nonzero(wanted[0][0, :, 4]))
    assert 0 in numbers
    assert max(numbers) >= 12
