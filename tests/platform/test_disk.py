"""What an error says of the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from task_queue.platform.disk import trouble_at, why_refused
from tests.disks import memory_disk


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "your quota"),
        (errno.EROFS, "is read-only"),
        (errno.EIO, "fails (input/output error)"),
    ],
)
def test_each_error_has_its_sentence(code: int, words: str, tmp_path: Path) -> None:
    assert words in (why_refused(code, tmp_path) or "")


def test_other_errors_are_not_the_disks(tmp_path: Path) -> None:
    assert why_refused(errno.EACCES, tmp_path) is None


def test_a_disk_that_is_well(tmp_path: Path) -> None:
    assert trouble_at(tmp_path, try_it=True) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_found_by_a_write(tmp_path: Path) -> None:
    with memory_disk(tmp_path, "size=64k"):
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "ballast").write_bytes(b"x" * 2**20)
        assert "no space is left" in (trouble_at(tmp_path, try_it=True) or "")
