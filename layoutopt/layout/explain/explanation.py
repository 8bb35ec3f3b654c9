"""The explanation of a plan as data: transposes, their two sides, the proof. How it is found is in ``explainer``."""

from __future__ import annotations

from dataclasses import dataclass

from layoutopt.layout.solver.problem import Solver


@dataclass(frozen=True, slots=True)
class TransposeSide:
    """One side of a transpose.

    Attributes:
        layout: in words.
        ends: who writes the value, or reads it, in this layout.
        through: the operators that pass the layout on, from one of these to the one that needs it, without the latter.
        needed_by: the nearest one that cannot have the layout of the other side, or not for nothing; empty where nobody
            does alone.
        why: its reason.
    """

    layout: str
    ends: tuple[str, ...]
    through: tuple[str, ...]
    needed_by: str
    why: str


@dataclass(frozen=True, slots=True)
class Copy:
    """One transpose that remains.

    Attributes:
        value: whose bytes are rewritten.
        shape: its shape in the original.
        dtype: its element type.
        size: its bytes.
        cost: of the transpose, in the unit of the objective.
        transposes: how many TRANSPOSE operators it takes: more than one where its axes are too many for one.
        part: the number of the part of the graph whose layouts depend on each other, from 1; 0 where nobody around
            has a choice.
        written: the side that writes it.
        read: the side that reads it.
        operators: the operators without a layout rule that it has to do with.
    """

    value: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    cost: int
    transposes: int
    part: int
    written: TransposeSide
    read: TransposeSide
    operators: frozenset[str]


@dataclass(frozen=True, slots=True)
class InternalMovement:
    """Data that an operator moves inside.

    Attributes:
        operator: who.
        cost: in the unit of the objective.
        part: as that of a `Copy`.
        why: the reason.
    """

    operator: str
    cost: int
    part: int
    why: str


@dataclass(frozen=True, slots=True)
class KeptTranspose:
    """A Transpose of the original of unknown size, which is no part of the cost; nothing is proved beside it.

    Attributes:
        operator: which.
        size: bytes that it moves at least: a size that is not known counts as 1.
        why: the reason.
    """

    operator: str
    size: int
    why: str


@dataclass(frozen=True, slots=True)
class PartProof:
    """The proof for one part of the graph whose layouts depend on each other.

    Attributes:
        part: its number.
        solver: who solved it.
        choices: how many groups of operands and results had a choice.
        cost: of its layouts.
        lower_bound: what any layouts cost.
        proved: whether the two are known to be equal.
        max_flow: what the maximum flow carries through the values that are copied; None where there is no flow.
    """

    part: int
    solver: Solver
    choices: int
    cost: int
    lower_bound: int
    proved: bool
    max_flow: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons for the cost of a plan: ``copies`` and ``inside`` add up to it.

    Attributes:
        copies: the transposes that remain, the costliest first.
        inside: the operators that move data inside.
        kept: the Transposes of the original of unknown size.
        parts: the proof, for each part that costs something.
    """

    copies: tuple[Copy, ...]
    inside: tuple[InternalMovement, ...]
    kept: tuple[KeptTranspose, ...]
    parts: tuple[PartProof, ...]
