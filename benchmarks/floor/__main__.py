"""``python -m benchmarks.floor``: convert networks written in Keras, and compare them with PyTorch's."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.outputs import make_directory


def main() -> None:
    """Parse the command line, convert, and print counts and errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks.floor import FLOORS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description="The networks, written in Keras.")
    parser.add_argument("names", nargs="*", choices=[*sorted(FLOORS), []], help="networks (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="keep the .tflite of the only network here")
    parser.add_argument("--all", type=Path, metavar="DIR", help="keep every .tflite as DIR/NAME.tflite")
    parser.add_argument("--small", action="store_true", help="the small variants, for tests")
    options = parser.parse_args()
    if options.output and len(options.names) != 1:
        parser.error("-o is for one network; give --all DIR for several")
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.names or FLOORS:
            path = options.output or (options.all or Path(scratch)) / f"{name}.tflite"
            make_directory(path.parent)
            print(f"{name}: {_converted(name, path, small=options.small)}", flush=True)


def _converted(name: str, path: Path, *, small: bool) -> str:
    """Convert a network, and return its counts and its error."""
    from benchmarks.floor import check, convert

    convert(name, path, small=small)
    counts, found = count_tflite(path), check(name, path, small=small)
    operators = ", ".join(f"{count} {operator}" for operator, count in counts.histogram.items())
    return (
        f"{counts.operators} operators, {counts.transposes} TRANSPOSE, {counts.pads} PAD; "
        f"relative error {found.relative_error:.1e}, MSE {found.mse:.1e}\n    {operators}"
    )


if __name__ == "__main__":
    main()
