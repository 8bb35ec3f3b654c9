"""Words that the glossary has replaced stay away from the pages, the help texts, and the docstrings and comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import pytest

from layoutopt.layout.rules.table import RULES
from layoutopt.layout.rules.views import LINK
from tests.docs.pages import DOCS, PAGES, ROOT

INSTEAD = {
    r"behind": "after",
    r"in front of": "before",
    r"dear(er|est)?": "costly, costliest",
    r"insists?": "needs",
    r"chatter": "messages",
    r"sandwich(ed)?": "per-operator layout",
    r"hand-?offs?": "conversion",
    r"lest": "so that ... not",
    r"shall": "should, must",
    r"whoever": "those who",
    r"anybody": "anyone",
    r"prices?": "cost",
    r"anew": "again",
    r"what (more|a) (layout )?rules? would buy": "could save",
}
"""Odd or outdated words, as patterns, with what to write instead."""

BANNED = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)
GLOSSARY = DOCS / "glossary.md"  # says that the per-operator layout is also called a sandwich
READ = [page for page in PAGES if page != GLOSSARY]
SOURCES = sorted(
    path
    for name in ("layoutopt", "passes", "benchmarks", "docs")
    for path in (ROOT / name).rglob("*.py")
    if not path.is_relative_to(ROOT / "layoutopt" / "passes")  # a link to passes/
)


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


CLAUSE = re.compile(r"(What|Whether|How|Where|When|Who|Which|Why)\b")
NO_VERB = re.compile(
    rf"{CLAUSE.pattern}|(A|An|The|All|Both|Each|Every|No|One|Two|As|At|By|For|From|In|Of|On|To|With|Without)\b"
)


def conditions() -> set[tuple[Path, int]]:
    """The functions that rules of the table are made of, by file and line: what they say is shown to users as it is."""
    rules = [*RULES.values(), LINK]
    rules += [rule.before for rule in rules if rule.before is not None]
    parts = [each for rule in rules for each in (rule.propagate, *rule.remaps, rule.internal_cost) if each is not None]
    codes = [part.__code__ for part in parts if isinstance(part, FunctionType)]
    return {(Path(code.co_filename).resolve(), code.co_firstlineno) for code in codes}


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, int, str]]:
    """What has a docstring, its first line with decorators, and the docstring; constants and fields have one below."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(
                (each.lineno for each in getattr(node, "decorator_list", ())), default=getattr(node, "lineno", 1)
            )
            yield node, first, ast.get_docstring(node) or ""
        body = getattr(node, "body", None)
        for above, below in pairwise(body if isinstance(body, list) else []):
            if isinstance(above, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
                text = getattr(below.value, "value", None)
                yield above, above.lineno, text if isinstance(text, str) else ""


def misworded(path: Path, source: str, shown: Collection[tuple[Path, int]] = ()) -> Iterator[str]:
    """Docstrings that open with a clause, and those of functions that do not open with a verb.

    A property is named by a noun, and so are modules, classes, constants and fields.
    """
    for node, line, text in docstrings(ast.parse(source)):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        noun = not function or any("property" in ast.unparse(each) for each in getattr(node, "decorator_list", ()))
        if (path.resolve(), line) not in shown and (CLAUSE if noun else NO_VERB).match(text):
            yield f"{path}:{line}: {text.partition(chr(10))[0]}"


def test_docstrings_name_or_command() -> None:
    shown = conditions()
    assert len(shown) > 20
    assert not [each for path in SOURCES for each in misworded(path, path.read_text(), shown)]


@pytest.mark.parametrize(
    "source",
    [
        '"""What belongs here."""',
        'class A:\n    """How it is done."""',
        'class A:\n    x: int\n    """Whether it is."""',
        'X = 1\n"""Where it is."""',
        'def f():\n    """The number."""',
        '@property\ndef f(self):\n    """Why it is so."""',
    ],
)
def test_misworded_docstrings_are_found(source: str) -> None:
    assert list(misworded(Path("a.py"), source))
    assert not list(misworded(Path("a.py"), '"""Numbers."""\n@property\ndef f(self):\n    """The number."""'))
