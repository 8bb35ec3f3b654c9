"""Files, modules and names of Python that pages mention exist."""

from __future__ import annotations

import importlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, spans
from tests.test_imports import ROOMS

FILE = re.compile(r"(?<![\w./-])(?:(?:layoutopt|passes|tests|benchmarks|docs|examples)/[\w./-]*\w|[\w/-]+\.py)\b")
"""A path in the repository, or the end of one."""
DOTTED = re.compile(r"(?<![\w./-])(?:layoutopt|benchmarks|docs|tests)(?:\.[A-Za-z_]\w*)+(?![\w/])")
"""The dotted name of a module, or of what is in one."""
IDENTIFIER = re.compile(r"(?<![\w./-])(?:[A-Za-z]\w*_\w+|[A-Z][a-z]+[A-Z]\w+)(?![\w./-])")
"""A name of more words than one."""

NO_CODE = {"layoutopt.nhwc", "layoutopt.order.NAME"}
"""The dialect, and the key of a record in a model."""
TO_BE_WRITTEN = {"passes/bypass_identities.py", "tests/passes/test_bypass_identities.py"}
"""The files of an example."""
EXTENDING = [
    page
    for page in PAGES
    if page.name in ("CONTRIBUTING.md", "adding-an-operator.md", "writing-a-pass.md") or page.parent.name == "notes"
]
"""The pages for those who change the code."""


def is_there(name: str) -> bool:
    """Whether a dotted name is a module of ours, or something in one."""
    parts = name.split(".")
    depth = 1
    while depth < len(parts) and _is_module(".".join(parts[: depth + 1])):
        depth += 1
    found: object = importlib.import_module(".".join(parts[:depth])) if depth < len(parts) else None
    for part in parts[depth:]:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # within a module that is no package
        return False


@cache
def tree() -> frozenset[str]:
    """The paths of all files with code, and of the directories that they are in."""
    files = [path.relative_to(ROOT) for room in (*ROOMS, "passes") for path in (ROOT / room).rglob("*.*")]
    return frozenset(path.as_posix() for file in files for path in (file, *file.parents)) | {"layoutopt/passes"}


@cache
def words() -> frozenset[str]:
    """All words in code, and the names of its files; not those in the tests of pages, such as this."""
    files = [ROOT / path for path in tree() if path.endswith((".py", ".toml"))]
    texts = [path.read_text() for path in (ROOT / "Makefile", *files) if path.parent != Path(__file__).parent]
    return frozenset(re.findall(r"\w+", "\n".join(texts))) | {path.stem for path in files}


def missing_files(text: str) -> set[str]:
    """The paths in a text that are none of the repository; NAME stands for any."""
    found = {name for name in FILE.findall(text) if "NAME" not in name and name not in tree()}
    return {name for name in found if not any(path.endswith(f"/{name}") for path in tree())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_exist(page: Path) -> None:
    named = set(DOTTED.findall("\n".join(spans(page)))) - NO_CODE
    assert not {name for name in named if not is_there(name)}


def test_modules_that_sources_name_exist() -> None:
    texts = [(ROOT / path).read_text() for path in tree() if path.endswith(".py")]
    named = {name for text in texts for span in re.findall(r"`([\w.]+)`", text) for name in DOTTED.findall(span)}
    assert len(named) > 30
    assert not {name for name in named - NO_CODE if not is_there(name)}


@pytest.mark.parametrize("page", EXTENDING, ids=lambda page: page.name)
def test_files_and_names_exist(page: Path) -> None:
    text = "\n".join(spans(page))
    assert missing_files(text) <= TO_BE_WRITTEN
    own = "\n".join((*(block.code for block in blocks(page)), *TO_BE_WRITTEN))
    assert not set(IDENTIFIER.findall(text)) - words() - set(re.findall(r"\w+", own))


def test_the_map_of_the_tree_names_what_is_there() -> None:
    drawn = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("```text\n")[2]
    lines = drawn.partition("```")[0].splitlines()
    rows = {line.split()[0].rstrip("/") for line in lines if not line.startswith(" ")}
    assert rows <= tree()
    parts = {path.parent.name for path in (ROOT / "layoutopt").glob("*/__init__.py") if not path.parent.is_symlink()}
    assert {Path(row).name for row in rows} >= parts


def test_what_is_not_there_is_found() -> None:
    assert all(is_there(name) for name in ("layoutopt.ir.io.load", "layoutopt.Io.KEEP", "docs.tools.generate"))
    assert not any(is_there(name) for name in ("layoutopt.ir.io.lode", "layoutopt.nothing", "benchmarks.x.y"))
    assert missing_files("layoutopt/ir layoutopt/i ir/io.py oi.py cli/NAME.py") == {"layoutopt/i", "oi.py"}
    assert IDENTIFIER.findall("a_b Ab AbCd --a_b x/a_b a_b.py") == ["a_b", "AbCd"]
