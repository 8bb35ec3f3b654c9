"""layoutopt with Winograd's algorithms."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers.converters.ours import convert

if __name__ == "__main__":
    convert(Path(sys.argv[2]), Path(sys.argv[3]), winograd=True)
