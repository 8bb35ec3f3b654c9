"""Options that several workflows have in common, and what a run tells its caller.

An option of one workflow alone is declared with that workflow. Fields take what users give, such as the value of an
enumeration instead of its member; a workflow checks that where it uses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.boundary import Boundary
from layoutopt.errors import UsageError
from layoutopt.options import TOLERANCE, Io, Objective, Target, TensorLayout
from layoutopt.outputs import make_directory, scratch
from layoutopt.progress import Progress, StageTimer
from layoutopt.quantization.request import QuantizationOptions
from layoutopt.quantization.samples import Given


@dataclass(frozen=True, slots=True)
class RunContext:
    """The way in which a run tells its caller of itself, and the place where it works.

    Attributes:
        say: called with what starts now.
        verbose: whether TensorFlow's and LiteRT's own messages are let through.
        scratch: directory for what is made on the way, which stays; None for a temporary one.
    """

    say: StageTimer
    verbose: bool = False
    scratch: Path | None = None

    @classmethod
    def of(cls, progress: Progress | None, *, verbose: bool = False, scratch: Path | None = None) -> RunContext:
        """Return the context of a run that starts now.

        Args:
            progress: called with what starts now; None for nobody.
            verbose: as the attribute.
            scratch: as the attribute.
        """
        return cls(StageTimer(progress), verbose, scratch)

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """Give the directory for what is made on the way.

        Raises:
            OutputError: it cannot be made.
        """
        if self.scratch is not None:
            make_directory(self.scratch)
            yield self.scratch
            return
        with scratch() as made:
            yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions:
    """The options of the choice of layouts.

    Attributes:
        io: what may happen to the layout of image inputs and outputs; ``Io.FREE`` where nothing is said of it.
        layouts: of inputs and outputs by name that ``io`` does not decide.
        objective: what the choice of layouts makes as small as it can be; ``Objective.TIME`` where nothing is said of
            it.
        exact: leave out of the default pipeline what makes the network cheaper by other sums.
        threads: of XNNPACK, for measurements and for ``Objective.TIME``.
        shapes: a static shape for each input that has a symbolic dimension.
        dynamic: names of dimensions that stay symbolic, ``batch`` also for axis 0 of all inputs; their sizes in
            ``shapes`` are those that the .tflite has until it is resized. Such a result is always verified.
        boundary: which part of the model is taken, and what is put before and after it; all of it as it is where it is
            None. What is said of inputs and outputs is then said of that part's.
        progress: called with what starts now.
    """

    io: Io | str | None = None
    layouts: Mapping[str, TensorLayout | str] | None = None
    objective: Objective | str | None = None
    exact: bool = False
    threads: int = 1
    shapes: Mapping[str, tuple[int, ...]] | None = None
    dynamic: Sequence[str] = ()
    boundary: Boundary | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions(LayoutOptions):
    """The options that `optimize` and `report` have in common.

    Attributes:
        backend: who makes the .tflite; onnx-tf where its extra is installed, else layoutopt itself, where it is None.
        target: the accelerator that the .tflite is for: operators that it takes are preferred, and the report says
            which it runs.
        seed: of the random inputs.
        tolerance: largest absolute error over the largest absolute value of an output.
        force: overwrite outputs that exist.
        verbose: let TensorFlow's and LiteRT's messages through.
        quantize: what happens to weights and activations.
        calibration: samples for ``Quantize.INT8`` and ``Quantize.MIXED``, as the original takes them: a folder of
            images, a .npy or .npz file, arrays with an axis of samples, or an iterable of an array for each input by
            its name.
        quantization: how samples are read, and what is made of them.
    """

    backend: Backend | str | None = None
    target: Target | str | None = None
    seed: int = 0
    tolerance: float = TOLERANCE
    force: bool = False
    verbose: bool = False
    quantize: Quantize | str = Quantize.NONE
    calibration: Given | str | None = None
    quantization: QuantizationOptions | None = None


def check_seed(seed: int) -> None:
    """Refuse a seed that numpy does not take.

    Raises:
        UsageError: it is negative.
    """
    if seed < 0:
        raise UsageError(f"--seed {seed}: must not be negative")
