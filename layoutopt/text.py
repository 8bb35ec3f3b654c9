"""Text of a model as it may be shown."""

from __future__ import annotations

import unicodedata

_TRAITOROUS = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn text around or do not show."""


def printable(text: str) -> str:
    """Return ``text`` with escapes, as Python writes them, for what does not show as itself; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each
        if each == "\n" or unicodedata.category(each) not in _TRAITOROUS
        else each.encode("unicode_escape").decode()
        for each in text
    )
