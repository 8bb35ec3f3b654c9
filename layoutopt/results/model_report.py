"""The data that `layoutopt report` gathers about one model: frozen, ready for JSON and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from layoutopt.results.check import CheckReport
from layoutopt.results.explain import ExplainReport
from layoutopt.results.optimize import OptimizeReport
from layoutopt.results.result import Result

PER_OPERATOR = "per-operator layout, ONNX only"
"""Title of the graph before where there is no .tflite."""


class Side(Enum):
    """One of the two models that a report compares."""

    BEFORE = "before"
    AFTER = "after"

    def file(self, ending: str) -> str:
        """Return the name of its file with this ending in the directory for the models of a report."""
        return f"{self.value}{ending}"


class Layout(Enum):
    """The ways in which a tensor lies in memory, in terms of the original's axes."""

    NATURAL = "natural"
    """As the original has it: NCHW."""
    CHANNELS_LAST = "channels-last"
    """N, spatial axes, C: NHWC."""
    OTHER = "other"
    """Any other order; `GraphTensor.order` says it in words."""
    UNKNOWN = "unknown"
    """It could not be told which of the original's values the tensor holds, or there is no order: one axis, or none."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One tensor of a graph that depends on the graph's inputs, or is one of them.

    Attributes:
        name: unique in the graph.
        shape: as it is stored; -1 for a size that stays symbolic.
        dtype: numpy's name of the element type.
        size: bytes.
        layout: how it lies in memory, in terms of its value; where the original has none, in terms of a value of the
            model before the choice of layouts, or as its neighbours leave it.
        order: the same in words, as `layoutopt.explain` has it; empty where it is not known.
        value: the value of the original that it holds; empty where that is not known.
        relative_error: largest absolute difference from that value over its largest absolute value; None where it was
            not compared.
        own_error: what the operator that computes it adds by itself, likewise.
        own_sqnr: the same as a signal-to-quantization-noise ratio in dB; infinite where it adds nothing.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    layout: Layout
    order: str = ""
    value: str = ""
    relative_error: float | None = None
    own_error: float | None = None
    own_sqnr: float | None = None

    @property
    def has_order(self) -> bool:
        """Return whether there are two axes, or more, that could stand in another order."""
        return sum(size != 1 for size in self.shape) > 1


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operator of a graph.

    Attributes:
        id: unique in the graph.
        operator: as TFLite, or ONNX, calls it.
        name: of the node of the original that it comes from; its own where that is not known.
        inputs: names of the tensors that it reads, without constants.
        outputs: names of the tensors that it writes.
        constants: shape and type of the constants that it reads, in words: ``weights 32x3x3x3 float32``.
        attributes: what else is known of it, in words.
        is_transpose: whether it permutes axes; such nodes are marked.
        bytes_moved: bytes that it writes as a transpose; 0 for all others, and where only axes of size 1 move.
        rule: its layout rule in words; empty where it has none, or it is not known.
        reason: why it has the layout that it has, or, of a transpose, why it is left; empty where there is nothing to
            say.
        microseconds: time of one inference; None where it was not measured.
    """

    id: str
    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[str, ...] = ()
    attributes: Mapping[str, str] | None = None
    is_transpose: bool = False
    bytes_moved: int = 0
    rule: str = ""
    reason: str = ""
    microseconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelGraph:
    """A model as nodes and tensors.

    Attributes:
        title: what the model is: ``plain onnx-tf``, ``layoutopt``, ``original ONNX``.
        nodes: in the order of execution.
        tensors: by name, all that nodes or the graph's inputs and outputs mention.
        inputs: names of the graph's inputs.
        outputs: names of the graph's outputs.
        key: what the file calls the graph; Model Explorer knows it by this name.
    """

    title: str
    nodes: tuple[GraphNode, ...]
    tensors: Mapping[str, GraphTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """The model after one pass, as a conversion in per-operator layout would take it.

    Attributes:
        name: of the pass; ``original`` for what came in.
        seconds: wall time of the pass; 0 for the original.
        nodes: operators.
        transposes: Transposes in the graph and around every operator that runs channels-last only; such a conversion
            folds constants first.
        bytes_moved: bytes that these write in one inference.
    """

    name: str
    seconds: float
    nodes: int
    transposes: int
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class ModelReport(Result):
    """All about one model, before and after.

    Attributes:
        name: of the model.
        created: date and time, ISO 8601.
        machine: processor, cores and system.
        optimize: counts, latencies, errors, passes.
        explain: why each transpose that is left is left, and the proof.
        before: what a user without layoutopt would have; None where it cannot be had.
        after: the result.
        stages: the original, then one per pass, in order.
        notes: what the reader should know: parts that are missing and why.
        check_before: what the target runs of the graph before; None without a target or such a graph. That of the
            result is in ``optimize``.
    """

    name: str
    created: str
    machine: str
    optimize: OptimizeReport
    explain: ExplainReport
    before: ModelGraph | None
    after: ModelGraph
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    check_before: CheckReport | None = None
