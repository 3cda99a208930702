"""Repositories below a working tree: nothing of their configuration is read, because an agent may have written it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.program import Git
from task_queue.git.untrusted import isolated_view

_GITFILE = "gitdir: "


def submodules_of(git: Git) -> tuple[str, ...]:
    """The paths that ``.gitmodules`` names."""
    if not (git.directory / ".gitmodules").is_file():
        return ()
    answer = git.ask("config", "--file", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$")
    return tuple(entry.partition("\n")[2] for entry in answer.fields)


def checked_out_submodules(there: Git) -> list[tuple[str, Path]]:
    """Each with the folder of its repository."""
    found: list[tuple[str, Path]] = []
    for path in submodules_of(there):
        own = there.directory / path / ".git"
        if own.is_symlink():
            raise GitError(f"{own} is a symbolic link", hint="look at what became of the submodule")
        if own.is_dir():
            found.append((path, own))
        elif own.is_file():
            named = os.fsdecode(own.read_bytes()).removeprefix(_GITFILE).strip()
            found.append((path, Path(os.path.normpath(own.parent / named))))
    return found


@contextmanager
def inside(there: Git, path: str, git_dir: Path) -> Generator[tuple[Git, Git], None, None]:
    """Git in the submodule's repository alone, and git that sees its files, too."""
    with isolated_view(there, git_dir) as apart, tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        if (git_dir / "index").is_file():
            shutil.copy2(git_dir / "index", index)  # with its time, see snapshot.temporary_index
        root, confined = there.directory / path, there.sandbox
        if confined is not None:
            confined = confined.with_readable(apart.directory, index.parent)
        yield apart, replace(apart, directory=root, work_tree=root, index=index, sandbox=confined)


def is_changed_inside(there: Git, path: str, git_dir: Path) -> bool:
    """Whether a submodule, or one in it, has uncommitted files. A repository that cannot be read has none."""
    try:
        with inside(there, path, git_dir) as (_, files):
            answer = files.ask(*STATUS, "--untracked-files=normal")
            return bool(answer.out) or any(
                is_changed_inside(files, *each) for each in checked_out_submodules(files)
            )
    except (GitError, OSError):
        return False


STATUS = ("status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=dirty")
"""With ``none``, git would run in each repository below, and do what its configuration says."""
