"""Options for the boundary of a network, shared by the commands that take a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from layoutopt.errors import LayoutoptError, UsageError

if TYPE_CHECKING:
    from layoutopt.boundary import Boundary
    from layoutopt.boundary.description import Description

_T = TypeVar("_T")


def _complete(incomplete: str) -> list[str]:
    """Return the names of tensors of the first model on the command line that complete a word."""
    # An option that still lacks its value ends the parsing, before arguments: only the shell knows the model.
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    done, comma, begun = incomplete.rpartition(",")
    try:
        from layoutopt.boundary.names import tensors_of
        from layoutopt.ir.io import load

        model = next(Path(word) for word in words if word.endswith(".onnx"))
        names = [str(value.name) for value in tensors_of(load(model, complete=False).graph)]
    except (LayoutoptError, StopIteration, OSError):
        return []
    return [f"{done}{comma}{name}" for name in names if name.startswith(begun)]


InputsOption = Annotated[
    list[str],
    typer.Option(
        "--inputs",
        metavar="NAME,...",
        autocompletion=_complete,
        help="Take only the part of the model after these tensors or nodes, which become its inputs. "
        "'layoutopt tensors' lists them.",
    ),
]
OutputsOption = Annotated[
    list[str],
    typer.Option(
        "--outputs",
        metavar="NAME,...",
        autocompletion=_complete,
        help="Take only the part of the model up to these tensors or nodes, which become its outputs.",
    ),
]
PreprocessOption = Annotated[
    list[str],
    typer.Option(
        "--preprocess",
        metavar="INPUT:KEY=VALUE,...",
        help="Let an input take pixels: (pixel * scale - mean) / std becomes part of the network, folded into its "
        "weights where possible. Keys: mean, std, scale, color (rgb, or bgr for a network that takes BGR), "
        "dtype (uint8 or float32). Repeatable.",
    ),
]
PostprocessOption = Annotated[
    list[str],
    typer.Option(
        "--postprocess",
        metavar="OUTPUT:OPERATOR",
        help="Append an operator to an output: softmax or argmax, each also with ,axis=1, sigmoid, or dequantize. "
        "Repeatable.",
    ),
]
MaxDetectionsOption = Annotated[
    int | None,
    typer.Option(
        "--max-detections",
        metavar="N",
        min=1,
        help="Give outputs that have a row for each detection N rows, filled with zeros, and append an output with "
        "their count.",
    ),
]

DetectionPostprocessOption = Annotated[
    str | None,
    typer.Option(
        "--detection-postprocess",
        metavar="KEY=VALUE,...",
        help="Let the custom operator TFLite_Detection_PostProcess select boxes, for runtimes that have it. Keys: "
        "max_detections, format (yxyx, xyxy, yxhw or xywh), boxes and scores (tensors, if not those of the only "
        "NonMaxSuppression), iou_threshold, score_threshold, detections_per_class, background (0 or 1).",
    ),
]

MetadataOption = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        metavar="FILE.json",
        help="Metadata of the .tflite for apps: name, description, version, author, license, inputs, outputs.",
    ),
]
LabelsOption = Annotated[
    list[str],
    typer.Option(
        "--labels",
        metavar="[OUTPUT=]FILE",
        help="Names of the classes of an output, one per line, to store in the .tflite. Repeatable.",
    ),
]


@dataclass(frozen=True, slots=True)
class PartArguments:
    """The part of a model to take, and the preprocessing of its inputs."""

    inputs: InputsOption = field(default_factory=list)
    outputs: OutputsOption = field(default_factory=list)
    preprocess: PreprocessOption = field(default_factory=list)

    @property
    def cuts(self) -> bool:
        """Return whether a part is removed, which may then have unknown operators."""
        return bool(self.inputs or self.outputs)

    def boundary(self) -> Boundary | None:
        """Return the boundary that the options describe; None without options.

        Raises:
            UsageError: one of them cannot be read.
        """
        if not (self.cuts or self.preprocess):
            return None
        from layoutopt.boundary import Boundary, Preprocess

        return Boundary(
            _names("--inputs", self.inputs),
            _names("--outputs", self.outputs),
            _by_name("--preprocess", self.preprocess, Preprocess.parse),
        )


@dataclass(frozen=True, slots=True)
class BoundaryArguments(PartArguments):
    """The options of `PartArguments`, of what is appended to the outputs, and of the metadata of the .tflite."""

    postprocess: PostprocessOption = field(default_factory=list)
    max_detections: MaxDetectionsOption = None
    detection_postprocess: DetectionPostprocessOption = None
    metadata: MetadataOption = None
    labels: LabelsOption = field(default_factory=list)

    def boundary(self) -> Boundary | None:
        """Return the same as `PartArguments.boundary`, with what is appended to the outputs."""
        part = PartArguments.boundary(self)
        if not self.postprocess and self.max_detections is None and self.detection_postprocess is None:
            return part
        from layoutopt.boundary import Boundary, DetectionPostprocess, Postprocess

        selection = self.detection_postprocess
        return replace(
            part or Boundary(),
            postprocess=_by_name("--postprocess", self.postprocess, Postprocess.parse),
            max_detections=self.max_detections,
            detection_postprocess=None if selection is None else DetectionPostprocess.parse(selection),
        )

    @property
    def sources(self) -> list[Path]:
        """The files that `description` is read from."""
        labels = [Path(file) for _, file in self._labels]
        return labels if self.metadata is None else [self.metadata, *labels]

    @property
    def _labels(self) -> Iterator[tuple[str, str]]:
        """The outputs, empty for the only one, and the files of their labels."""
        for text in self.labels:
            name, _, file = text.rpartition("=")
            yield name, file

    def description(self) -> Description | None:
        """Return the description of the .tflite; None without options.

        Raises:
            UsageError: an output gets labels twice.
        """
        if self.metadata is None and not self.labels:
            return None
        from layoutopt.boundary.description import Description

        files: dict[str, Path | str] = {}
        for name, file in self._labels:
            if name in files:
                raise UsageError(f"--labels: {name or 'the only output'} is given twice")
            files[name] = file
        return Description(self.metadata, files)


def _names(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for text in texts for name in text.split(","))
    if not all(names):
        raise UsageError(f"{option} {','.join(texts)}: a name is empty")
    return names


def _by_name(option: str, texts: Sequence[str], parse: Callable[[str], tuple[str, _T]]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for text in texts:
        name, each = parse(text)
        if name in found:
            raise UsageError(f"{option}: {name!r} is given twice" if name else f"{option}: for which of them?")
        found[name] = each
    return found
