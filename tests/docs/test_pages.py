"""What the pages say of files, options and code: links lead somewhere, and options exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from docs.tools import cli
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, first_cells, links, spans

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
EVERYWHERE = {"--install-completion", "--help", "--version", "--no-deps"}
"""Options that every command has, our root command, and pip."""


COMMANDS = cli.commands()
PEERS = {option for cell in first_cells(DOCS / "coming-from.md") for option in OPTION.findall(cell)}


def options_of(*commands: str) -> set[str]:
    """The options of some of our commands."""
    parameters = [each for name in commands for each in COMMANDS[name].params]
    return EVERYWHERE.union(*([*each.opts, *each.secondary_opts] for each in parameters))


def known_options(code: str) -> set[str]:
    """The options that there are where a page says ``code``."""
    match code.split():
        case ["layoutopt", command, *_] if command in COMMANDS:
            return options_of(command)
        case [command, *_] if command in COMMANDS:
            return options_of(command)
        case ["python", "-m", module, *_]:
            found = importlib.util.find_spec(module)
            assert found is not None, f"there is no {module}"
            assert found.origin is not None
            files = (
                [Path(found.origin)] if not found.submodule_search_locations else Path(found.origin).parent.glob("*.py")
            )
            return {option for file in files for option in OPTION.findall(file.read_text())}
        case _:
            return options_of(*COMMANDS) | PEERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_exist(page: Path) -> None:
    for code in spans(page):
        unknown = set(OPTION.findall(code)) - known_options(code)
        assert not unknown, f"`{code}`"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize(
    "code", ["--magic", "optimize --top 3", "layoutopt count --io keep", "python -m benchmarks.zoo --x"]
)
def test_unknown_options_are_found(code: str) -> None:
    assert not set(OPTION.findall(code)) <= known_options(code)


def test_anchors_are_those_of_headings() -> None:
    assert "what-a-layout-rule-could-save" in anchors(DOCS / "explain.md")
    assert "layoutopt-optimize" in anchors(DOCS / "cli.md")
