"""The floor: the networks of ``benchmarks.models`` as one writes them in Keras, channels last, with the same weights.

What the default TFLite converter makes of them is what a converter from PyTorch can hope for.

::

    python -m benchmarks.floor mobilenet_v2 -o out/mobilenet_v2.tflite
    python -m benchmarks.floor --all out --small

Everything here is loaded when it is first used, since TensorFlow and PyTorch take long to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.floor.conversion import check, convert
    from benchmarks.floor.networks import FLOORS

_HOME = {
    "FLOORS": "benchmarks.floor.networks",
    "check": "benchmarks.floor.conversion",
    "convert": "benchmarks.floor.conversion",
}

__all__ = ["FLOORS", "check", "convert"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
