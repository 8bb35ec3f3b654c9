"""The errors that users see: a class for each kind of failure, with an exit code of its own.

::

    LayoutoptError                 1
    ├── UsageError                 2   an option, a pipeline text or a shape that makes no sense
    ├── ModelNotFoundError         3   the file is not there
    ├── InvalidModelError          4   not ONNX or TFLite, truncated, or refused by the checker
    ├── UnsupportedOperatorError   5   an operator or opset that nobody here knows
    ├── DynamicShapeError          6   a symbolic dimension and no --shape
    ├── OutputError                7   the output cannot be written
    │   └── OutputExistsError      8   the output is there already and --force is not
    ├── MissingExtraError          9   a package of an optional extra is not installed
    ├── ConversionError           10   a stage of the conversion failed or died
    ├── VerificationError         11   the result does not compute what the original does
    ├── PassFailedError           12   a pass raised or broke its contract
    ├── CalibrationError          13   no times were measured on this machine, or they cannot be read
    ├── LimitError                14   more memory, or more time in one stage, than allowed
    ├── CrashError                15   native code crashed: ONNX's, onnxsim's, ONNX Runtime's or LiteRT's
    ├── ModelsFailedError         16   some of several models failed; each says why
    ├── RegressionError           17   a comparison of two runs found something worse than is allowed
    ├── TargetError               18   a target does not take all operators of a model
    └── DeviceError               19   a phone cannot be reached, or fails to run a model

LimitError and CrashError are raised by the command line alone, which runs in a child process and watches it. A run
that a signal ends has 128 and the number of the signal: 129 for SIGHUP, 130 for SIGINT, which Ctrl-C sends, and 143
for SIGTERM.
"""

from __future__ import annotations

from typing import ClassVar

SIGNALS = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}
"""Exit codes of a run that a signal ends, when its temporary files and its children have gone."""


class LayoutoptError(Exception):
    """The root of all errors that layoutopt raises on purpose.

    Args:
        message: what happened, naming the file, node, operator or option to blame.
        hint: what to do next, in one sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LayoutoptError):
    """An option, a pipeline text or a shape that makes no sense."""

    exit_code = 2


class ModelNotFoundError(LayoutoptError):
    """The model file is not there."""

    exit_code = 3


class InvalidModelError(LayoutoptError):
    """The file is not a model, is truncated, or is refused by the checker."""

    exit_code = 4


class UnsupportedOperatorError(LayoutoptError):
    """The model uses an operator or an opset that neither ONNX nor layoutopt knows.

    Args:
        message: what happened.
        hint: what to do next.
        nodes: names of the nodes that cause it, or of their first results, where they are known.
    """

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", nodes: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.nodes = nodes


class DynamicShapeError(LayoutoptError):
    """An input has a symbolic dimension and no shape was given for it."""

    exit_code = 6


class OutputError(LayoutoptError):
    """The output cannot be written."""

    exit_code = 7


class OutputExistsError(OutputError):
    """The output is there already and overwriting was not asked for."""

    exit_code = 8


class MissingExtraError(LayoutoptError):
    """A package of an optional extra is not installed."""

    exit_code = 9


class ConversionError(LayoutoptError):
    """A stage of the conversion failed, or its process died.

    Args:
        stage: what was running, for example ``onnx-tf`` or ``TFLite converter``.
        message: what it said.
        hint: what to do next.
    """

    exit_code = 10

    def __init__(self, stage: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{stage}: {message}", hint=hint)
        self.stage = stage


class VerificationError(LayoutoptError):
    """The result does not compute what the original does."""

    exit_code = 11


class PassFailedError(LayoutoptError):
    """A pass raised an error or broke its contract."""

    exit_code = 12


class CalibrationError(LayoutoptError):
    """No times were measured on this machine, or their file is broken or from another one."""

    exit_code = 13


class LimitError(LayoutoptError):
    """A run took more memory, or more time in one stage, than it is allowed."""

    exit_code = 14


class CrashError(LayoutoptError):
    """Native code crashed, and took the process along that did the work."""

    exit_code = 15


class ModelsFailedError(LayoutoptError):
    """Some of several models failed; the others were optimized."""

    exit_code = 16


class RegressionError(LayoutoptError):
    """A comparison of two runs found something worse than allowed."""

    exit_code = 17


class TargetError(LayoutoptError):
    """A target does not run all operators of a model."""

    exit_code = 18


class DeviceError(LayoutoptError):
    """A phone cannot be reached, or fails to run a model."""

    exit_code = 19
