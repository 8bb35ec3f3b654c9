"""``python -m benchmarks.conformance``: judges, and keeps the figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import records
from benchmarks.conformance.cases import cases
from benchmarks.conformance.figures import RESULTS, Conformance
from benchmarks.conformance.judge import judge_all
from benchmarks.conformance.verdicts import Route, load
from layoutopt.outputs import make_directory


def main() -> None:
    """Run the tests that have no verdict yet, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conformance", description="ONNX's backend node tests through the whole path."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts of tests' names (default: all tests)")
    parser.add_argument("--verdicts", type=Path, default=Path("build/conformance"), help="where verdicts stay")
    parser.add_argument("--again", action="store_true", help="judge tests again that have a verdict")
    parser.add_argument(
        "--route",
        action="append",
        choices=[route.value for route in Route],
        help="judge this way alone; may be repeated (default: all)",
    )
    options = parser.parse_args()
    make_directory(options.verdicts)
    names = [name for name in cases() if not options.parts or any(part in name for part in options.parts)]
    for route in map(Route, options.route or Route):
        judge_all(names, route, options.verdicts, again=options.again)
    verdicts = {route: load(options.verdicts, route) for route in Route}
    if missing := {route.value: count for route in Route if (count := len(cases().keys() - verdicts[route].keys()))}:
        listed = ", ".join(f"{name} {count}" for name, count in missing.items())
        print(f"not kept, since tests have no verdict yet: {listed}")
    else:
        records.save(Conformance.of(verdicts), RESULTS)


if __name__ == "__main__":
    main()
