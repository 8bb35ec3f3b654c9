"""Options of what stands around a network, shared by the commands that take a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
    """Return the names of tensors of the first model on the command line that a word may become."""
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
        help="Take the part of the model after these tensors, or nodes: they become its inputs. "
        "'layoutopt tensors' lists all.",
    ),
]
OutputsOption = Annotated[
    list[str],
    typer.Option(
        "--outputs",
        metavar="NAME,...",
        autocompletion=_complete,
        help="Take the part of the model up to these tensors, or nodes: they become its outputs.",
    ),
]
PreprocessOption = Annotated[
    list[str],
    typer.Option(
        "--preprocess",
        metavar="INPUT:KEY=VALUE,...",
        help="Let an input take pixels: (pixel * scale - mean) / std becomes part of the network, folded into its "
        "weights where they can take it. Keys: mean, std, scale, color (rgb, or bgr for a network that takes BGR), "
        "dtype (uint8 or float32). Repeatable.",
    ),
]
PostprocessOption = Annotated[
    list[str],
    typer.Option(
        "--postprocess",
        metavar="OUTPUT:OPERATOR",
        help="Compute an output on: softmax, argmax (both perhaps with ,axis=1), sigmoid, or dequantize. Repeatable.",
    ),
]

MetadataOption = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        metavar="FILE.json",
        help="What the .tflite tells apps of itself: name, description, version, author, license, inputs, outputs.",
    ),
]
LabelsOption = Annotated[
    list[str],
    typer.Option(
        "--labels",
        metavar="[OUTPUT=]FILE",
        help="The names of the classes of an output, one in each line, put into the .tflite. Repeatable.",
    ),
]


@dataclass(frozen=True, slots=True)
class PartArguments:
    """Which part of a model is taken, and what its inputs are made of."""

    inputs: InputsOption = field(default_factory=list)
    outputs: OutputsOption = field(default_factory=list)
    preprocess: PreprocessOption = field(default_factory=list)

    @property
    def cuts(self) -> bool:
        """Whether a part falls away, which may have operators that nobody knows."""
        return bool(self.inputs or self.outputs)

    def boundary(self) -> Boundary | None:
        """Return what the options say; None where they say nothing.

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
    """As `PartArguments`, what becomes of the outputs, and what the .tflite tells of itself."""

    postprocess: PostprocessOption = field(default_factory=list)
    metadata: MetadataOption = None
    labels: LabelsOption = field(default_factory=list)

    def boundary(self) -> Boundary | None:
        """As `PartArguments.boundary`, with what becomes of the outputs."""
        part = PartArguments.boundary(self)
        if not self.postprocess:
            return part
        from layoutopt.boundary import Boundary, Postprocess

        after = _by_name("--postprocess", self.postprocess, Postprocess.parse)
        return replace(part or Boundary(), postprocess=after)

    @property
    def sources(self) -> list[Path]:
        """The files that the .tflite tells of."""
        labels = [Path(text.rpartition("=")[2]) for text in self.labels]
        return labels if self.metadata is None else [self.metadata, *labels]

    def description(self) -> Description | None:
        """Return what the options say of the .tflite; None where they say nothing.

        Raises:
            UsageError: an output gets labels twice.
        """
        if self.metadata is None and not self.labels:
            return None
        from layoutopt.boundary.description import Description

        files: dict[str, Path | str] = {}
        for text in self.labels:
            name, _, file = text.rpartition("=")
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
            raise UsageError(f"{option}: {name!r} is given twice" if name else f"{option}: which of the two?")
        found[name] = each
    return found
