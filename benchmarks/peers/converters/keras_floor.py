"""The same network written in Keras with the same weights: no converter had to choose a layout."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.floor import convert

if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[3]), small=False)
