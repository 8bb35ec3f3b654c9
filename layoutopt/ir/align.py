"""The search for the permutation of axes that makes two arrays most alike."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from layoutopt.ir.perm import Perm, axis_names, channels_last, identity, invert, is_identity, join_axis_names, permute

Array = npt.NDArray[np.generic]

EQUAL = 1e-3
"""Arrays with a smaller gap hold the same, up to the rounding of a float32 network."""

_EXACT = EQUAL / 100  # no other permutation need be tried
_FAR_BETTER = 0.5
_SAMPLES = 512
_MAX_AXES = 5
_MAX_SLICES = 1024
_FEWEST = 32  # numbers that are not equal in any order by chance
_LEVEL = 1e-3  # how much of the level that values share counts as their spread: a constant has none of its own


@dataclass(frozen=True, slots=True)
class Shuffle:
    """A permutation of the slices along one axis.

    Attributes:
        axis: of the aligned arrays.
        order: slice ``i`` is slice ``order[i]`` of the expected array.
    """

    axis: int
    order: Perm


@dataclass(frozen=True, slots=True)
class Alignment:
    """The rearrangement of two arrays of equal size after which their elements correspond.

    Attributes:
        perm: of the axes of the expected array; of the actual one where ``backwards``.
        backwards: whether the actual array is permuted, since no permutation of the expected one will do.
        gap: sampled difference of the two, from 0 (equal) to 1 (nothing in common).
        shuffle: of the slices along one axis of the expected array after ``perm``; None for none.
    """

    perm: Perm
    backwards: bool
    gap: float
    shuffle: Shuffle | None = None

    def apply(self, expected: Array, actual: Array) -> tuple[Array, Array]:
        """Return both arrays in one shape, with their elements at the same places."""
        if self.backwards:
            return expected, actual.transpose(self.perm).reshape(expected.shape)
        expected = expected.transpose(self.perm)
        if self.shuffle is not None:
            expected = expected.take(self.shuffle.order, axis=self.shuffle.axis)
        return expected.reshape(actual.shape), actual

    def restore(self, actual: Array, shape: tuple[int, ...]) -> Array:
        """Return the actual array as the expected one, of ``shape``, lies."""
        if self.backwards:
            return actual.transpose(self.perm).reshape(shape)
        permuted = actual.reshape(permute(shape, self.perm))
        if self.shuffle is not None:
            permuted = permuted.take(invert(self.shuffle.order), axis=self.shuffle.axis)
        return permuted.transpose(invert(self.perm))

    def words(self, expected: tuple[int, ...], actual: tuple[int, ...]) -> str:
        """Return the layout of ``actual`` in terms of ``expected``: ``as is``, ``NHWC``, ``axes 1 0, reshaped``."""
        said = join_axis_names(permute(axis_names(len(self.perm)), self.perm))
        parts = [] if is_identity(self.perm) else [f"from {said}" if self.backwards else said]
        source, target = (actual, expected) if self.backwards else (expected, actual)
        parts += ["reshaped"] if permute(source, self.perm) != target else []
        parts += [f"axis {self.shuffle.axis} shuffled"] if self.shuffle is not None else []
        return ", ".join(parts) or "as is"


def align(expected: Array, actual: Array, *, usual: Perm | None = None) -> Alignment:
    """Return the permutation of axes of two arrays of equal size that leaves the smallest gap.

    It is looked for at a sample of the elements. Of equally good ones the first of these is taken: one that needs no
    reshape, none at all, channels-last.

    Args:
        expected: the one.
        actual: the other.
        usual: a permutation that is taken unless another one is far better, for arrays that do not hold the same.
    """
    places = _places(actual.size)
    wanted = actual.reshape(-1)[places]
    if usual is not None and permute(expected.shape, usual) == actual.shape:
        gap = gap_of(expected.transpose(usual)[np.unravel_index(places, actual.shape)], wanted)
        other = align(expected, actual)
        return other if other.gap < _FAR_BETTER * gap else Alignment(usual, False, gap)
    found = _best(expected, wanted, actual.shape)
    if found[0] <= EQUAL or expected.shape == actual.shape:
        return Alignment(found[1], False, found[0])
    back = _best(actual, expected.reshape(-1)[places], expected.shape)
    if back[0] < _FAR_BETTER * found[0]:
        return Alignment(back[1], True, back[0])
    return Alignment(found[1], False, found[0])


def align_shuffled(expected: Array, actual: Array, *, fewest: int = 1) -> Alignment | None:
    """Align as `align` does, with slices along one axis in any order; None if no axis has few and large enough ones.

    The slices are assigned to each other so that the sum of their distances is smallest.

    Args:
        expected: the one.
        actual: the other.
        fewest: elements in a slice.
    """
    found = None
    if actual.size < _FEWEST:
        return None
    for perm in _perms(expected.shape, actual.shape):
        if permute(expected.shape, perm) != actual.shape:
            break
        permuted = expected.transpose(perm)
        for axis, count in enumerate(actual.shape):
            if not 2 <= count <= _MAX_SLICES or actual.size // count < fewest:
                continue
            gap, order = _assign(permuted, actual, axis)
            if found is None or gap < found.gap:
                found = Alignment(perm, False, gap, Shuffle(axis, order))
    return found


def gap_of(expected: Array, actual: Array) -> float:
    """Return the difference of two arrays of equal shape, from 0 (equal) to 1 (nothing in common).

    The sum of the differences over the sum of what both differ from their common level: a wrong border counts for what
    it is of the whole. Where one is finite and the other is not counts as 1.
    """
    left, right = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(right)
    odd = float(np.mean(np.isfinite(left) != np.isfinite(right))) if left.size else 0.0
    left, right = left[finite], right[finite]
    if not left.size:
        return odd
    return max(odd, float(_finite_gaps(left[np.newaxis], right)[0]))


def least_gaps(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a lower bound for the gap of two fully sampled arrays under any permutation.

    Among all orders of the elements of both, the sum of the differences is smallest where both are sorted.

    Args:
        expected: `sorted_elements` of many arrays of one size, one per row.
        actual: of one more.
    """
    levels, level = expected.mean(axis=1, keepdims=True), actual.mean()
    from_levels = np.abs(expected - levels).sum(axis=1) + np.abs(actual - levels).sum(axis=1)
    from_level = np.abs(expected - level).sum(axis=1) + np.abs(actual - level).sum()
    spread = np.maximum(from_levels, from_level) + _LEVEL * (np.abs(expected).sum(axis=1) + np.abs(actual).sum())
    return _ratios(np.abs(expected - actual).sum(axis=1), spread)


def sorted_elements(array: Array) -> npt.NDArray[np.float64] | None:
    """Return the elements for `least_gaps`; None if there are too many to sample all, or some are not finite."""
    if not 0 < array.size <= _SAMPLES or not np.isfinite(array).all():
        return None
    return np.sort(array.astype(np.float64), axis=None)


def fingerprint(array: Array) -> npt.NDArray[np.float64]:
    """Return numbers that no permutation of the elements changes: mean, root of the mean square, minimum, maximum."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if not finite.size:
        return np.zeros(4)
    wide = finite.astype(np.float64)
    return np.array([wide.mean(), math.sqrt(np.mean(wide**2)), wide.min(), wide.max()])


def _best(source: Array, wanted: Array, shape: tuple[int, ...]) -> tuple[float, Perm]:
    """Return the permutation of ``source`` that is nearest to the array sampled in ``wanted``, after its gap."""
    if not source.ndim:
        return 0.0, ()
    perms = _perms(source.shape, shape)
    flat, places = source.reshape(-1), _sampled(source.shape, shape)
    first = gap_of(flat[places[0]], wanted)
    if first <= _EXACT or len(perms) == 1:
        return first, perms[0]
    gaps = np.array([first, *_gaps(flat[places[1:]], wanted)])
    exact = np.flatnonzero(gaps <= _EXACT)
    best = int(exact[0]) if exact.size else int(gaps.argmin())
    return float(gaps[best]), perms[best]


def _gaps(lefts: Array, right: Array) -> npt.NDArray[np.float64]:
    """Return the `gap_of` each of many arrays, one per row, and one."""
    if not (np.isfinite(lefts).all() and np.isfinite(right).all()):
        return np.array([gap_of(left, right) for left in lefts])
    return _finite_gaps(lefts.astype(np.float64), right.astype(np.float64))


def _finite_gaps(rows: npt.NDArray[np.float64], row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the same as `_gaps`, where all is finite."""
    levels = rows.mean(axis=1, keepdims=True)
    spread = np.abs(rows - levels).sum(axis=1) + np.abs(row - levels).sum(axis=1)
    spread += _LEVEL * (np.abs(rows).sum(axis=1) + np.abs(row).sum())
    return _ratios(np.abs(rows - row).sum(axis=1), spread)


def _ratios(differences: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the quotients, 0 where there is no spread."""
    found: npt.NDArray[np.float64] = np.divide(differences, spread, out=np.zeros(len(spread)), where=spread != 0)
    return found


@lru_cache(maxsize=256)
def _sampled(shape: tuple[int, ...], target: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return indices of the samples of each permutation of an array of ``shape``, one permutation per row."""
    places, rows = _places(math.prod(shape)), []
    for perm in _perms(shape, target):
        permuted = np.unravel_index(places, permute(shape, perm))
        rows.append(np.ravel_multi_index(permute(permuted, invert(perm)), shape))
    return np.array(rows, dtype=np.int64)


@lru_cache(maxsize=1024)
def _perms(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[Perm, ...]:
    """Return the permutations that differ in more than where axes of size 1 go, those that give ``target`` first."""
    rank = len(shape)
    moving = sum(size != 1 for size in shape)
    every = itertools.permutations(range(rank)) if moving <= _MAX_AXES and rank <= _MAX_AXES else [identity(rank)]

    def order(perm: Perm) -> tuple[bool, bool, bool]:
        return permute(shape, perm) != target, not is_identity(perm), perm != channels_last(rank)

    first: dict[Perm, Perm] = {}  # by the order of the axes that are larger than 1
    for perm in sorted(every, key=order):
        first.setdefault(tuple(axis for axis in perm if shape[axis] != 1), perm)
    return tuple(first.values())


@lru_cache(maxsize=1024)
def _places(size: int) -> npt.NDArray[np.int64]:
    """Return the indices to sample: all of a small array."""
    if size <= _SAMPLES:
        return np.arange(size)
    return np.sort(np.random.default_rng(size).choice(size, _SAMPLES, replace=False))


def _assign(expected: Array, actual: Array, axis: int) -> tuple[float, Perm]:
    """Return the order of slices of ``expected`` along ``axis`` that is nearest to ``actual``, and its gap."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    count = actual.shape[axis]
    rows = np.moveaxis(expected, axis, 0).reshape(count, -1)
    wanted = np.moveaxis(actual, axis, 0).reshape(count, -1)
    columns = _places(rows.shape[1])[:: max(1, min(rows.shape[1], _SAMPLES) // 64)]
    rows, wanted = np.nan_to_num(rows[:, columns].astype(np.float64)), np.nan_to_num(wanted[:, columns])
    _, order = linear_sum_assignment(cdist(wanted.astype(np.float64), rows, "cityblock"))
    return gap_of(rows[order], wanted), tuple(int(each) for each in order)
