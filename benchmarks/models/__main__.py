"""``python -m benchmarks.models``: export one network, or all of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.models.export import export
from benchmarks.models.networks import NETWORKS
from layoutopt.ir.io import save
from layoutopt.options import Exporter
from layoutopt.outputs import make_directory


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description="Export a benchmark network.")
    parser.add_argument("name", nargs="?", choices=sorted(NETWORKS), help="the network")
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: NAME.onnx)")
    parser.add_argument("--all", type=Path, metavar="DIR", help="export every network to DIR/NAME.onnx")
    parser.add_argument("--exporter", type=Exporter, choices=list(Exporter), default=Exporter.LEGACY)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--small", action="store_true", help="the small variant, for tests")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    options = parser.parse_args()
    if (options.name is None) == (options.all is None):
        parser.error("give either a network or --all DIR")
    targets = (
        {name: options.all / f"{name}.onnx" for name in NETWORKS}
        if options.all
        else {options.name: options.output or Path(f"{options.name}.onnx")}
    )
    for name, path in targets.items():
        model = export(
            NETWORKS[name], exporter=options.exporter, opset=options.opset, small=options.small, seed=options.seed
        )
        make_directory(path.parent)
        save(model, path)
        print(f"{name}: {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
