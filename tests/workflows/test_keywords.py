"""Options are declared once, as fields of a dataclass, and the functions of the API take and document them all."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

import pytest

import layoutopt
from layoutopt import api
from layoutopt.workflows.benchmark import BenchmarkOptions
from layoutopt.workflows.calibrate import CalibrateOptions
from layoutopt.workflows.compare import CompareOptions
from layoutopt.workflows.convert import ConvertOptions
from layoutopt.workflows.keywords import takes
from layoutopt.workflows.optimize import OptimizeOptions
from layoutopt.workflows.options import LayoutOptions
from layoutopt.workflows.report import ReportOptions

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model

FUNCTIONS = [
    (api.optimize, OptimizeOptions),
    (api.report, ReportOptions),
    (api.explain, LayoutOptions),
    (api.benchmark, BenchmarkOptions),
    (api.compare, CompareOptions),
    (api.calibrate, CalibrateOptions),
    (api.convert, ConvertOptions),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """What all have.

    Attributes:
        loud: whether it is
            heard.
    """

    loud: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Base):
    """What one has.

    Attributes:
        size: of it.
    """

    size: int


@takes(Options)
def measure(model: Model, options: Options) -> tuple[object, Options]:
    """Measure.

    Args:
        model: what.
        options: how.

    Returns:
        Both.
    """
    return model, options


def test_fields_are_keywords() -> None:
    assert measure("m", size=2) == ("m", Options(size=2))
    assert measure(model="m", loud=True, size=3) == ("m", Options(size=3, loud=True))
    assert str(inspect.signature(measure)).startswith("(model: 'Model', *, size: 'int', loud: 'bool' = False) -> ")


def test_fields_are_told_of_where_the_options_were() -> None:
    assert measure.__doc__ == (
        "Measure.\n\nArgs:\n    model: what.\n    size: of it.\n    loud: whether it is\n        heard.\n\n"
        "Returns:\n    Both."
    )


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("m",), {"sise": 1}, "measure() got an unexpected keyword argument 'sise'; did you mean 'size'?"),
        (("m",), {"nothing": 1}, "measure() got an unexpected keyword argument 'nothing'"),
        (("m", 1), {}, "measure() too many positional arguments"),
        (("m",), {}, "measure() missing a required argument: 'size'"),
        ((), {"size": 1}, "measure() missing a required argument: 'model'"),
    ],
)
def test_what_is_wrong_with_a_call_is_named(
    arguments: tuple[object, ...], keywords: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError) as found:
        measure(*arguments, **keywords)  # type: ignore[arg-type]
    assert str(found.value).replace("keyword-only ", "") == message  # which Python says since 3.12


@pytest.mark.parametrize(("function", "options"), FUNCTIONS)
def test_the_api_has_all_options(function: object, options: type) -> None:
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    keywords = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    own = [each for each in parameters if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert [*own, *keywords] == list(parameters)
    fields = {field.name: field.default for field in dataclasses.fields(options)}
    assert {each.name: each.default for each in keywords} == fields
    for name in (*(each.name for each in own), *fields):
        assert f"\n    {name}: " in (function.__doc__ or "")


def test_a_wrong_keyword_is_found_before_any_work() -> None:
    with pytest.raises(TypeError, match="did you mean 'quantize'"):
        layoutopt.optimize("there is no such file", quantise="float16")  # type: ignore[call-arg]
