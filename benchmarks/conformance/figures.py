"""The figures of conformance: counts of the tests that every way was judged on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import records
from benchmarks.conformance.cases import cases
from benchmarks.conformance.verdicts import Route, Status, Verdict
from layoutopt.results.provenance import Provenance

RESULTS = records.committed("conformance")


@dataclass(frozen=True, slots=True)
class Operator:
    """The tests of one operator: of each route, how many there are of each status."""

    direct: Mapping[str, int]
    onnx_tf: Mapping[str, int]
    plain: Mapping[str, int]

    def of(self, route: Route) -> Mapping[str, int]:
        """Return the numbers of one route."""
        found: Mapping[str, int] = getattr(self, route.name.lower())
        return found


@dataclass(frozen=True, slots=True)
class Complaint:
    """Tests of one operator that one of layoutopt's routes does not pass, for one reason."""

    route: str
    operator: str
    reason: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conformance:
    """The figures of all tests.

    Attributes:
        operators: by name.
        complaints: what layoutopt does not pass.
        lost: tests among these that plain onnx-tf passes.
        measured: with which packages.
    """

    operators: Mapping[str, Operator]
    complaints: tuple[Complaint, ...]
    lost: tuple[str, ...]
    measured: Provenance

    @classmethod
    def of(cls, verdicts: Mapping[Route, Mapping[str, Verdict]]) -> Conformance:
        """Return what is known of all tests that every route was judged on."""
        names = [name for name in cases() if all(name in verdicts[route] for route in Route)]
        complaints, lost = list[Complaint](), dict[str, None]()
        for route in (Route.DIRECT, Route.ONNX_TF):
            found = verdicts[route]
            missed = [name for name in names if found[name].status is not Status.PASSED]
            lost |= dict.fromkeys(name for name in missed if verdicts[Route.PLAIN][name].status is Status.PASSED)
            for (operator, reason), group in _grouped(missed, partial(_complaint_key, found)):
                complaints.append(Complaint(route.value, operator, reason, tuple(group)))
        operators = {
            operator: Operator(
                **{route.name.lower(): Counter(verdicts[route][name].status.value for name in group) for route in Route}
            )
            for (operator,), group in _grouped(names, lambda name: (operator_of(name),))
        }
        return cls(operators, tuple(complaints), tuple(lost), Provenance.here())

    def totals(self, route: Route) -> Mapping[str, int]:
        """Return how many tests of all operators there are of each status."""
        return sum((Counter(each.of(route)) for each in self.operators.values()), Counter())

    @property
    def tests(self) -> int:
        """The number of tests."""
        return sum(self.totals(Route.DIRECT).values())


def _complaint_key(verdicts: Mapping[str, Verdict], name: str) -> tuple[str, str]:
    return operator_of(name), verdicts[name].reason


def _grouped(
    names: Iterable[str], key: Callable[[str], tuple[str, ...]]
) -> Iterable[tuple[tuple[str, ...], Sequence[str]]]:
    """Return names by what they have in common, in the order of that."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        found[key(name)].append(name)
    return sorted(found.items())


def operator_of(name: str) -> str:
    """Return the operator that a test is about."""
    found = cases()
    base = name.split("_expanded")[0]
    return str(found[base if base in found else name].model.graph.node[0].op_type)
