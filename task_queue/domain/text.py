"""Foreign text on its way to a terminal or a log line."""

from __future__ import annotations

import unicodedata

_DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (C0, DEL, C1), format controls (bidi, zero width), surrogates, line and paragraph separators."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing: Default_Ignorable_Code_Point of Unicode, and the braille blank."""


def printable(text: str, *, keep_lines: bool = False) -> str:
    """*text* with every control made visible (``\\x1b``, ``\\u202e``); *keep_lines* leaves newline and tab alone.

    Everything that came from a file, a name or an agent passes here before it is shown: an escape
    sequence could otherwise rewrite the screen, and a bidi override make a command look like another.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if keep_lines else ""
    return "".join(
        char if char in kept or unicodedata.category(char) not in _DANGEROUS else _escaped(char)
        for char in text
    )


def without_invisible(text: str) -> str:
    """*text* with a blank for every control but newline and tab, and for every character that shows nothing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in "\n\t" or not (char in _BLANK or unicodedata.category(char) in _DANGEROUS) else " "
        for char in text
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
