"""The messages between the parent process and the child that runs TensorFlow. No TensorFlow here: both sides import it.

The parent writes one `Job` per line to the child's standard input; the child answers with `ChildEvent`s, one per line,
of which the last is a failure or an outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """One conversion, as the child is asked to run it.

    Attributes:
        model: path of the ONNX file.
        tflite: where to write the .tflite, or None for none.
        saved_model: directory to write the SavedModel to, or None for none.
        scratch: directory for files that nobody asked for; the parent removes it.
        plain: run onnx-tf untouched.
        quantize: what happens to weights and activations, by the name of `Quantize`.
        allow_flex: let operators through that need TensorFlow at run time.
    """

    model: str
    tflite: str | None
    saved_model: str | None
    scratch: str
    plain: bool = False
    quantize: str = "none"
    allow_flex: bool = False

    def dump(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> Job:
        """Return the job that `dump` wrote."""
        return Job(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way from the child to the parent.

    Attributes:
        kind: name of the class in `layoutopt.errors`.
        message: what happened.
        hint: what to do next.
    """

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a conversion that worked. Fields as in `layoutopt.backend.onnx_tf.convert.Conversion`."""

    input_names: Mapping[str, str]
    output_names: Mapping[str, str]
    seconds: Mapping[str, float]
    peak_memory: int


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """One line from the child; exactly one field is set.

    Attributes:
        stage: the stage that starts now.
        failure: the conversion is over and failed.
        outcome: the conversion is over and its files are written.
    """

    stage: str | None = None
    failure: Failure | None = None
    outcome: Outcome | None = field(default=None)

    def dump(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(line: str) -> ChildEvent:
        """Return the event that `dump` wrote."""
        raw = json.loads(line)
        return ChildEvent(
            stage=raw["stage"],
            failure=Failure(**raw["failure"]) if raw["failure"] else None,
            outcome=Outcome(**raw["outcome"]) if raw["outcome"] else None,
        )
