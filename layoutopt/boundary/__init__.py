"""The boundary of a network: the part of a model to take, and preprocessing and postprocessing around it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import TypeVar

import layoutopt.ir  # noqa: F401  # isort: skip  # before onnx_ir, which it imports without SymPy
import onnx_ir as ir

from layoutopt.boundary import detections, postprocess, preprocess
from layoutopt.boundary.box_selection import replace_selection
from layoutopt.boundary.cut import cut
from layoutopt.boundary.detection_postprocess import BoxFormat, DetectionPostprocess
from layoutopt.boundary.names import closest
from layoutopt.boundary.postprocess import Operator, Postprocess
from layoutopt.boundary.preprocess import Preprocess
from layoutopt.errors import UsageError
from layoutopt.options import Color

__all__ = ["RECORD", "Boundary", "BoxFormat", "DetectionPostprocess", "Operator", "Postprocess", "Preprocess"]

_T = TypeVar("_T")

RECORD = "layoutopt.boundary"
"""Key of ``metadata_props`` in an .onnx, and name of the metadata in a .tflite, that tell what was done."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """The part of a model that is taken, and what is put before and after it.

    Attributes:
        inputs: names of tensors, or of nodes that make them, that become the inputs; empty for those of the model.
        outputs: likewise.
        preprocess: what becomes of pixels, by the name of an input; the empty name means the only one.
        postprocess: what becomes of an output, likewise.
        max_detections: the rows of outputs that have one for each detection, which then are of fixed size and come with
            their count; None to leave their number to the data.
        detection_postprocess: how the custom operator TFLite_Detection_PostProcess selects boxes instead of the model;
            None for no such operator.
    """

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    preprocess: Mapping[str, Preprocess] = field(default_factory=dict)
    postprocess: Mapping[str, Postprocess] = field(default_factory=dict)
    max_detections: int | None = None
    detection_postprocess: DetectionPostprocess | None = None

    @property
    def cuts(self) -> bool:
        """Return whether a part of the model is removed."""
        return bool(self.inputs or self.outputs)

    def apply(self, model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
        """Return the model with this boundary applied, and notes for the user.

        Args:
            model: may be changed.

        Raises:
            UsageError: a name or a number does not fit the model.
        """
        notes: tuple[str, ...] = ()
        if self.cuts:
            model, notes = cut(model, self.inputs, self.outputs)
        inputs, outputs = model.graph.inputs, model.graph.outputs
        before = _resolved("--preprocess", self.preprocess, [str(value.name) for value in inputs])
        after = _resolved("--postprocess", self.postprocess, [str(value.name) for value in outputs])
        for name, wanted in before.items():
            preprocess.prepend(model, name, wanted)
        for name, last in after.items():
            postprocess.append(model, name, last)
        if self.detection_postprocess is not None:
            notes = (*notes, *replace_selection(model, self.detection_postprocess))
        if self.max_detections is not None:
            detections.fix_sizes(model, self.max_detections)
        done = dataclasses.replace(
            self, inputs=tuple(self.inputs), outputs=tuple(self.outputs), preprocess=before, postprocess=after
        )
        if done != Boundary():
            model.metadata_props[RECORD] = done.to_json()
        return model, notes

    def told(self) -> list[str]:
        """Return the command-line options that mean the same."""
        cuts = (("inputs", self.inputs), ("outputs", self.outputs))
        said: list[tuple[str, object]] = [(option, ",".join(names)) for option, names in cuts if names]
        said += [("preprocess", f"{name}:{each}") for name, each in self.preprocess.items()]
        said += [("postprocess", f"{name}:{each}") for name, each in self.postprocess.items()]
        selections = (("max-detections", self.max_detections), ("detection-postprocess", self.detection_postprocess))
        said += [(option, value) for option, value in selections if value is not None]
        return [f"--{option} {quote(str(value))}" for option, value in said]

    def to_json(self) -> str:
        """Return this boundary as JSON, which `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), default=lambda each: each.value)

    @classmethod
    def from_json(cls, text: str) -> Boundary:
        """Return the boundary that `to_json` has written.

        Raises:
            ValueError: it is something else.
        """
        try:
            found = json.loads(text)
            before = {
                name: Preprocess(
                    tuple(each["mean"]), tuple(each["std"]), each["scale"], Color(each["color"]), each["dtype"]
                )
                for name, each in found["preprocess"].items()
            }
            after = {
                name: Postprocess(Operator(each["operator"]), each["axis"])
                for name, each in found["postprocess"].items()
            }
            rows, said = found.get("max_detections"), found.get("detection_postprocess")
            selection = None
            if said is not None:
                form = said["format"] and BoxFormat(said["format"])
                selection = DetectionPostprocess(**{**said, "format": form})
            return cls(tuple(found["inputs"]), tuple(found["outputs"]), before, after, rows, selection)
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise ValueError(f"not a record of layoutopt: {error}") from error


def _resolved(option: str, wanted: Mapping[str, _T], names: Sequence[str]) -> dict[str, _T]:
    """Return a mapping whose keys are names of the model, checked."""
    found: dict[str, _T] = {}
    for name, each in wanted.items():
        actual = names[0] if not name and len(names) == 1 else name
        if actual not in names:
            close = closest(name, names) if name else ()
            hint = f"Did you mean {' or '.join(close)}?" if close else f"There is {', '.join(names)}."
            raise UsageError(
                f"{option} {name}: there is no such tensor" if name else f"{option}: which one?", hint=hint
            )
        if actual in found:
            raise UsageError(f"{option}: {actual!r} is given twice")
        found[actual] = each
    return found
