"""The words of a language in a patch: known by the name of the file, and never another text than the patch has."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.app import highlighting
from task_queue.app.highlighting import highlight
from task_queue.app.patch_view import PatchFile, files_of
from tests.sampling import short_and_long

PYTHON = '\n'.join((
    "diff --git a/x.py b/x.py",
    "--- a/x.py",
    "+++ b/x.py",
    "@@ -1,4 +1,4 @@",
    " def a():  # <b>",
    "-    return 'x'",
    "+    return 12\r",
    ' """text',
    "+def\u202e not code",
    ' """',
    "\\ No newline at end of file",
))  # fmt: skip


def roles(file: PatchFile) -> dict[str, list[tuple[str, str]]]:
    return {
        line.text: [(piece.role, piece.text) for piece in line.pieces if piece.role] for line in file.lines
    }


def test_each_side_of_a_hunk_is_read_as_it_stands() -> None:
    (file,) = files_of(PYTHON)
    highlight([file], takes_s=60)
    found = roles(file)

    assert found[" def a():  # <b>"] == [("keyword", "def"), ("name", "a"), ("comment", "# <b>")]
    assert found["-    return 'x'"] == [("keyword", "return"), ("string", "'x'")]
    assert found["+    return 12\r"] == [("keyword", "return"), ("figure", "12")]
    assert found["+def\u202e not code"] == [("string", "def\u202e not code")]
    assert found["@@ -1,4 +1,4 @@"] == found["\\ No newline at end of file"] == []
    for line in file.lines:
        assert not line.pieces or "".join(piece.text for piece in line.pieces) == line.text[1:]


def test_a_name_that_says_no_language_leaves_the_text_as_it_is() -> None:
    names = ("unknown", "x.nothing", "<script>.zz", "a/../b", "-rf", "x.py\nx")
    files = [replace(file, path=name) for name in names for file in files_of(PYTHON)]
    highlight(files, takes_s=60)

    assert all(not line.pieces for file in files for line in file.lines)


def test_a_lexer_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / "stuck.py"
    stuck.write_text("import re\nre.match('(a*)*b', 'a' * 60)\n")
    monkeypatch.setattr(highlighting, "_PROGRAM", stuck)
    files, begun = files_of(PYTHON), time.monotonic()
    highlight(files, takes_s=0.2)

    assert time.monotonic() - begun < 5
    assert all(not line.pieces for line in files[0].lines)


@pytest.mark.parametrize(
    "answer", short_and_long(['[[[["x", 99]]], null]'], ["null", "[]", "[7, 7]", "[[], []]", "{"])
)
def test_what_does_not_fit_the_text_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    liar = tmp_path / "liar.py"
    liar.write_text(f"print({answer!r})\n")
    monkeypatch.setattr(highlighting, "_PROGRAM", liar)
    files = files_of("diff --git a/x.py b/x.py\n@@ -1 +1 @@\n-1\n+2\n")
    highlight(files)

    assert all(not line.pieces for line in files[0].lines)


def test_of_a_huge_patch_only_the_first_part_is_read() -> None:
    hunk = "@@ -0,0 +1 @@\n+x = 'y'\n" + f"+{'x' * 1900}\n" * 60
    (file,) = files_of("diff --git a/x.py b/x.py\n" + hunk * 9)
    highlight([file], takes_s=60)
    read = [bool(line.pieces) for line in file.lines if line.text == "+x = 'y'"]

    assert read == [True] * 3 + [False] * 6
