"""Measures the table of times that comes with layoutopt: ``layoutopt/layout/costs/times.json``.

::

    python -m benchmarks.operator_times [--quick] [--output TIMES.json]

It is what `layoutopt calibrate` measures for a single machine, on one thread. All operators are timed in one
interleaved run; the machine should do nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from layoutopt.layout.costs import calibration
from layoutopt.layout.costs.calibration import FULL, QUICK, Calibration, Machine
from layoutopt.workflows.measuring import measure_times

TIMES = Path(calibration.__file__).with_name("times.json")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a coarse table")
    parser.add_argument("--output", type=Path, default=TIMES)
    options = parser.parse_args()
    times = measure_times(QUICK if options.quick else FULL, progress=lambda done, total: print(done, total, end="\r"))
    options.output.write_text(_text(Calibration(Machine.here(1), times)))


def _text(measured: Calibration) -> str:
    """Return a calibration as JSON with four digits of each number, and lists of numbers on one line."""
    text = json.dumps(_rounded(measured.as_json()), indent=1)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return float(f"{data:.4g}")
    if isinstance(data, list | tuple):
        return [_rounded(each) for each in data]
    return {key: _rounded(each) for key, each in data.items()} if isinstance(data, dict) else data


if __name__ == "__main__":
    main()
