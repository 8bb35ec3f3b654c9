"""Writes all that is made in the README and docs: the figures of ``benchmarks/results``, pictures, the command line.

A page that is all figures, or made from the code, is written as a whole. In other pages, a region

    <!-- figures: NAME -->...<!-- end -->

holds what the script that has measured it makes of its results, on lines of its own or within a line, but not at the
start of one: Markdown takes a line that starts with a comment for HTML. Nothing is
measured here; ``--check`` writes nothing and fails where a file is not as it should be.

::

    python -m docs.tools.generate [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.conversion_cost.figures import ConversionCost
from benchmarks.zoo.rows import Zoo
from docs.tools import (
    backends,
    choices,
    cli,
    conformance,
    conversion_cost,
    drawings,
    dynamic,
    examples,
    int8,
    networks,
    objectives,
    operators,
    peers,
    picture,
    published,
    quantized,
    recurrences,
    rewrites,
    transpose_times,
    vela,
    winograd,
    zoo,
)

ROOT = Path(__file__).parents[2]
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/backends.md": backends.committed_page,
    "docs/cli.md": cli.page,
    "docs/conformance.md": conformance.committed_page,
    "docs/networks.md": networks.page,
    "docs/operators.md": operators.page,
    "docs/peers.md": peers.committed_page,
    "docs/figures/cut.svg": drawings.cut,
    "docs/figures/networks.svg": picture.draw,
    "docs/figures/pipeline.svg": drawings.pipeline,
    "docs/figures/transposes.svg": drawings.transposes,
    **({"docs/conversion-cost.md": conversion_cost.committed_page} if ConversionCost.PATH.exists() else {}),
    **({"docs/zoo.md": zoo.committed_page} if Zoo.PATH.exists() else {}),
}
"""Files that are written as a whole."""
REGIONS: tuple[Callable[[], Mapping[str, str]], ...] = (
    *(networks.regions, picture.regions, conformance.regions, transpose_times.regions),
    *(quantized.regions, dynamic.regions, choices.regions, examples.regions, rewrites.regions),
    winograd.regions,
    *(conversion_cost.regions, int8.regions, published.regions, objectives.regions, recurrences.regions, vela.regions),
)
"""The makers of what is put into other files, by the name of the region."""

_REGION = re.compile(r"<!-- figures: (?P<name>[\w-]+) -->(?P<text>.*?)<!-- end -->", re.DOTALL)


def main() -> None:
    """Write what is not as it should be, or tell so."""
    parser = argparse.ArgumentParser(prog="python -m docs.tools.generate", description="Figures in README and docs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not as it should be")
    options = parser.parse_args()
    found = dict(stale())
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)}: {'stale' if options.check else 'written'}")
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if found and options.check:
        sys.exit("Run: python -m docs.tools.generate")


def stale() -> Iterator[tuple[Path, str]]:
    """Yield the files that are not as they should be, and how they should be."""
    texts = {name: text for regions in REGIONS for name, text in regions().items()}
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]):
        old = path.read_text()
        new = filled(old, texts)
        if new != old:
            yield path, new
    for name, draw in PAGES.items():
        path, new = ROOT / name, draw()
        if not path.exists() or path.read_text() != new:
            yield path, new


def filled(text: str, regions: Mapping[str, str]) -> str:
    """Return a page with its regions as they should be.

    Raises:
        KeyError: nobody makes a region that the page has.
    """
    return _REGION.sub(lambda found: _region(found, regions[found["name"]]), text)


def _region(found: re.Match[str], text: str) -> str:
    """Return a region with other text, on lines of its own if it was so."""
    edge = "\n" if found["text"].startswith("\n") else ""
    return f"<!-- figures: {found['name']} -->{edge}{text}{edge}<!-- end -->"


if __name__ == "__main__":
    main()
