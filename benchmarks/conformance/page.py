"""The page of conformance, and what other pages say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.conformance.figures import RESULTS, Conformance, Operator
from benchmarks.conformance.verdicts import Route, Status
from benchmarks.markdown import table

_PAGE = """# Conformance

Made by `python -m benchmarks.conformance` and `python -m benchmarks.figures`. ONNX's own backend node tests,
{tests} of them in onnx {onnx}, each through the whole path: optimized, converted, and run in LiteRT on
the inputs of the test, whose outputs, tolerances and element types are ONNX's (but 2**-22 of the largest element is
always allowed). *direct* is layoutopt's own way to the .tflite, *onnx-tf* the one through TensorFlow {tensorflow}.
Plain onnx-tf {onnx_tf} gets each test folded by onnxsim, and once more as it is where that fails; without TensorFlow
operators in the .tflite.

{totals}

- *passed*: values, shapes and element types are as expected.
- *unsupported*: an error that names the node and says why.
- *failed*: any other error.
- *wrong*: other values than expected, without an error.

Tests that plain onnx-tf passes and layoutopt does not: {lost}.

## By operator

Tests of an operator's own function body (`_expanded`) count for that operator. Columns without a route are of *direct*.

{operators}

## Not supported

{reasons}

{measured}.
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
            ("operator", "route", "why", "tests"),
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
        f"the whole path and {f'{wrong} come' if wrong else 'none comes'} out wrong, where plain onnx-tf passes "
        f"{plain[Status.PASSED.value]}"
    }
