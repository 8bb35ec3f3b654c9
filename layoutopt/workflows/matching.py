"""The matching of tensors of a .tflite with values of the ONNX model: by content, by names, by what depends on what."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from layoutopt.backend.litert.trace import TfliteValue
from layoutopt.backend.onnx_tf.names import scope_of
from layoutopt.ir.align import (
    EQUAL,
    Alignment,
    Shuffle,
    align,
    align_shuffled,
    fingerprint,
    least_gaps,
    sorted_elements,
)
from layoutopt.ir.perm import Perm
from layoutopt.ir.trace import OnnxValue
from layoutopt.ir.verify import Array, OutputDifference, difference_of
from layoutopt.results.comparison import MatchedBy

_SIMILAR = 0.3  # a larger gap is no evidence at all
_CLEAR = 2.0  # how much worse the runner-up must be
_SAME = EQUAL / 100  # no gap that is smaller tells one from another
_AS_GOOD = 4.0  # a gap no larger than this times the smallest is as good
_CLOSE = _AS_GOOD * EQUAL  # what has a larger gap does not hold the same
_FAR_BETTER = 0.5
_REPAIRED = 0.1  # what is left of a difference after an operator that shows that there was none
_TELLING = 8  # elements in a slice, for it to be told from others where none are equal
_MAX_CANDIDATES = 32
_TWINS = 0.01  # the largest distance of the fingerprints of two tensors that hold the same
_PREFIX = "onnx_tf_prefix_"  # what plain onnx-tf puts before a node's name


SURE = (MatchedBy.INTERFACE, MatchedBy.CONTENT)
"""The evidence that leaves no doubt."""


@dataclass(frozen=True, slots=True)
class Match:
    """A tensor of the .tflite and the value that it should be.

    Attributes:
        tensor: position in the trace of the .tflite.
        value: position in the trace of the ONNX model.
        by: what tells so.
        alignment: of the value with the tensor.
        difference: of the tensor from the value.
    """

    tensor: int
    value: int
    by: MatchedBy
    alignment: Alignment
    difference: OutputDifference


class Pairs:
    """The facts about pairs of a value and a tensor: kept from one search to the next while they hold.

    Args:
        values: all of the ONNX model.
        tensors: all of the .tflite, for the same inputs.
    """

    def __init__(self, values: Sequence[OnnxValue], tensors: Sequence[TfliteValue]) -> None:
        self.values = values
        self.tensors = tensors
        self.local: list[Array] = [value.array for value in values]
        self.prints = np.array([fingerprint(array) for array in self.local]).reshape(-1, 4)
        self._sorted = [sorted_elements(array) for array in self.local]
        self._aligned: list[dict[tuple[int, Perm | None], Alignment]] = [{} for _ in values]
        self._shuffled: list[dict[tuple[int, int], Alignment | None]] = [{} for _ in values]
        self._differences: dict[tuple[int, int, Perm, bool, Shuffle | None], OutputDifference] = {}
        self._prints_of_tensors = [fingerprint(tensor.array) for tensor in tensors]
        self._sorted_tensors = [sorted_elements(tensor.array) for tensor in tensors]

    def renew(self, local: Sequence[Array]) -> None:
        """Forget what was found out about values that hold something else now.

        Args:
            local: what each value holds if computed from what is known of the tensors. A tensor after an error holds
                the same as this.
        """
        for value, (old, new) in enumerate(zip(self.local, local, strict=True)):
            if new is old or np.array_equal(old, new, equal_nan=new.dtype.kind == "f"):
                continue
            self.local[value] = new
            self.prints[value] = fingerprint(new)
            self._sorted[value] = sorted_elements(new)
            self._aligned[value].clear()
            self._shuffled[value].clear()

    def align(self, value: int, position: int, *, usual: Perm | None = None) -> Alignment:
        """Return how a value is stored in a tensor."""
        known = self._aligned[value]
        if (position, usual) not in known:
            known[position, usual] = align(self.local[value], self.tensors[position].array, usual=usual)
        return known[position, usual]

    def align_shuffled(self, value: int, position: int, *, fewest: int = 1) -> Alignment | None:
        """Return how a value is stored in a tensor whose slices along one axis are in another order."""
        known = self._shuffled[value]
        if (position, fewest) not in known:
            known[position, fewest] = align_shuffled(self.local[value], self.tensors[position].array, fewest=fewest)
        return known[position, fewest]

    def difference(self, value: int, position: int, alignment: Alignment) -> OutputDifference:
        """Return the error of a tensor from the value that the original computes."""
        key = (value, position, alignment.perm, alignment.backwards, alignment.shuffle)
        if key not in self._differences:
            arrays = alignment.apply(self.values[value].array, self.tensors[position].array)
            self._differences[key] = difference_of(self.values[value].name, *arrays)
        return self._differences[key]

    def distances(self, candidates: Sequence[int], position: int) -> npt.NDArray[np.float64]:
        """Return the distances of the fingerprints, in terms of the value's largest element."""
        theirs = self.prints[np.array(candidates, dtype=np.int64)]
        scale = np.maximum(np.abs(theirs).max(axis=1, initial=0.0), np.finfo(np.float32).tiny)
        found: npt.NDArray[np.float64] = (
            np.abs(theirs - self._prints_of_tensors[position]).max(axis=1, initial=0.0) / scale
        )
        return found

    def least_gaps(self, candidates: Sequence[int], position: int) -> dict[int, float]:
        """Return for each candidate what the gap of its alignment is not below: 0 where nothing is known."""
        found = dict.fromkeys(candidates, 0.0)
        actual = self._sorted_tensors[position]
        rows = {value: row for value in candidates if (row := self._sorted[value]) is not None}
        if actual is not None and rows:
            found |= zip(rows, least_gaps(np.array(list(rows.values())), actual).tolist(), strict=True)
        return found


def match(pairs: Pairs, interface: Mapping[int, int]) -> dict[int, Match]:
    """Find the value that each tensor should hold.

    What holds the same is the same; where several values do, a node of the tensor's name is preferred, then what
    depends on the values that the tensor's sources are. What holds the same as none is a value by its name, if it is
    the last tensor of that name, or else by likeness. Such a match is given up if the difference is gone one
    operator further on: then the .tflite goes another way to the same result, and there is no error.

    Args:
        pairs: of the values and the tensors.
        interface: the values of those tensors that are inputs and outputs.

    Returns:
        The matches by position of the tensor.
    """
    search = _Search(pairs, pairs.values, pairs.tensors)
    for position in range(len(pairs.tensors)):
        search.add(position, interface.get(position))
    return search.without_detours()


@dataclass(slots=True)
class _Search:
    """The state of a search while the tensors are gone through in the order of execution."""

    pairs: Pairs
    values: Sequence[OnnxValue]
    tensors: Sequence[TfliteValue]
    usual: Counter[Perm] = field(default_factory=Counter)  # permutations of what holds the same
    found: dict[int, Match] = field(default_factory=dict)
    needed: list[int] = field(default_factory=list)  # of each tensor, the values that it must depend on, as bits
    used: set[int] = field(default_factory=set)
    scopes: list[str] = field(default_factory=list)  # of each tensor, the node that it is named after
    claims: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # tensors that name the node at all
    by_scope: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_size: dict[tuple[int, bool], list[int]] = field(default_factory=lambda: defaultdict(list))
    readers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for position, value in enumerate(self.values):
            self.by_size[_kind(value.array)].append(position)
            if value.node:
                self.by_scope[scope_of(value.node)].append(position)
        for position, tensor in enumerate(self.tensors):
            named = list(self._scopes(tensor.name))
            self.scopes.append(next(iter(named), ""))
            for scope in named:
                self.claims[scope].add(position)
            for source in tensor.sources:
                self.readers[source].append(position)

    def _scopes(self, name: str) -> Iterator[str]:
        """Yield the nodes after which a tensor is named: of those fused into one operator, the last comes first."""
        for part in name.split(";"):
            steps = part.removeprefix(_PREFIX).strip("/").split("/")
            prefixes = ("/".join(steps[:count]) for count in range(len(steps), 0, -1))
            yield from itertools.islice((scope for scope in prefixes if scope in self.by_scope), 1)

    def add(self, position: int, known: int | None) -> None:
        """Match the next tensor, with ``known`` if it is an input or output."""
        needed = 0
        for source in self.tensors[position].sources:
            needed |= self.needed[source]
        chosen = self._choose(position, needed) if known is None else self._with(position, known, MatchedBy.INTERFACE)
        if chosen is not None:
            self.found[position] = chosen
            self.used.add(chosen.value)
            needed = 1 << chosen.value
        self.needed.append(needed)

    def _with(self, position: int, value: int, by: MatchedBy, alignment: Alignment | None = None) -> Match:
        alignment = alignment or self.pairs.align(value, position)
        difference = self.pairs.difference(value, position, alignment)
        if by is MatchedBy.CONTENT:
            self.usual[alignment.perm] += 1
        return Match(position, value, by, alignment, difference)

    def _choose(self, position: int, needed: int) -> Match | None:
        named = list(self._named(position))
        aligned = {value: self.pairs.align(value, position) for value in named}
        near: Mapping[int, float] = {}
        if all(each.gap > _SAME for each in aligned.values()):  # else no twin can be preferred
            near = self._near(position)
        twins = self._twins(position, near)
        aligned |= {value: self.pairs.align(value, position) for value in twins if value not in aligned}
        least = min((each.gap for each in aligned.values()), default=1.0)
        if least <= EQUAL:
            equal = [value for value, each in aligned.items() if each.gap <= max(_AS_GOOD * least, _SAME)]
            value = min(equal, key=lambda at: (at not in named, not self._fits(at, needed), at in self.used, at))
            return self._with(position, value, MatchedBy.CONTENT, aligned[value])
        if (shuffled := self._shuffled(position, twins[:2])) is not None:
            return shuffled
        if named and self._is_result(position):
            return self._by_name(position, named)
        if self.scopes[position]:
            return None
        fitting = [value for value in near if self._fits(value, needed)]
        return self._by_likeness(position, fitting)

    def _named(self, position: int) -> Iterator[int]:
        """Yield the results of the node that the tensor is named after, and of those fused with it, if of its size."""
        kind = _kind(self.tensors[position].array)
        for result in self.by_scope.get(self.scopes[position], ()):
            value: int | None = result
            while value is not None and _kind(self.values[value].array) == kind:
                yield value
                value = self.values[value].follower
                if value is not None and self.claims[scope_of(self.values[value].node)] - {position}:
                    break

    def _is_result(self, position: int) -> bool:
        """Return whether it is the last of the tensors that are named after its node."""
        return all(self.scopes[reader] != self.scopes[position] for reader in self.readers[position])

    def _near(self, position: int) -> dict[int, float]:
        """Return the values of the same size and kind with the distance of their fingerprints, the nearest first."""
        candidates = self.by_size.get(_kind(self.tensors[position].array), [])
        distances = self.pairs.distances(candidates, position)
        order = np.argsort(distances, kind="stable")[:_MAX_CANDIDATES]
        return {candidates[each]: float(distances[each]) for each in order}

    def _twins(self, position: int, near: Mapping[int, float]) -> list[int]:
        """Return those that may hold the same."""
        alike = [value for value, distance in near.items() if distance <= _TWINS]
        least = self.pairs.least_gaps(alike, position)
        return [value for value in alike if least[value] <= _CLOSE]

    def _shuffled(self, position: int, twins: Sequence[int]) -> Match | None:
        """Return the value that holds the same with the slices along one axis in another order."""
        for value in twins:
            alignment = self.pairs.align_shuffled(value, position)
            if alignment is not None and alignment.gap <= EQUAL:
                return self._with(position, value, MatchedBy.CONTENT, alignment)
        return None

    def _by_name(self, position: int, named: Sequence[int]) -> Match:
        aligned = {value: self.pairs.align(value, position, usual=self._usual(value)) for value in named}
        least = min(each.gap for each in aligned.values())
        # No other tensor is named after what follows the node, so it is most likely fused with it.
        value = max(at for at, each in aligned.items() if _FAR_BETTER * each.gap <= least)
        shuffled = self.pairs.align_shuffled(value, position, fewest=_TELLING)
        by_shuffle = shuffled is not None and shuffled.gap < _REPAIRED * aligned[value].gap
        return self._with(position, value, MatchedBy.NAME, shuffled if by_shuffle else aligned[value])

    def _usual(self, value: int) -> Perm | None:
        """Return the permutation that most tensors have that hold the same as a value of this rank."""
        rank = self.pairs.local[value].ndim
        return max((perm for perm in self.usual if len(perm) == rank), key=self.usual.__getitem__, default=None)

    def _by_likeness(self, position: int, fitting: Sequence[int]) -> Match | None:
        aligned: dict[int, Alignment] = {}
        least, smallest = self.pairs.least_gaps(fitting, position), _SIMILAR
        for value in sorted(fitting, key=least.__getitem__):
            if least[value] > _CLEAR * smallest:  # neither the best nor close to it, as all that follow
                break
            aligned[value] = self.pairs.align(value, position)
            smallest = min(smallest, aligned[value].gap)
        best = sorted(aligned, key=lambda at: aligned[at].gap)[:2]
        if not best or aligned[best[0]].gap > _SIMILAR:
            return None
        if len(best) > 1 and aligned[best[1]].gap < _CLEAR * aligned[best[0]].gap:
            return None
        return self._with(position, best[0], MatchedBy.LIKENESS, aligned[best[0]])

    def _fits(self, value: int, needed: int) -> bool:
        """Return whether a value depends on all that it must."""
        return self.values[value].ancestors & needed == needed

    def without_detours(self) -> dict[int, Match]:
        """Return the matches without those whose difference is gone where the tensor is read."""
        kept: dict[int, Match] = {}
        of_readers: dict[int, float] = {}  # the largest error among the nearest matches that read a tensor
        for position in reversed(range(len(self.tensors))):
            readers = self.readers[position]
            of_readers[position] = max(
                (kept[each].difference.relative_error if each in kept else of_readers[each] for each in readers),
                default=np.inf,
            )
            found = self.found.get(position)
            if found is None:
                continue
            if found.by in SURE or of_readers[position] > _REPAIRED * found.difference.relative_error:
                kept[position] = found
        return dict(sorted(kept.items()))


def _kind(array: Array) -> tuple[int, bool]:
    """Return what two tensors must share: the number of elements, and whether they are booleans."""
    return array.size, array.dtype == np.bool_
