"""Functions that take the fields of a dataclass as keywords: typed, documented and declared in that one place."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model

P = ParamSpec("P")
Options = TypeVar("Options")
Result = TypeVar("Result", covariant=True)


class OfModel(Protocol[P, Result]):
    """A function of a model and of options."""

    def __call__(self, model: Model, *args: P.args, **options: P.kwargs) -> Result:
        """Call the function; the options are keywords."""


class OfFile(Protocol[P, Result]):
    """A function of an ONNX file and of options."""

    def __call__(self, model: Path | str, *args: P.args, **options: P.kwargs) -> Result:
        """Call the function; the options are keywords."""


class OfModels(Protocol[P, Result]):
    """A function of several models and of options."""

    def __call__(self, models: Sequence[Path | str], *args: P.args, **options: P.kwargs) -> Result:
        """Call the function; the options are keywords."""


class OfModelAndFile(Protocol[P, Result]):
    """A function of a model, of a file and of options."""

    def __call__(self, model: Model, tflite: Path | str, *args: P.args, **options: P.kwargs) -> Result:
        """Call the function; the options are keywords."""


class OfNothing(Protocol[P, Result]):
    """A function of options alone."""

    def __call__(self, *args: P.args, **options: P.kwargs) -> Result:
        """Call the function; the options are keywords."""


class takes(Generic[P, Options]):  # noqa: N801, a decorator
    """Make a function whose last parameter is an options object one of keywords in its place.

    The keywords are the fields of the options, so that each is declared, typed and documented once: where the
    dataclass says it. Type checkers and editors see them all, as do `inspect.signature` and `help`.

    Args:
        options: a dataclass whose fields are keywords only, and documented under ``Attributes:``.
    """

    def __init__(self, options: Callable[P, Options]) -> None:
        self._options = options

    @overload  # a function of a model would do as one of several, but no function is both
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[[Model, Options], Result]
    ) -> OfModel[P, Result]: ...

    @overload  # a text is a sequence of texts, but no function means that
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[[Path | str, Options], Result]
    ) -> OfFile[P, Result]: ...

    @overload
    def __call__(self, function: Callable[[Sequence[Path | str], Options], Result]) -> OfModels[P, Result]: ...

    @overload
    def __call__(self, function: Callable[[Model, Path | str, Options], Result]) -> OfModelAndFile[P, Result]: ...

    @overload
    def __call__(self, function: Callable[[Options], Result]) -> OfNothing[P, Result]: ...

    def __call__(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """Return the function of keywords.

        Raises:
            TypeError: when that is called with a keyword that it does not know; the error names the nearest.
        """
        own = list(inspect.signature(function).parameters.values())[:-1]
        known = inspect.signature(self._options).parameters
        parameters = [*own, *(known[name] for name in _field_names(self._options))]
        signature = inspect.Signature(parameters, return_annotation=inspect.signature(function).return_annotation)

        @functools.wraps(function)
        def call(*arguments: Any, **given: Any) -> Result:
            for name in given:
                if name not in signature.parameters:
                    raise TypeError(_unknown(function.__name__, name, [*signature.parameters]))
            try:
                bound = signature.bind(*arguments, **given)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            first = [bound.arguments.pop(parameter.name) for parameter in own]
            return function(*first, self._options(**bound.arguments))  # type: ignore[call-arg]

        call.__signature__ = signature  # type: ignore[attr-defined]
        if function.__doc__:  # not under -OO
            call.__doc__ = _documented(inspect.cleandoc(function.__doc__), self._options)
        return call


def _field_names(options: Callable[..., object]) -> list[str]:
    """Return the names of the fields, those that the class itself declares before those of its bases."""
    assert isinstance(options, type)
    assert dataclasses.is_dataclass(options)
    ordered = [name for each in options.__mro__ for name in vars(each).get("__annotations__", {})]
    fields = {field.name for field in dataclasses.fields(options)}
    return [name for name in dict.fromkeys(ordered) if name in fields]


def _unknown(function: str, name: str, keywords: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, keywords, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{function}() got an unexpected keyword argument {name!r}{hint}"


def _documented(text: str, options: Callable[..., object]) -> str:
    """Return the docstring ``text`` with what the options' docstrings say of each field instead of ``options``."""
    assert isinstance(options, type)
    told: dict[str, list[str]] = {}
    for each in options.__mro__:
        for name, lines in _entries(inspect.cleandoc(each.__doc__ or ""), "Attributes:"):
            told.setdefault(name, lines)
    fields = "\n".join(line for name in _field_names(options) for line in told[name])
    (whole,) = ("\n".join(lines) for name, lines in _entries(text, "Args:") if name == "options")
    return text.replace(whole, fields)


def _entries(text: str, section: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each entry of a section of a docstring: its name and its lines."""
    lines = text.splitlines()
    if section not in lines:
        return
    inside = itertools.takewhile(lambda line: line.startswith("    "), lines[lines.index(section) + 1 :])
    entries: list[list[str]] = []
    for line in inside:
        if line.startswith("     "):
            entries[-1].append(line)
        else:
            entries.append([line])
    yield from ((entry[0].strip().partition(":")[0], entry) for entry in entries)
