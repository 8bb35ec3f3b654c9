"""Words that the glossary has replaced stay away from the pages, the help texts, and the docstrings and comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT

INSTEAD = {
    r"behind(?!:)": "after",  # not the field of that name
    r"in front of": "before",
    r"dear(er|est)?": "costly, costliest",
    r"insists?(?!:)": "needs",  # not the field of that name
    r"chatter": "messages",
    r"sandwich(ed)?": "per-operator layout",
    r"hand-off": "conversion",
    r"prices?": "cost",
    r"anew": "again",
    r"what (more|a) (layout )?rules? would buy": "could save",
}
"""Odd or outdated words, as patterns, with what to write instead."""

BANNED = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)
GLOSSARY = DOCS / "glossary.md"  # says that the per-operator layout is also called a sandwich
READ = [page for page in PAGES if page != GLOSSARY]
SOURCES = sorted(path for name in ("layoutopt", "passes") for path in (ROOT / name).rglob("*.py"))


def prose_of(source: str) -> Iterator[str]:
    """Docstrings, comments, and other text in quotes with a space in it, such as help texts and messages."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def banned_in(*texts: str) -> set[str]:
    return {found[0].lower() for text in texts for found in BANNED.finditer(text)}


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_pages_use_the_words_of_the_glossary(page: Path) -> None:
    assert not banned_in(page.read_text())


@pytest.mark.parametrize("package", sorted({path.parent for path in SOURCES}), ids=lambda path: str(path.name))
def test_sources_use_the_words_of_the_glossary(package: Path) -> None:
    found = {path.name: banned_in(*prose_of(path.read_text())) for path in SOURCES if path.parent == package}
    assert not {name: words for name, words in found.items() if words}


@pytest.mark.parametrize("source", ["# behind it", '"""A sandwich."""', 'help = "TensorFlow\'s chatter"'])
def test_banned_words_are_found(source: str) -> None:
    assert banned_in(*prose_of(source))


def test_names_are_not_prose() -> None:
    assert not banned_in(*prose_of('behind = insert_behind("behind")'))


def test_docstrings_of_functions_open_with_a_verb() -> None:
    """None opens with a clause, such as *What ...* or *Whether ...*."""
    clause = re.compile(r"(What|Whether|How|Where|Who|Which)\b")
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node) or ""
                assert not clause.match(text), f"{path}:{node.lineno}: {text.partition(chr(10))[0]}"
