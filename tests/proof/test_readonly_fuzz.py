"""A short form of the fuzz over what a reader may call, and that it finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.domain.document.choices import Profile
from tests.proof.readonly_fuzz import OPTIONS, READERS, Reader, commands_with, other_calls, written_by

EVERY = 60


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_a_reader_writes_nothing(reader: Reader, tmp_path: Path) -> None:
    """With no option of a program that looks, with no tool, and whatever the project's settings allow."""
    outside = tmp_path / "outside"
    some = list(commands_with(OPTIONS, outside))[READERS.index(reader) :: EVERY]
    output = list(commands_with({"git log": "--output"}, outside))

    assert written_by(reader, [*some, *output, *other_calls(outside, every=EVERY)], tmp_path) == []


def test_what_an_option_writes_is_found(tmp_path: Path) -> None:
    """Where the owner allows a program, he allows its options."""
    reader = Reader(Profile.READONLY, allow=("Bash(git log:*)",))
    calls = list(commands_with({"git log": "--output"}, tmp_path / "outside"))

    assert any("outside/git-log-0" in found for found in written_by(reader, calls, tmp_path))
