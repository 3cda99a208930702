"""Foreign text becomes harmless before it is shown."""

from __future__ import annotations

import pytest

from task_queue.domain.text import printable, without_invisible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcödé 任务 ✓", "plain ünïcödé 任务 ✓"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("a\u200bb\u2066c\u2028", "a\\u200bb\\u2066c\\u2028"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
    ],
)
def test_controls_become_visible(text: str, shown: str) -> None:
    """C0, DEL, C1, bidi and other format controls, separators, surrogates; nothing else."""
    assert printable(text) == shown


def test_lines_can_be_kept() -> None:
    """For text of several lines, and for nothing but that."""
    assert printable("a\n\tb\x1b", keep_lines=True) == "a\n\tb\\x1b"


def test_what_is_not_seen_becomes_a_blank() -> None:
    """Controls, bidi, no width, letters without a picture; lines and tabs stay."""
    assert without_invisible("plain text") == "plain text"
    assert without_invisible("a\u200bb\u202ec\u3164d\x1be\u2028f") == "a b c d e f"
    assert without_invisible("a\n\tb é") == "a\n\tb é"
