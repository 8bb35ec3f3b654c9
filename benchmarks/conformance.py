"""The page of conformance: ONNX's own backend node tests through the whole path, beside plain onnx-tf.

Each test is a model with inputs and the outputs to expect. It is optimized, converted by the direct backend or through
onnx-tf, and run in LiteRT; plain onnx-tf gets it folded, as the baseline does, and as it is where that fails. Verdicts
stay in a directory, so that a run goes on where the last one ended. What is known of the tests that all were judged on
goes to ``benchmarks/results/conformance.json``, from which `benchmarks.figures` makes the page.

::

    python -m benchmarks.conformance [--verdicts build/conformance] [--again] [--route direct|onnx-tf|plain] [PART ...]

A PART is a part of a test's name; without any, all tests are run. ``--again`` judges tests again that have a verdict;
``--route``, which may be repeated, leaves out the other ways to a .tflite.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import functools
import json
import multiprocessing
import os
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from benchmarks import records
from benchmarks.markdown import table
from layoutopt.backend.conversion import Conversion
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.runtime import run
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.errors import LayoutoptError, UnsupportedOperatorError
from layoutopt.forms import run_natural
from layoutopt.ir import io as modelio
from layoutopt.outputs import make_directory, replacing
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants
from layoutopt.pipeline.manager import PassManager
from layoutopt.report.results import Provenance

RESULTS = records.committed("conformance")

Array = npt.NDArray[np.generic]


class Route(enum.Enum):
    """The way that a test takes to a .tflite."""

    DIRECT = "direct"
    """Optimized, and converted by layoutopt itself."""
    ONNX_TF = "onnx-tf"
    """Optimized, and converted through onnx-tf and TensorFlow."""
    PLAIN = "plain"
    """Plain onnx-tf, without layoutopt."""


class Status(enum.Enum):
    """What became of a test."""

    PASSED = "passed"
    """The outputs are as expected, in value and type."""
    UNSUPPORTED = "unsupported"
    """An error that names the node and says why."""
    FAILED = "failed"
    """Any other error."""
    WRONG = "wrong"
    """Other outputs than expected, without an error."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one test.

    Attributes:
        status: what became of it.
        reason: the first lines of the error, or what is wrong with the outputs.
    """

    status: Status
    reason: str = ""


def main() -> None:
    """Runs the tests that have no verdict yet, and keeps the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conformance", description="ONNX's backend node tests through the whole path."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts of tests' names (default: all tests)")
    parser.add_argument("--verdicts", type=Path, default=Path("build/conformance"), help="where verdicts stay")
    parser.add_argument("--again", action="store_true", help="judge tests anew that have a verdict")
    parser.add_argument(
        "--route",
        action="append",
        choices=[route.value for route in Route],
        help="judge this way alone; may be repeated (default: all)",
    )
    options = parser.parse_args()
    make_directory(options.verdicts)
    names = [name for name in cases() if not options.parts or any(part in name for part in options.parts)]
    for route in map(Route, options.route or Route):
        _judge_all(names, route, options.verdicts, again=options.again)
    records.save(Conformance.of({route: load(options.verdicts, route) for route in Route}), RESULTS)


@dataclass(frozen=True, slots=True)
class Case:
    """One of ONNX's node tests.

    Attributes:
        model: mostly of one node.
        data: what the model takes and what it must give, by name; mostly once.
        rtol: relative tolerance.
        atol: absolute tolerance.
    """

    model: onnx.ModelProto
    data: tuple[tuple[Mapping[str, Array], Mapping[str, Array]], ...]
    rtol: float
    atol: float

    @staticmethod
    def of(test: TestCase) -> Case:
        """What ONNX's own runner would make of it."""
        assert test.model is not None
        assert test.data_sets is not None
        graph = test.model.graph
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
        data = tuple((_named(inputs, given), _named(graph.output, wanted)) for given, wanted in test.data_sets)
        return Case(test.model, data, test.rtol, test.atol)


def _named(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[Any]) -> Mapping[str, Array]:
    """By name; tests on types that NumPy lacks have their tensors as in a file."""
    unpacked = (onnx.numpy_helper.to_array(array) if isinstance(array, onnx.TensorProto) else array for array in arrays)
    return {value.name: array for value, array in zip(values, unpacked, strict=False)}


@functools.cache
def cases() -> Mapping[str, Case]:
    """ONNX's node tests by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's about the overflows that some tests are about
        return {test.name: Case.of(test) for test in load_model_tests(kind="node")}


# --- judging ---------------------------------------------------------------------------------------------------------


def _judge_all(names: Sequence[str], route: Route, results: Path, *, again: bool) -> None:
    """Judges tests in a process of their own, since LiteRT may take its process with it."""
    verdicts = load(results, route)
    todo = [name for name in names if again or name not in verdicts]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(_pool())
        for position, name in enumerate(todo, 1):
            try:
                verdicts[name] = pool.submit(judge, name, route).result()
            except BrokenProcessPool:
                verdicts[name] = Verdict(Status.FAILED, "LiteRT died")
                pool = stack.enter_context(_pool())
            found = verdicts[name]
            print(f"{position}/{len(todo)} {route.value} {name}: {found.status.value} {found.reason}"[:200], flush=True)
            if position % 50 == 0 or position == len(todo):
                _save(verdicts, results, route)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare)


_kept = contextlib.ExitStack()


def _prepare() -> None:
    """Keeps the child of the hand-off alive as long as this process."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # ONNX Runtime and LiteRT say on stderr what is judged here
    _kept.enter_context(kept_alive())


def judge(name: str, route: Route) -> Verdict:
    """Runs one test by one route."""
    with tempfile.TemporaryDirectory(prefix="layoutopt-") as scratch:
        found = _verdict(cases()[name], route, Path(scratch), optimized=True)
        if route is not Route.PLAIN or found.status is Status.PASSED:
            return found
        bare = _verdict(cases()[name], route, Path(scratch), optimized=False)
        return bare if bare.status is Status.PASSED else found


def _verdict(case: Case, route: Route, scratch: Path, *, optimized: bool) -> Verdict:
    try:
        for given, expected in case.data:
            outputs = _run(case.model, given, route, scratch / "model.tflite", optimized=optimized)
            for output, wanted in expected.items():
                if complaint := _complaint(outputs[output], wanted, case.rtol, case.atol):
                    return Verdict(Status.WRONG, f"{output}: {complaint}")
    except UnsupportedOperatorError as error:
        return Verdict(Status.UNSUPPORTED, " ".join(error.message.split()))
    except LayoutoptError as error:
        return Verdict(Status.FAILED, f"{type(error).__name__}: {' '.join(error.message.split())}"[:1000])
    except Exception as error:
        return Verdict(Status.FAILED, f"not caught: {type(error).__name__}: {' '.join(str(error).split())}"[:1000])
    return Verdict(Status.PASSED)


def _run(
    proto: onnx.ModelProto, given: Mapping[str, Array], route: Route, tflite: Path, *, optimized: bool
) -> Mapping[str, Array]:
    """The outputs of the .tflite that the model becomes."""
    static = with_shapes(proto, given)
    if route is Route.PLAIN and not optimized:
        onnx.save(static, tflite.with_suffix(".onnx"))
        return run_natural(tflite, _through_onnx_tf(tflite, Handlers.PLAIN), given, {}, runner=run)
    passes = (FoldConstants(),) if route is Route.PLAIN else DEFAULT_PIPELINE
    result = PassManager(passes).run(modelio.parse(static.SerializeToString(), "the test")).model
    modelio.check_full(result)
    if route is Route.DIRECT:
        conversion = convert_directly(result, tflite)
    else:
        modelio.save(result, tflite.with_suffix(".onnx"))
        conversion = _through_onnx_tf(tflite, Handlers.PLAIN if route is Route.PLAIN else Handlers.LAYOUTOPT)
    return run_natural(tflite, conversion, given, modelio.recorded_orders(result), runner=run)


def _through_onnx_tf(tflite: Path, handlers: Handlers) -> Conversion:
    return convert_model(tflite.with_suffix(".onnx"), tflite=tflite, handlers=handlers)


def with_shapes(proto: onnx.ModelProto, given: Mapping[str, Array]) -> onnx.ModelProto:
    """The model with the shapes of these inputs."""
    static = onnx.ModelProto()
    static.CopyFrom(proto)
    for value in static.graph.input:
        if isinstance(array := given.get(value.name), np.ndarray) and value.type.HasField("tensor_type"):
            del value.type.tensor_type.shape.dim[:]
            value.type.tensor_type.shape.dim.extend(
                onnx.TensorShapeProto.Dimension(dim_value=size) for size in array.shape
            )
    return static


_ROUNDING = 2.0**-22
"""What float32 may lose beside the largest element of an output: tests of DFT expect the noise of their own float32."""


def _complaint(found: Array, wanted: object, rtol: float, atol: float) -> str:
    """What is wrong with an output; nothing where it is as expected."""
    if not isinstance(wanted, (np.ndarray, np.generic)):
        return f"a {type(wanted).__name__} is expected"
    wanted = np.asarray(wanted)
    if found.shape != wanted.shape:
        return f"shape {found.shape}, not {wanted.shape}"
    if found.dtype != wanted.dtype:
        return f"{found.dtype}, not {wanted.dtype}"
    if wanted.dtype.kind in "biuSUO":
        wrong = found != wanted
    else:
        wide, other = wanted.astype(np.float64), found.astype(np.float64)
        finite = np.abs(wide[np.isfinite(wide)])
        noise = _ROUNDING * float(finite.max(initial=0.0))
        wrong = ~np.isclose(other, wide, rtol=rtol, atol=max(atol, noise), equal_nan=True)
    if not wrong.any():
        return ""
    return f"{np.count_nonzero(wrong)} of {wrong.size} elements, the first {found[wrong][0]}, not {wanted[wrong][0]}"


# --- verdicts on disk ------------------------------------------------------------------------------------------------


def load(results: Path, route: Route) -> dict[str, Verdict]:
    """The verdicts so far."""
    path = _path(results, route)
    if not path.exists():
        return {}
    return {name: Verdict(Status(status), reason) for name, (status, reason) in json.loads(path.read_text()).items()}


def _save(verdicts: Mapping[str, Verdict], results: Path, route: Route) -> None:
    found = {name: (verdict.status.value, verdict.reason) for name, verdict in sorted(verdicts.items())}
    with replacing(_path(results, route)) as beside:
        beside.write_text(json.dumps(found, indent=0) + "\n")


def _path(results: Path, route: Route) -> Path:
    return results / f"{route.value}.json"


# --- figures ---------------------------------------------------------------------------------------------------------


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
    """What is known of the tests.

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
        """How many there are."""
        return sum(self.totals(Route.DIRECT).values())


def _complaint_key(verdicts: Mapping[str, Verdict], name: str) -> tuple[str, str]:
    return operator_of(name), verdicts[name].reason


def _grouped(
    names: Iterable[str], key: Callable[[str], tuple[str, ...]]
) -> Iterable[tuple[tuple[str, ...], Sequence[str]]]:
    """Names by what they have in common, in the order of that."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        found[key(name)].append(name)
    return sorted(found.items())


def operator_of(name: str) -> str:
    """The operator that a test is about."""
    found = cases()
    base = name.split("_expanded")[0]
    return str(found[base if base in found else name].model.graph.node[0].op_type)


_PAGE = """# Conformance

ONNX comes with tests of each of its operators, {tests} in onnx {onnx}. Each one goes through the whole path: it is
optimized, converted, and run in LiteRT on the inputs of the test. Expected outputs, tolerances and element types are
those of ONNX (an error of 2**-22 of the largest element is always allowed). *direct* is layoutopt's own backend,
*onnx-tf* the one through TensorFlow {tensorflow}. Plain onnx-tf {onnx_tf} gets each test simplified by onnxsim, and as
it is if that fails. No TensorFlow operators are allowed in the .tflite.

{totals}

- *passed*: values, shapes and element types are as expected.
- *unsupported*: an error that names the node and the reason.
- *failed*: any other error.
- *wrong*: other values than expected, without an error.

Tests that plain onnx-tf passes and layoutopt does not: {lost}.

## By operator

Tests of the function body of an operator (`_expanded`) count for that operator. Columns without a backend are for
*direct*.

{operators}

## Not supported

{reasons}

Measured by `python -m benchmarks.conformance`: {measured}.
"""
_OPERATORS = (
    *("operator", "tests", *(status.value for status in Status)),
    *("onnx-tf passes", "plain onnx-tf passes"),
)


def page(figures: Conformance) -> str:
    """Return the page."""
    packages = figures.measured.versions
    totals = [figures.totals(route) for route in Route]
    return _PAGE.format(
        tests=figures.tests,
        onnx=packages["onnx"],
        onnx_tf=packages["onnx-tf"],
        tensorflow=packages.get("tensorflow-cpu") or packages["tensorflow"],
        totals=table(
            ("", "layoutopt, direct", "layoutopt, onnx-tf", "plain onnx-tf"),
            ((status.value, *(str(each.get(status.value, 0)) for each in totals)) for status in Status),
        ),
        lost=", ".join(f"`{name}`" for name in figures.lost) or "none",
        operators=table(_OPERATORS, (_row(name, operator) for name, operator in figures.operators.items())),
        reasons=table(
            ("operator", "backend", "why", "tests"),
            (
                (
                    *(each.operator, each.route, each.reason.replace("|", "\\|")),
                    " ".join(f"`{name}`" for name in each.tests),
                )
                for each in figures.complaints
            ),
        ),
        measured=figures.measured,
    )


def _row(name: str, operator: Operator) -> Sequence[str]:
    counts = (str(operator.direct.get(status.value, "")) for status in Status)
    passed = (str(operator.of(route).get(Status.PASSED.value, 0)) for route in (Route.ONNX_TF, Route.PLAIN))
    return name, str(sum(operator.direct.values())), *counts, *passed


def committed_page() -> str:
    """The page of the committed figures."""
    return page(records.load(Conformance, RESULTS))


def regions() -> Mapping[str, str]:
    """What other pages say of it."""
    figures = records.load(Conformance, RESULTS)
    ours, plain = figures.totals(Route.DIRECT), figures.totals(Route.PLAIN)
    wrong = sum(figures.totals(route).get(Status.WRONG.value, 0) for route in (Route.DIRECT, Route.ONNX_TF))
    return {
        "conformance-summary": f"{ours[Status.PASSED.value]} of ONNX's {figures.tests} backend node tests pass through "
        f"the whole path and {f'{wrong} give' if wrong else 'none gives'} a wrong result; plain onnx-tf passes "
        f"{plain[Status.PASSED.value]}"
    }


if __name__ == "__main__":
    main()
