"""What the tests see of a Markdown page: its code blocks, its links and anchors, and what it says in code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
PROGRAMS = ("layoutopt", "make", "pip", "python")
"""What a line of a shell block starts with."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code.

    Attributes:
        line: of its first line of code in the page, from 1.
        language: what the fence says; what the code looks like where it is indented only.
        code: the text.
    """

    line: int
    language: str
    code: str


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of code, in order."""
    for token in _tokens(page):
        if token.type == "fence":
            assert token.map is not None
            yield Block(token.map[0] + 2, token.info, token.content)
        elif token.type == "code_block":
            assert token.map is not None
            yield Block(token.map[0] + 1, looks_like(token.content), token.content)


def looks_like(code: str) -> str:
    """The language of code that does not say: bash, python or text."""
    if code.split(maxsplit=1)[0] in (*PROGRAMS, "$"):
        return "bash"
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"


def links(page: Path) -> Iterator[str]:
    """Targets of all links and pictures, as written."""
    for token in _inline(page):
        target = token.attrs.get("href", token.attrs.get("src"))
        if target is not None:
            yield str(target)
    for token in (*_tokens(page), *_inline(page)):
        if token.type in ("html_block", "html_inline"):
            yield from re.findall(r'\s(?:href|src|srcset)="([^"]+)"', token.content)


def anchors(page: Path) -> set[str]:
    """The names that headings have in links, as code-hosting sites and MyST make them."""
    tokens = _tokens(page)
    titles = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(each.content for each in title.children or ()) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def spans(page: Path) -> Iterator[str]:
    """Code within text, such as ``--io keep``."""
    return (token.content for token in _inline(page) if token.type == "code_inline")


def first_cells(page: Path) -> Iterator[str]:
    """The first cell of each row of each table."""
    tokens = _tokens(page)
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            yield tokens[at + 2].content


def _tokens(page: Path) -> list[Token]:
    return _MARKDOWN.parse(page.read_text())


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()
