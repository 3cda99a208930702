"""Keeps the queue's folders inside a workspace out of its commits, by ``.git/info/exclude``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.repository import Repository

_SPECIAL = re.compile(r"([\\*?\[ ])")
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
            with path.open("ab", buffering=0) as file:  # one write, so that two of us do not mix their lines
                file.write((b"\n" if content and not content.endswith(b"\n") else b"") + lines)
    except OSError as error:
        raise GitError(f"{path}: {error.strerror}", hint="make it writable for you") from error
    return tuple(missing)


def _pattern(folder: Path) -> str:
    """*folder* as gitignore(5) spells it; a line cannot hold a newline, so any character stands there."""
    escaped = _SPECIAL.sub(r"\\\1", folder.as_posix())
    return f"/{_NOT_ON_A_LINE.sub('?', escaped)}/"
