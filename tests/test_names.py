"""A class has a name of its own, and what it is told to be, a stranger understands."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_imports import modules

VERB = {"ies": "y", "sses": "ss", "ches": "ch", "shes": "sh"}
"""Endings of verbs in the third person, and what they are without it; of others, only an s goes."""


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """The classes of a module."""
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))


def twice(sources: Mapping[Path, Iterable[str]]) -> set[str]:
    """The public names that several modules define."""
    found = Counter(name for names in sources.values() for name in set(names) if not name.startswith("_"))
    return {name for name, count in found.items() if count > 1}


def imperatives() -> set[str]:
    """The words that docstrings of functions begin with, which are imperatives: ruff sees to that."""
    trees = (ast.parse(path.read_text()) for path in modules())
    functions = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {first_word(node) for node in functions}


def first_word(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "-").split()[0].lower()


def verb_of(word: str) -> str:
    """The imperative of which ``word`` may be the third person."""
    return next((word.removesuffix(end) + verb for end, verb in VERB.items() if word.endswith(end)), word[:-1])


def test_public_classes_have_names_of_their_own() -> None:
    assert not twice({path: [each.name for each in classes(path)] for path in modules()})


NOUNS = {"facts", "figures", "names", "operations", "places", "ports", "ranges", "results", "sets", "times", "values"}
"""Words that are no verbs, or nouns as well: of a class, they are the latter."""


def test_docstrings_of_classes_do_not_begin_with_a_finite_verb() -> None:
    verbs = imperatives()
    assert verbs >= {"return", "record", "apply"}
    wrong = [
        f"{path.name}: {each.name}: {word}"
        for path in modules()
        for each in classes(path)
        if (word := first_word(each)).endswith("s") and word not in NOUNS and verb_of(word) in verbs
    ]
    assert not wrong


def test_names_that_occur_twice_are_found() -> None:
    assert twice({Path("a.py"): ["A", "B", "_C", "B"], Path("b.py"): ["A", "_C"]}) == {"A"}


@pytest.mark.parametrize(("word", "verb"), [("holds", "hold"), ("applies", "apply"), ("passes", "pass")])
def test_third_persons_are_known(word: str, verb: str) -> None:
    assert verb_of(word) == verb
