"""``python -m benchmarks.peers``: converts, times, and writes the page."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.models import NETWORKS
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.conversion import convert_all


def main() -> None:
    """Converts what was not converted yet, times all of it, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Other converters beside layoutopt.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME", help="networks (default: all)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="a converter (default: all); may be repeated")
    parser.add_argument("--results", type=Path, default=Path("build/peers"), help="where models and figures stay")
    parser.add_argument("--again", action="store_true", help="convert what was converted before, too")
    parser.add_argument("--python3.12", dest="python312", type=Path, help="where onnx2tf 2 gets its Python from")
    options = parser.parse_args()
    root = options.results.resolve()
    pythons = {"3.12": options.python312} if options.python312 else {}
    for name in options.peer or PEERS:
        peer = PEERS[name]
        python = peer.interpreter(root / "venv", pythons)
        if python is None:
            print(f"{name}: needs Python {peer.python}, which is not on the path: left out", flush=True)
            continue
        convert_all(peer, python, options.names or NETWORKS, root / "results", again=options.again)


if __name__ == "__main__":
    main()
