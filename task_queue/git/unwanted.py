"""Finds the changed files that a commit should not hold, in the working tree and in commits of the agent."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from task_queue.domain.work.unwanted import CommitRules
from task_queue.git.program import Git
from task_queue.git.repository import Dirty
from task_queue.platform import durable

_LFS = "lfs"


def unwanted_files(git: Git, dirty: Iterable[Dirty], rules: CommitRules) -> dict[str, str]:
    """Those of *dirty* that should not be committed, each with the reason. *git* is in the root.

    A deleted file never is one. What Git LFS keeps may have any size: only its name is committed.
    """
    found: dict[str, str] = {}
    for entry in dirty:
        path = git.directory / entry.path
        try:
            about = path.lstat()
        except OSError:
            continue
        is_file = stat.S_ISREG(about.st_mode)
        why = rules.why_not(
            entry.path,
            is_new=is_file and entry.change in ("untracked", "added"),
            size=about.st_size,
            content=_reading(path),
        )
        if why is not None and (rules.names(entry.path) or not _is_in_lfs(git, entry.path)):
            found[entry.path] = why
    return found


def unwanted_commits(
    git: Git, *, since: str | None, but: Sequence[str] = (), rules: CommitRules, tip: str = "HEAD"
) -> dict[str, str]:
    """What the commits of *tip* after *since* add that should not be committed, each with the reason.

    Also what a later one of them removes: it is in the history. *but*: refs whose commits are not the task's.
    """
    apart = [f"^{ref}" for ref in (*([since] if since else []), *but)]
    commits = git.read("rev-list", "--no-merges", tip, *apart).text
    if not commits:
        return {}
    words = (
        "diff-tree",
        "--stdin",
        "-r",
        "-z",
        "--root",
        "--no-renames",
        "--no-commit-id",
        "--diff-filter=AM",
    )
    fields = iter(git.read(*words, stdin=f"{commits}\n".encode()).fields)
    found: dict[str, str] = {}
    for about, path in zip(fields, fields, strict=True):
        _, mode, _, oid, letter = about.removeprefix(":").split(" ")
        if mode == "160000" or path in found:
            continue
        is_new = letter == "A"
        size = int(git.read("cat-file", "-s", oid).text) if is_new else 0
        why = rules.why_not(path, is_new=is_new, size=size, content=_blob(git, oid))
        if why is not None:
            found[path] = why
    return found


def _reading(path: Path) -> Callable[[], bytes]:
    def content() -> bytes:
        try:
            return durable.read_regular(path, limit=2**31)[0]
        except OSError:
            return b""  # unreadable, or gone meanwhile: a snapshot names it

    return content


def _blob(git: Git, oid: str) -> Callable[[], bytes]:
    return lambda: git.read("cat-file", "blob", oid).out


def _is_in_lfs(git: Git, path: str) -> bool:
    answer = git.ask("check-attr", "-z", "--stdin", "filter", stdin=os.fsencode(path) + b"\0")
    return answer.fields[2:3] == [_LFS]
