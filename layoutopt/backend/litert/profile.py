"""The time of each operator of a .tflite file, from LiteRT's own profiler.

XNNPACK runs operators of its own: some of the file's become two or three of them, others go into a neighbour or
nowhere at all. Both sides run in the same order, so the two lists are laid side by side as in a comparison of texts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from layoutopt.backend.litert.inspect import TfliteOperator, operators_of
from layoutopt.backend.litert.runtime import Setting, Subject, check_threads
from layoutopt.backend.process import Json, run_alone
from layoutopt.errors import ConversionError, UsageError

ROUNDS = 30
"""Inferences that are profiled where nobody says how many."""

_CHILD = "layoutopt.backend.litert.profiler"
_WARM_UP = 3  # inferences before the first that counts

_CALLED: Mapping[str, tuple[str, ...]] = {
    "ADD": ("Add", "Clamp"),
    "AVERAGE_POOL_2D": ("Average Pooling", "Global Average Pooling", "Mean", "Sum"),
    "BATCH_MATMUL": ("Batch Matrix Multiply", "Fully Connected", "Static Reshape"),
    "CAST": ("Convert",),
    "CEIL": ("Ceiling",),
    "CONCATENATION": ("Copy", "Concatenate"),
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "DEQUANTIZE": ("Convert",),
    "DIV": ("Divide", "Clamp"),
    "EXPAND_DIMS": ("Static Reshape", "Copy"),
    "FULLY_CONNECTED": ("Fully Connected", "Static Reshape"),
    "HARD_SWISH": ("HardSwish", "Hard Swish"),
    "LEAKY_RELU": ("LeakyReLU", "Leaky ReLU"),
    "LOGISTIC": ("Sigmoid",),
    "MAXIMUM": ("Maximum", "Clamp"),
    "MAX_POOL_2D": ("Max Pooling", "Argmax Pooling"),
    "MINIMUM": ("Minimum", "Clamp"),
    "MUL": ("Multiply", "Clamp"),
    "NEG": ("Negate",),
    "PAD": ("Constant Pad",),
    "PADV2": ("Constant Pad",),
    "QUANTIZE": ("Convert",),
    "REDUCE_MAX": ("Reduce Max", "Max"),
    "REDUCE_MIN": ("Reduce Min", "Min"),
    "RELU": ("Clamp", "ReLU"),
    "RELU6": ("Clamp",),
    "RELU_0_TO_1": ("Clamp",),
    "RELU_N1_TO_1": ("Clamp",),
    "RESHAPE": ("Static Reshape", "Copy"),
    "ROUND": ("Bank",),
    "RSQRT": ("Reciprocal Square Root",),
    "SPLIT": ("Slice", "Copy"),
    "SQRT": ("Square Root",),
    "SQUEEZE": ("Static Reshape", "Copy"),
    "STRIDED_SLICE": ("Slice",),
    "SUB": ("Subtract", "Clamp"),
    "SUM": ("Sum", "Normalize"),
    "TRANSPOSE_CONV": ("Deconvolution",),
}
"""The beginnings of the names of XNNPACK's operators, for TFLite's whose own names do not say it; seen in LiteRT 2.3.

``Clamp`` is the activation of an operator that has one fused and whose kernel in XNNPACK has none.
"""

_HELPERS = ("Static Reshape", "Copy", "Convert", "Transpose", "Slice", "Constant Pad")
"""Operators that XNNPACK may add beside the one that does the work."""

# The costs of laying the two lists side by side. Only their order matters.
_HELPS, _STRANGE = 0.8, 2.0  # one of XNNPACK's operators stands beside one of the file's that is not called so
_AGAIN = 0.1  # the operator of the file has one already
_NOTHING = 0.5  # an operator of the file has none

_Costs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """The time that one operator of the main graph takes.

    Attributes:
        position: in the order of the file, as `inspect.operators_of` gives the operators.
        operator: its name there.
        microseconds: of one inference, median of the rounds; 0 where it has gone into a neighbour. LiteRT counts whole
            microseconds.
    """

    position: int
    operator: str
    microseconds: float


@dataclass(frozen=True, slots=True)
class OperatorEvent:
    """One operator that ran.

    Attributes:
        name: as who ran it calls it.
        position: in the main graph; -1 for one of XNNPACK's own.
        microseconds: how long it took.
    """

    name: str
    position: int
    microseconds: float


def profile(
    path: Path,
    *,
    threads: int = 1,
    rounds: int = ROUNDS,
    seed: int = 0,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[OperatorTime, ...]:
    """Time each operator of the main graph while the whole model runs on LiteRT with XNNPACK.

    It runs in a process of its own. The sum is a little less than an inference takes outside of the profiler: what
    LiteRT does between operators is nobody's. Bodies of IF and WHILE count for these.

    Args:
        path: the .tflite file; dynamic sizes are what they are in the file.
        threads: of XNNPACK.
        rounds: inferences, after a few that do not count.
        seed: of the random inputs.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Returns:
        One time for each operator of the main graph, in the order of the file.

    Raises:
        ModelNotFoundError, InvalidModelError: there is no such file, or it is not a .tflite file.
        UsageError: no rounds or no threads.
        ConversionError: LiteRT cannot run the file, or its profiler is not the one that is known here.
    """
    subject = Subject(path, Setting(threads))
    return profile_subject(subject, rounds=rounds, seed=seed, verbose=verbose, progress=progress)


def profile_subject(
    subject: Subject,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[OperatorTime, ...]:
    """Return the same under any setting; arguments and errors as those of `profile`."""
    operators, setting = operators_of(subject.path), subject.setting
    check_threads(setting.threads)
    if rounds < 1:
        raise UsageError("Nothing to profile.", hint="Give at least one round.")
    job: dict[str, Json] = {"path": str(subject.path), "threads": setting.threads, "xnnpack": setting.xnnpack}
    taken: list[list[OperatorEvent]] = []
    for line in run_alone(_CHILD, {**job, "warmup": _WARM_UP, "rounds": rounds, "seed": seed}, verbose=verbose):
        taken.append([OperatorEvent(*event) for event in line])  # type: ignore[misc, union-attr]
        if progress is not None:
            progress(len(taken), rounds)
    return attribute_events(operators, median_events(taken))


def median_events(rounds: Sequence[Sequence[OperatorEvent]]) -> list[OperatorEvent]:
    """Return each event with the median of its times.

    Raises:
        ConversionError: the rounds are not of the same operators.
    """
    if any([event.name for event in each] != [event.name for event in rounds[0]] for each in rounds):
        raise ConversionError("LiteRT", "the profiler saw different operators in each inference of the same model")
    return [
        OperatorEvent(same[0].name, same[0].position, statistics.median(event.microseconds for event in same))
        for same in zip(*rounds, strict=True)
    ]


def attribute_events(operators: Sequence[TfliteOperator], events: Sequence[OperatorEvent]) -> tuple[OperatorTime, ...]:
    """Say which operator of the file each event belongs to, and add up their times.

    Raises:
        ConversionError: the events are not those of such a model.
    """
    alone = {event.position for event in events if event.position >= 0}
    order = execution_order(operators, alone)
    times = [0.0] * len(operators)
    for event, at in zip(events, match_in_order(_costs(operators, order, alone, events)), strict=True):
        times[order[at]] += event.microseconds
    return tuple(
        OperatorTime(position, operator.name, time)
        for position, (operator, time) in enumerate(zip(operators, times, strict=True))
    )


def execution_order(operators: Sequence[TfliteOperator], alone: set[int]) -> list[int]:
    """Return the order in which LiteRT runs the operators of a file: XNNPACK's together where that is possible.

    Args:
        operators: in the order of the file.
        alone: positions of those that XNNPACK has not taken.

    Returns:
        Their positions.
    """
    waiting = set().union(*({index for index, _ in operator.outputs} for operator in operators))
    left, order = list(range(len(operators))), list[int]()
    while left:
        kind, later = None, []
        for position in left:
            operator = operators[position]
            ready = waiting.isdisjoint(operator.inputs)
            if ready and kind in (None, position in alone):
                kind = position in alone
                order.append(position)
                waiting.difference_update(index for index, _ in operator.outputs)
            else:
                later.append(position)
        if kind is None:
            raise ConversionError("LiteRT", f"operator {left[0]} ({operators[left[0]].name}) waits for itself")
        left = later
    return order


def match_in_order(costs: _Costs) -> list[int]:
    """Give each event an operator, never an earlier one than to the event before, at the least cost.

    Args:
        costs: of each event (rows) at each operator (columns), both in the order in which they run.

    Returns:
        An operator for each event.

    Raises:
        ConversionError: there is no way at all.
    """
    if not costs.size:
        return []
    places = np.arange(costs.shape[1])
    best = costs[0] + _NOTHING * places
    steps = []
    for row in costs[1:]:
        moved, came_from = _from_before(best)
        stays = best + _AGAIN
        steps.append(np.where(stays <= moved, places, came_from))
        best = row + np.minimum(stays, moved)
    at = int(np.argmin(best + _NOTHING * places[::-1]))
    if not np.isfinite(best[at]):
        raise ConversionError("LiteRT", "the profiler's operators are not those of the file")
    found = [at]
    for step in reversed(steps):
        found.append(int(step[found[-1]]))
    return found[::-1]


def _from_before(best: _Costs) -> tuple[_Costs, npt.NDArray[np.int64]]:
    """Return each operator's least cost of coming from an earlier one, and from which; those between have nothing."""
    places = np.arange(len(best))
    relative = best - _NOTHING * places
    least = np.minimum.accumulate(relative)
    which = np.maximum.accumulate(np.where(relative <= least, places, 0))
    moved = np.concatenate([[np.inf], least[:-1] + _NOTHING * (places[1:] - 1)])
    return moved, np.concatenate([[0], which[:-1]])


def _costs(
    operators: Sequence[TfliteOperator], order: Sequence[int], alone: set[int], events: Sequence[OperatorEvent]
) -> _Costs:
    """Return the cost of matching each event (rows) with each operator (columns, in the order in which they run)."""
    kinds = _numbered([operators[position].name for position in order])
    names = _numbered([event.name for event in events])
    by_name = np.array([[_cost(kind, name) for kind in kinds] for name in names]).reshape(len(names), len(kinds))
    columns = [kinds[operators[position].name] for position in order]
    costs = by_name[[names[event.name] for event in events]][:, columns]
    costs[:, [position in alone for position in order]] = np.inf
    for row, event in enumerate(events):
        if event.position >= 0:
            costs[row] = np.where(np.array(order) == event.position, 0.0, np.inf)
    return costs


def _cost(operator: str, event: str) -> float:
    """Return the cost of matching one of XNNPACK's operators with one of the file's, by their names."""
    words = _CALLED.get(operator, (operator.replace("_", " "),))
    if event.lower().startswith(tuple(word.lower() for word in words)):
        return 0.0
    return _HELPS if event.startswith(_HELPERS) else _STRANGE


def _numbered(names: Sequence[str]) -> dict[str, int]:
    """Return each name once, with its number."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}
