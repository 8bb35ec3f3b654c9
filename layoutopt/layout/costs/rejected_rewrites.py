"""Rewrites that could be done and are not, since the cost model says that they gain nothing."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from layoutopt.layout.costs.arithmetic import Work


@dataclass(frozen=True, slots=True)
class RejectedRewrite:
    """One rewrite that was possible.

    Attributes:
        rewrite: the pass; the class that it is, until somebody shows it.
        node: where; the operator's name, or that of its result where it has none.
        products_before: multiplications of the operators that it would have replaced.
        products_after: of those in their place.
        nanoseconds_before: what the former cost by the model, on one thread.
        nanoseconds_after: what the latter would.
    """

    rewrite: str
    node: str
    products_before: int
    products_after: int
    nanoseconds_before: float
    nanoseconds_after: float

    @property
    def why(self) -> str:
        """The reason."""
        if self.nanoseconds_after >= self.nanoseconds_before:
            return "costs more"
        return "gains less than the model's error"


_Found = MutableMapping[tuple[str, str], RejectedRewrite]
_FOUND: ContextVar[_Found | None] = ContextVar("rejected rewrites", default=None)


@contextmanager
def collect_rejected_rewrites() -> Iterator[_Found]:
    """Collect the rewrites that passes reject within the context, by pass and node; the last word counts."""
    found: _Found = {}
    token = _FOUND.set(found)
    try:
        yield found
    finally:
        _FOUND.reset(token)


def note_rewrite(rewrite: str, node: str, before: Work, after: Work, *, done: bool) -> None:
    """Note what became of a rewrite that is possible, if somebody collects them."""
    if (found := _FOUND.get()) is None:
        return
    found.pop((rewrite, node), None)
    if not done:
        found[rewrite, node] = RejectedRewrite(
            rewrite, node, before.products, after.products, before.nanoseconds, after.nanoseconds
        )
