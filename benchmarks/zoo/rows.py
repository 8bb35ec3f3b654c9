"""The figures of one entry, as they are kept on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from benchmarks import records
from layoutopt.backend.conversion import Backend
from layoutopt.errors import LayoutoptError
from layoutopt.ir.verify import OutputDifference
from layoutopt.results.optimize import LayoutName, TensorInfo
from layoutopt.results.provenance import Provenance

_FIGURES = "figures.json"


@dataclass(frozen=True, slots=True)
class Memory:
    """Largest resident sizes in bytes; 0 where the system does not tell.

    Attributes:
        parent: of the process that optimizes.
        child: of the largest process that it started, which is that of TensorFlow.
        together: of all of them at one moment.
    """

    parent: int = 0
    child: int = 0
    together: int = 0

    def with_sample(self, parent: int, children: tuple[int, ...]) -> Memory:
        """Return the same with the resident sizes of one moment."""
        return Memory(
            max(self.parent, parent), max(self.child, *children, 0), max(self.together, parent + sum(children))
        )


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output that the .tflite has.

    Attributes:
        name: as the original calls it.
        tflite_name: as the .tflite does.
        channels_last: whether the .tflite has channels last where the original has them second.
    """

    name: str
    tflite_name: str
    channels_last: bool

    @classmethod
    def of(cls, info: TensorInfo) -> Tensor:
        """Return the row of a report of `layoutopt.optimize`."""
        return cls(info.name, info.tflite_name, info.layout is LayoutName.CHANNELS_LAST)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry by one backend, converted or not.

    Attributes:
        error: why there is no .tflite, or none that computes what the original does; empty if there is.
        opset: of the model that came in.
        parameters: elements of its float constants.
        weights: bytes of them.
        transposes: in the .tflite.
        operators: in the .tflite.
        histogram: how often each operator occurs in it.
        operands: inputs of the .tflite.
        results: outputs of the .tflite.
        outputs: the .tflite against ONNX Runtime on the original.
        runtime: ONNX Runtime on the original against the same network in float64; nothing where it was not to be had.
        exact: the .tflite against it.
        unsteadiness: how far the network itself moves when its inputs are off by one rounding, where that is so much
            that it is judged by four times that; else 0.
        verdict: of what a trained network says of a picture, beside what ONNX Runtime says.
        seconds: by stage.
        memory: at its largest.
        measured: where and when; None where the process did not come to an end.
    """

    error: str = ""
    opset: int = 0
    parameters: int = 0
    weights: int = 0
    transposes: int = 0
    operators: int = 0
    histogram: Mapping[str, int] = field(default_factory=dict)
    operands: tuple[Tensor, ...] = ()
    results: tuple[Tensor, ...] = ()
    outputs: tuple[OutputDifference, ...] = ()
    runtime: tuple[OutputDifference, ...] = ()
    exact: tuple[OutputDifference, ...] = ()
    unsteadiness: float = 0.0
    verdict: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: Memory = Memory()
    measured: Provenance | None = None

    @classmethod
    def done(cls, directory: Path) -> bool:
        """Return whether there is a row in ``directory``."""
        return (directory / _FIGURES).exists()

    @classmethod
    def load(cls, directory: Path) -> Row:
        """Return the row that was saved in ``directory``."""
        return records.load(cls, directory / _FIGURES)

    def save(self, directory: Path) -> None:
        """Save the row in ``directory``."""
        records.save(self, directory / _FIGURES)


def difference(direct: Row, other: Row) -> str:
    """Return what differs between the files of both backends: the operators, with + those of the direct backend's."""
    if bool(direct.error) != bool(other.error):
        return f"only by {'onnx-tf' if direct.error else 'direct'}"
    ours, theirs = Counter(direct.histogram), Counter(other.histogram)
    more = [f"+{count} {name}" for name, count in sorted((ours - theirs).items())]
    return ", ".join([*more, *(f"-{count} {name}" for name, count in sorted((theirs - ours).items()))])


@dataclass(frozen=True, slots=True)
class Zoo:
    """All entries that were ever converted, or tried.

    Attributes:
        rows: by the key of the entry, then by the value of the backend.
        earlier: by the key of the entry: what an earlier version made of it through onnx-tf, rounded as its page was.
    """

    PATH: ClassVar[Path] = records.committed("zoo")

    rows: Mapping[str, Mapping[str, Row]]
    earlier: Mapping[str, Row] = field(default_factory=dict)

    @property
    def differences(self) -> dict[str, str]:
        """The differences between the files of both backends, by the key of the entry, where there are some."""
        told = {
            key: difference(of[Backend.DIRECT.value], of[Backend.ONNX_TF.value])
            for key, of in self.rows.items()
            if len(of) == len(Backend)
        }
        return {key: each for key, each in told.items() if each}

    @classmethod
    def committed(cls) -> Zoo:
        """Return what was measured last; nothing where nothing was."""
        return records.load(cls, cls.PATH) if cls.PATH.exists() else cls({})


def worst(outputs: Sequence[OutputDifference]) -> OutputDifference | None:
    """Return the output with the largest error for its variance."""
    return max(outputs, key=normalized, default=None)


def normalized(difference: OutputDifference) -> float:
    """Return the mean squared error over the variance of the output; the error itself where the output is constant."""
    return difference.mse / difference.variance if difference.variance else difference.mse


def in_one_line(error: LayoutoptError) -> str:
    """Return which error it is and its first line, with the nodes that it lists."""
    lines = [line.strip() for line in error.message.splitlines()]
    told = "; ".join(lines[1:]) if lines[0].endswith(":") else ""  # a list of nodes
    return f"{type(error).__name__}: {lines[0]} {told}".strip()
