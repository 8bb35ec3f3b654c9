"""Texts as messages and tables show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

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


def first_few(texts: Sequence[str], most: int) -> str:
    """Return texts with commas between them, of more than ``most`` the first ones: ``a, b and 3 more``."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def error_line(error: BaseException) -> str:
    """Return the message of an error on one line; the name of its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
