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
        ("ü", 0, 0),
    ]
    assert [line.text for line in files[0].lines if line.kind == "added"] == [
        "+diff --git a/x b/x",
        "++++ b/y",
    ]


def test_a_huge_file_is_cut_and_the_rest_counted() -> None:
    (file,) = files_of("diff --git a/x b/x\n@@ -0,0 +1,9 @@\n" + "+line\n" * 7000)

    assert (len(file.lines), file.added, file.hidden) == (5000, 7000, 2001)


def test_of_very_many_files_and_of_long_lines_the_rest_is_counted() -> None:
    many = "".join(f"diff --git a/{n} b/{n}\n@@ -0,0 +1,9 @@\n" + "+line\n" * 4000 for n in range(8))
    files = files_of(many + "diff --git a/last b/last\n@@ -0,0 +1 @@\n+x\n")
    (long,) = files_of("diff --git a/x b/x\n@@ -0,0 +1 @@\n+" + "y" * 5000)

    assert sum(len(file.lines) for file in files) == 20_000
    assert [(file.path, file.added) for file in files[-2:]] == [("7", 4000), ("last", 1)]
    assert (len(long.lines[1].text), long.lines[1].hidden) == (2000, 3001)


def test_a_file_has_the_name_that_it_has(tmp_path: Path) -> None:
    """Also where git writes it between quotes, or where it looks like two; new, changed, gone and renamed."""
    names = sorted(["a b/c b/d", "x\ty", 'q"uote', "line\nbreak", "-->", "<b>", "\x1b[31m", "b\\n", "über/ß"])
    git(tmp_path, "init", "-q")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{number}\n" * 9)
    git(tmp_path, "add", ".")
    new = files_of(git(tmp_path, "diff", "--cached"))
    git(tmp_path, "commit", "-qm", "1")
    for name in names:
        with (tmp_path / name).open("a") as file:
            file.write("more\n")
    changed = files_of(git(tmp_path, "diff"))
    git(tmp_path, "checkout", "-q", ".")
    (tmp_path / "moved").mkdir()
    for name in names:
        (tmp_path / name).rename(tmp_path / "moved" / name.replace("/", "%"))
    git(tmp_path, "add", "-A")
    gone = files_of(git(tmp_path, "diff", "--cached", "--no-renames", "--diff-filter=D"))
    renamed = files_of(git(tmp_path, "diff", "--cached", "-M"))

    assert [sorted(file.path for file in files) for files in (new, changed, gone)] == [names] * 3
    assert sorted(file.path for file in renamed) == sorted(
        f"moved/{name.replace('/', '%')}" for name in names
    )
