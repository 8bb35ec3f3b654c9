"""The page of conformance, and what other pages say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.conformance.figures import RESULTS, Conformance, Operator
from benchmarks.conformance.verdicts import Route, Status
from docs.tools.markdown import table

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
    """Return the page of the committed figures."""
    return page(records.load(Conformance, RESULTS))


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    figures = records.load(Conformance, RESULTS)
    ours, plain = figures.totals(Route.DIRECT), figures.totals(Route.PLAIN)
    wrong = sum(figures.totals(route).get(Status.WRONG.value, 0) for route in (Route.DIRECT, Route.ONNX_TF))
    return {
        "conformance-summary": f"{ours[Status.PASSED.value]} of ONNX's {figures.tests} backend node tests pass through "
        f"the whole path and {f'{wrong} give' if wrong else 'none gives'} a wrong result; plain onnx-tf passes "
        f"{plain[Status.PASSED.value]}"
    }
