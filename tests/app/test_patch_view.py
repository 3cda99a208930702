"""A patch file by file, as git writes it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from task_queue.app.patch_view import files_of


def git(where: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(where), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=where, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_each_file_has_its_own_lines_whatever_they_look_like(tmp_path: Path) -> None:
    """Lines that look like heads, names with blanks, new, deleted, renamed and binary files."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one\n-- two\n")
    (tmp_path / "gone").write_text("x\n" * 9)
    (tmp_path / "old name").write_text("same\n" * 9)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "1")
    (tmp_path / "a.txt").write_text("one\ndiff --git a/x b/x\n+++ b/y\n")
    (tmp_path / "gone").unlink()
    (tmp_path / "old name").rename(tmp_path / "new name")
    (tmp_path / "ü").write_bytes(b"\0\1")
    git(tmp_path, "add", "-A")
    files = files_of(git(tmp_path, "diff", "--cached", "-M"))

    assert [(file.path, file.added, file.removed) for file in files] == [
        ("a.txt", 2, 1),
        ("gone", 0, 9),
        ("new name", 0, 0),
        ("\\303\\274", 0, 0),
    ]
    assert [line.text for line in files[0].lines if line.kind == "added"] == [
        "+diff --git a/x b/x",
        "++++ b/y",
    ]


def test_a_huge_file_is_cut_and_the_rest_counted() -> None:
    (file,) = files_of("diff --git a/x b/x\n@@ -0,0 +1,9 @@\n" + "+line\n" * 7000)

    assert (len(file.lines), file.added, file.hidden) == (5000, 7000, 2002)
