"""The processor that benchmarks run on."""

from __future__ import annotations

from pathlib import Path


def has_vnni() -> bool:
    """Return whether the processor adds products of bytes in one instruction, without saturation; False off Linux."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "vnni" in info.read_text()
