"""Keeps files out of commits by ``info/exclude``: the queue's folders, and in a checkout what its set-up made."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.by_products import PATTERNS
from task_queue.git.made import set_apart
from task_queue.git.program import Git
from task_queue.git.repository import Repository, dirty_paths
from task_queue.platform import durable

_SPECIAL = re.compile(r"([\\*?\[ ])")
_LIMIT = 2**24
_NOT_ON_A_LINE = re.compile(r"[\n\r]")


def keep_out(repository: Repository, folders: Iterable[Path]) -> tuple[str, ...]:
    """Add each of *folders* that is below the root, once; the patterns that were new.

    Without effect on files that are already tracked. Raises GitError.
    """
    root = Path(os.path.realpath(repository.root))
    wanted = [
        _pattern(real.relative_to(root))
        for folder in folders
        if (real := Path(os.path.realpath(folder))) != root and real.is_relative_to(root)
    ]
    path = repository.common_dir / "info" / "exclude"
    try:
        content = path.read_bytes() if path.exists() else b""
        there = set(content.splitlines())
        missing = [pattern for pattern in dict.fromkeys(wanted) if os.fsencode(pattern) not in there]
        if missing:
            path.parent.mkdir(exist_ok=True)
            lines = b"".join(os.fsencode(pattern) + b"\n" for pattern in missing)
            if path.is_symlink() or path.parent.is_symlink():
                raise GitError(f"{path} is a link, and may lead anywhere", hint="put the file itself there")
            # One write, so that two of us do not mix their lines.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0) as file:
                file.write((b"\n" if content and not content.endswith(b"\n") else b"") + lines)
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make it writable for you") from error
    return tuple(missing)


def hide_made(git: Git, git_dir: Path) -> None:
    """Let the repository of the checkout ignore what is the work of no agent: ``git add --all`` there leaves it out.

    *git* sees the checkout as the queue does, whose view stays: what the agent changes of it counts. Raises GitError.
    """
    own = git.directory / ".git"
    info = own / "info"
    if any(place.is_symlink() or (place.exists() and not place.is_dir()) for place in (own, info)):
        return  # an earlier attempt's agent could lead us elsewhere
    dirty = dirty_paths(git)
    apart = set_apart(git, git_dir, dirty)
    untracked = [entry.path for entry in dirty if entry.change == "untracked"]
    wanted = [*PATTERNS, *_fewest(git, [path for path in untracked if path in apart], apart, untracked)]
    path = info / "exclude"
    try:
        content = durable.read_regular(path, limit=_LIMIT)[0] if os.path.lexists(path) else b""
        there = set(content.splitlines())
        lines = [os.fsencode(pattern) for pattern in wanted if os.fsencode(pattern) not in there]
        if lines:
            durable.make_directory(info)
            durable.replace(path, b"\n".join([*content.splitlines(), *lines]) + b"\n")
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make it writable for you") from error


def _fewest(git: Git, made: Iterable[str], apart: Collection[str], untracked: Iterable[str]) -> list[str]:
    """Patterns for *made*: a whole folder where it holds nothing else."""
    shared = {folder for path in git.read("ls-files", "-z").fields for folder in _folders_of(path)}
    shared |= {folder for path in untracked if path not in apart for folder in _folders_of(path)}
    found: dict[str, None] = {}
    for path in made:
        folder = next((folder for folder in _folders_of(path) if folder not in shared), None)
        pattern = _pattern(Path(path.rstrip("/") if folder is None else folder))
        found[pattern if folder is not None or path.endswith("/") else pattern.removesuffix("/")] = None
    return list(found)


def _folders_of(path: str) -> list[str]:
    """The folders on the way to *path*, the outermost first."""
    parts = path.rstrip("/").split("/")[:-1]
    return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]


def _pattern(folder: Path) -> str:
    """*folder* as gitignore(5) spells it; a line cannot hold a newline, so any character stands there."""
    escaped = _SPECIAL.sub(r"\\\1", folder.as_posix())
    return f"/{_NOT_ON_A_LINE.sub('?', escaped)}/"
