"""In which repository a directory is, from its files alone: so that lists need not start git for each workspace."""

from __future__ import annotations

import os
from pathlib import Path

from task_queue.config.roots import directory_named
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.path_patterns import rooted
from task_queue.domain.together import NO_REPOSITORY, Workplace
from task_queue.platform.durable import read_regular

_MOST_BYTES = 4096
_OF_A_BARE_REPOSITORY = "HEAD"
"""Without it git takes no folder for one."""


def workplace_of(task: Waiting, *, base: str | None) -> Workplace:
    """*base* is where the tasks of its source work."""
    directory = directory_named(task.workspace or ".", base=base)
    repository, below = repository_at(directory)
    touches = tuple(rooted(pattern, below) for pattern in task.touches)
    return Workplace(repository, str(directory), task.in_place, touches)


def repository_at(directory: Path) -> tuple[str, str]:
    """The directory that all working trees of the repository share, and where in its tree *directory* is."""
    for top in (directory, *directory.parents):
        git_dir = top / ".git"
        if git_dir.is_dir():
            return str(git_dir), _below(directory, top)
        linked = _first_line(git_dir).partition("gitdir: ")[2]
        if linked:
            own = Path(os.path.realpath(top / linked))
            common = _first_line(own / "commondir")
            return os.path.realpath(own / common), _below(directory, top)
    return NO_REPOSITORY, str(directory)


def is_in_none(directory: Path) -> bool:
    """Whether git would surely find no repository there: no folder from there up to the root looks like one or names
    one. False where that cannot be seen: only git can say then."""
    try:
        top: str = os.path.realpath(str(directory), strict=True)
    except OSError:
        return False
    while _is_missing(f"{top}/.git") and _is_missing(f"{top}/{_OF_A_BARE_REPOSITORY}"):
        if top == "/":
            return True
        top = os.path.dirname(top)  # noqa: PTH120 - for each command that works in a plain folder
    return False


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _below(directory: Path, top: Path) -> str:
    return "" if directory == top else str(directory.relative_to(top))


def _first_line(path: Path) -> str:
    try:
        return read_regular(path, limit=_MOST_BYTES)[0].decode(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
