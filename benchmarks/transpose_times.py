"""The errors of the two costs of a copy, bytes and measured time, against what transposes take.

::

    layoutopt calibrate
    python -m benchmarks.transpose_times [--count 300] [--seed 0]

Transposes that networks do, and random ones against both costs. The figures go to
``benchmarks/results/transpose_times.json``.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from benchmarks import records
from layoutopt.backend.litert.operator_times import Transpose, time_operators
from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.costs.objectives import Costs
from layoutopt.options import Objective
from layoutopt.results.provenance import Provenance

KNOWN = (
    ("NCHW to NHWC, 80 channels of 56x56", Transpose((80, 3136), (1, 0), 32)),
    ("NHWC to NCHW, 80 channels of 56x56", Transpose((3136, 80), (1, 0), 32)),
    ("picture, 3 channels of 288x288", Transpose((3, 82944), (1, 0), 32)),
    ("heads of 64 to the front, 320 tokens", Transpose((320, 12, 64), (1, 0, 2), 32)),
    ("heads of 64, transposed", Transpose((320, 12, 64), (1, 2, 0), 32)),
    ("windows of 7x7, 96 channels", Transpose((7, 7, 7, 672), (0, 2, 1, 3), 32)),
    ("pixel shuffle by 2, 16 channels of 64x64", Transpose((16, 2, 2, 64, 64), (0, 3, 1, 4, 2), 32)),
    ("channel shuffle in NHWC, 2 groups of 116", Transpose((1024, 2, 116), (0, 2, 1), 32)),
    ("boxes: pairs of coordinates", Transpose((4, 30000, 2), (1, 0, 2), 32)),
    ("int8: NCHW to NHWC, 80 channels of 112x112", Transpose((80, 12544), (1, 0), 8)),
    ("int8: picture, 3 channels of 576x576", Transpose((3, 331776), (1, 0), 8)),
)
SIZES = (2, 3, 4, 7, 8, 14, 16, 24, 28, 32, 56, 64, 96, 112, 128, 256, 320, 512, 1024)

Numbers = npt.NDArray[np.float64]


RESULTS = records.committed("transpose_times")


@dataclass(frozen=True, slots=True)
class Known:
    """One of the transposes that networks do.

    Attributes:
        name: what it does.
        size: bytes.
        took: nanoseconds.
        told: nanoseconds that the table of times says.
    """

    name: str
    size: int
    took: float
    told: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The accuracy of a cost for random transposes of one width of elements.

    Attributes:
        count: how many.
        bits: of an element.
        objective: the cost.
        median: factor by which it is off in the median.
        most: factor within which nine in ten are.
        misled: share of the pairs that it is wrong about.
    """

    count: int
    bits: int
    objective: Objective
    median: float
    most: float
    misled: float


@dataclass(frozen=True, slots=True)
class TransposeTimes:
    """All of them.

    Attributes:
        known: those that networks do.
        drawn: random ones.
        overhead: nanoseconds of an operator that has nothing to do.
        measured: where and when.
    """

    known: tuple[Known, ...]
    drawn: tuple[Accuracy, ...]
    overhead: float
    measured: Provenance


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="random transposes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = list(draw(options.count, random.Random(options.seed)))
    measured = time_operators([*(transpose for _, transpose in KNOWN), *drawn])
    took = np.array(measured.nanoseconds) + measured.overhead
    found = TransposeTimes(
        tuple(_known(took[: len(KNOWN)])),
        tuple(_accuracies(drawn, took[len(KNOWN) :])),
        measured.overhead,
        Provenance.here(),
    )
    records.save(found, RESULTS)


def _known(took: Numbers) -> Iterator[Known]:
    told = prices(load_costs(Objective.TIME), [transpose for _, transpose in KNOWN])
    for (name, transpose), *times in zip(KNOWN, took, told, strict=True):
        yield Known(name, math.prod(transpose.shape) * transpose.bits // 8, *map(float, times))


def _accuracies(drawn: Sequence[Transpose], took: Numbers) -> Iterator[Accuracy]:
    for bits in (32, 8):
        chosen = [index for index, transpose in enumerate(drawn) if transpose.bits == bits]
        for objective in Objective:
            told = prices(load_costs(objective), [drawn[index] for index in chosen])
            yield Accuracy(len(chosen), bits, objective, *accuracy(told, took[chosen]))


def draw(count: int, rng: random.Random) -> Iterator[Transpose]:
    """Yield transposes of 1 kB to 4 MB in the form that costs are asked for: no two axes stay neighbours."""
    while count:
        rank = rng.randint(2, 5)
        shape = tuple(rng.choice(SIZES) for _ in range(rank))
        perm = tuple(rng.sample(range(rank), rank))
        if 2**10 <= math.prod(shape) <= 2**20 and all(after != before + 1 for before, after in pairwise(perm)):
            yield Transpose(shape, perm, rng.choice((8, 32)))
            count -= 1


def prices(costs: Costs, transposes: Sequence[Transpose]) -> Numbers:
    """Return what ``costs`` says of each."""
    return np.array([costs.copy(each.shape, each.perm, each.bits) for each in transposes], dtype=np.float64)


def accuracy(told: Numbers, truth: Numbers) -> tuple[float, float, float]:
    """Return the factors between what a cost tells and what it took, median and nine in ten, and how often it misleads.

    Units do not matter: a cost is scaled to be right in the median. It is wrong about a pair if it does not say which
    of the two takes longer; the pairs are those whose times differ by a factor between 1.1 and 10.
    """
    factors = np.abs(np.log(told / truth) - np.median(np.log(told / truth)))
    first, second = np.triu_indices(len(truth), 1)
    ratio = np.log(truth[first] / truth[second])
    close = (np.abs(ratio) > math.log(1.1)) & (np.abs(ratio) < math.log(10))
    misled = (np.log(told[first] / told[second]) * ratio)[close] <= 0
    median, most = np.exp(np.quantile(factors, (0.5, 0.9)))
    return float(median), float(most), float(misled.mean())


if __name__ == "__main__":
    main()
