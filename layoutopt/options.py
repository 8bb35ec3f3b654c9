"""The choices that the API and the command line share. Light: nothing here imports a heavy package."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from layoutopt.errors import UsageError

_Choice = TypeVar("_Choice", bound=enum.Enum)

FOLD_LIMIT = 1 << 20
"""Bytes up to which a constant may grow by being folded: what repeats a few numbers is as fast computed."""

TOLERANCE = 1e-4
"""Largest absolute error over the largest absolute value of an output: rounding of float32 stays below it."""


class Io(enum.Enum):
    """The freedom that the layouts of graph inputs and outputs have."""

    FREE = "free"
    """Those of rank 3 to 5 are natural or channels-last, whichever is cheaper."""
    KEEP = "keep"
    """All stay as they are."""


class Target(enum.Enum):
    """The accelerators that a .tflite may be meant for; the value names the file of rules."""

    GPU = "gpu"
    """LiteRT's delegate for GPUs."""
    EDGETPU = "edgetpu"
    """Coral's Edge TPU."""
    ETHOS_U = "ethos-u"
    """Arm's Ethos-U55 and U65."""
    NNAPI = "nnapi"
    """Android's Neural Networks API."""
    MICRO = "micro"
    """TFLite Micro."""


class TensorLayout(enum.Enum):
    """The layout that one graph input or output should have. The spelled-out ones also say its rank."""

    NATURAL = "natural"
    """As the original has it."""
    CHANNELS_LAST = "channels-last"
    """N, spatial axes, C."""
    FREE = "free"
    """Natural or channels-last, whichever is cheaper."""
    NCW = "ncw"
    NCHW = "nchw"
    NCDHW = "ncdhw"
    NWC = "nwc"
    NHWC = "nhwc"
    NDHWC = "ndhwc"

    @property
    def meaning(self) -> TensorLayout:
        """Return which of the first three it is."""
        match self:
            case TensorLayout.NCW | TensorLayout.NCHW | TensorLayout.NCDHW:
                return TensorLayout.NATURAL
            case TensorLayout.NWC | TensorLayout.NHWC | TensorLayout.NDHWC:
                return TensorLayout.CHANNELS_LAST
            case _:
                return self

    @property
    def rank(self) -> int | None:
        """Return the rank that it says; None for any."""
        return None if self.meaning is self else len(self.value)


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts that graph inputs and outputs should have, as a pipeline text spells them.

    Attributes:
        text: ``NAME:LAYOUT``, joined by ``+``; letters of a name that mean something in a pipeline are quoted as in a
            URL.

    Raises:
        ValueError: the text does not read like that.
    """

    text: str = ""

    def __post_init__(self) -> None:
        """Read the text once, so that a wrong one is found where it was written."""
        _ = self.named

    @classmethod
    def of(cls, layouts: Mapping[str, TensorLayout]) -> Layouts:
        """Return the text of ``layouts`` by name."""
        return cls("+".join(f"{quote(name, safe='/')}:{layout.value}" for name, layout in layouts.items()))

    @property
    def named(self) -> dict[str, TensorLayout]:
        """Return the layouts by name."""
        found = {}
        for item in filter(None, self.text.split("+")):
            name, _, layout = item.partition(":")
            found[unquote(name)] = TensorLayout(layout)
        return found

    def __str__(self) -> str:
        return self.text


NO_LAYOUTS = Layouts()
"""All is left to `Io`."""


@dataclass(frozen=True, slots=True)
class Phone:
    """An Android phone, and what times models there.

    Attributes:
        program: LiteRT's `benchmark_model` for the phone's processor, a file here.
        serial: the phone's name in ``adb devices``; None for that in ``ANDROID_SERIAL``, else for the only one.
        gpu: whether LiteRT's GPU delegate runs what it can.
    """

    program: Path
    serial: str | None = None
    gpu: bool = False


class Objective(enum.Enum):
    """The cost that the choice of layouts minimizes."""

    BYTES = "bytes"
    """The bytes that are moved in one inference."""
    TIME = "time"
    """The predicted time of moving them and of the forms of operators, by the table that comes with layoutopt or that
    ``layoutopt calibrate`` measured on this machine."""

    @property
    def unit(self) -> str:
        """Return the unit of costs."""
        return "bytes" if self is Objective.BYTES else "ns"


class Verify(enum.Enum):
    """The results that are compared with the original in ONNX Runtime."""

    NONE = "none"
    """Nothing."""
    RESULT = "result"
    """The result of the whole pipeline."""
    EACH = "each"
    """The result of each pass."""


class RangeMethod(enum.Enum):
    """The ways to take the range that the integers of a value cover from samples."""

    AUTO = "auto"
    """Whichever of the others keeps most of the outputs, and another one for sections that lose less by it."""
    MINMAX = "minmax"
    """From the least to the largest number."""
    AVERAGE = "average"
    """From the mean of each sample's least number to that of its largest."""
    PERCENTILE = "percentile"
    """All but one number of 10,000."""
    MSE = "mse"
    """The range of the least mean squared error."""


class Int8(enum.Enum):
    """The operators that compute with integers."""

    FAST = "fast"
    """Those that are faster for it."""
    FULL = "full"
    """All of them, as accelerators and microcontrollers need; else nothing is written."""


class WeightScales(enum.Enum):
    """The scales of the int8 weights of a convolution or a product."""

    CHANNEL = "channel"
    """One for each output channel, which is more exact."""
    TENSOR = "tensor"
    """One for all, with which weights compress better: Ethos-U takes fewer cycles."""


class QuantizedIo(enum.Enum):
    """The element type of inputs and outputs of a quantized .tflite."""

    FLOAT = "float"
    INT8 = "int8"
    UINT8 = "uint8"


class SampleLayout(enum.Enum):
    """The layout of pictures that are given as arrays."""

    MODEL = "model"
    """That of the model as it was exported."""
    NHWC = "nhwc"
    """Channels last, for a model that takes NCHW."""


class Color(enum.Enum):
    """The order of the channels of a picture."""

    RGB = "rgb"
    BGR = "bgr"


class Resize(enum.Enum):
    """The ways to give a picture the size of an input."""

    STRETCH = "stretch"
    """Both sides, each by itself."""
    CROP = "crop"
    """As large as needed to fill it; what stands out is cut off, half at either end."""
    LETTERBOX = "letterbox"
    """As large as fits, with grey around."""


class Clock(enum.Enum):
    """The time that a benchmark counts."""

    WALL = "wall"
    """The time that passes."""
    CPU = "cpu"
    """The time that the thread gets from the processor, so that other processes count less. For one thread only."""


class Exporter(enum.Enum):
    """The exporters of PyTorch."""

    LEGACY = "legacy"
    """TorchScript tracing, ``torch.onnx.export(dynamo=False)``."""
    DYNAMO = "dynamo"
    """``torch.export``, ``torch.onnx.export(dynamo=True)``; needs onnxscript."""


def choose(kind: type[_Choice], given: _Choice | str, what: str) -> _Choice:
    """Return the member of ``kind`` that is given, itself or by its value.

    Args:
        kind: the choices.
        given: one of them.
        what: the name of the argument, for the error.

    Raises:
        UsageError: it is none; the error lists the choices.
    """
    if isinstance(given, kind):
        return given
    known = {each.value: each for each in kind}
    if isinstance(given, str) and given.lower() in known:
        return known[given.lower()]
    raise UsageError(f"{what}={given!r}: there is no such choice", hint=f"Choose from {', '.join(known)}.")


def choose_if_given(kind: type[_Choice], given: _Choice | str | None, what: str) -> _Choice | None:
    """Choose as `choose` does, for an argument that may be None."""
    return None if given is None else choose(kind, given, what)
