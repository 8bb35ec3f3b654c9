"""``python -m benchmarks.peers``: converts, times, and keeps the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks import records
from benchmarks.models import NETWORKS
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.conversion import convert_all
from benchmarks.peers.figures import Summary, lacking, networks, tell
from benchmarks.peers.timing import time_all
from layoutopt.results.provenance import Provenance


def main() -> None:
    """Convert and time what was not yet, tell how ours compares, and keep the figures if they are of all converters."""
    options = _options()
    root = options.results.resolve()
    names, results = options.names or list(NETWORKS), root / "results"
    if not (options.time_only or options.keep):
        for peer in map(PEERS.__getitem__, options.peer or PEERS):
            _convert(peer, names, root, options)
    if not (options.convert_only or options.keep):
        time_all(names, results, again=options.again or options.time_only)
    found, before = networks(results, NETWORKS), Summary.committed().networks
    tell(found)
    if missing := lacking(found, before):
        print(f"not kept, since converters are missing that were measured before: {', '.join(missing)}")
        return
    versions = {name: peer.versions() for name, peer in PEERS.items()}
    records.save(Summary(Provenance.here(), versions, found), Summary.PATH)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="Other converters beside layoutopt."
    )
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME", help="networks (default: all)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="a converter (default: all); may be repeated")
    parser.add_argument("--results", type=Path, default=Path("build/peers"), help="where environments and models stay")
    parser.add_argument("--again", action="store_true", help="convert and time what was done before, too")
    parser.add_argument("--python3.12", dest="python312", type=Path, help="where onnx2tf 2 gets its Python from")
    stages = parser.add_mutually_exclusive_group()
    stages.add_argument("--convert-only", action="store_true", help="time nothing")
    stages.add_argument("--time-only", action="store_true", help="convert nothing, time all that was converted again")
    stages.add_argument("--keep", action="store_true", help="neither: keep the figures of what was converted")
    return parser.parse_args()


def _convert(peer: Peer, names: Iterable[str], root: Path, options: argparse.Namespace) -> None:
    pythons = {"3.12": options.python312} if options.python312 else {}
    python = peer.interpreter(root / "venv", pythons)
    if python is None:
        hint = f"Give one with --python{peer.python}." if peer.python == "3.12" else ""
        print(f"{peer.name} is left out: there is no python{peer.python} on the path. {hint}", file=sys.stderr)
        return
    convert_all(peer, python, names, root / "results", again=options.again)


if __name__ == "__main__":
    main()
