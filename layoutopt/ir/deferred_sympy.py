"""onnx_ir without SymPy, which takes more than half of the time and memory of importing it.

It needs SymPy for arithmetic on symbolic sizes alone; that comes when it is first done.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """A stand-in for a package; while others import it, what is taken from it is a function to be called later."""

    importing = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self.importing:
            return self._genuine(name)
        return lambda *arguments: self._genuine(name)(*arguments)

    def _genuine(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def import_onnx_ir() -> None:
    """Import onnx_ir; with SymPy where it is imported already, or where onnx_ir cannot do without."""
    if "onnx_ir" in sys.modules or "sympy" in sys.modules:
        return
    sympy = _Deferred("sympy")
    sys.modules["sympy"] = sympy
    try:
        importlib.import_module("onnx_ir")
    except Exception:  # another version, which does more with it
        for name in [name for name in sys.modules if name.partition(".")[0] == "onnx_ir"]:
            del sys.modules[name]
    finally:
        del sys.modules["sympy"]
        sympy.importing = False
    importlib.import_module("onnx_ir")
