"""What changed, for the auditor and for people: paths, figures, and a patch of bounded size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git

MAX_PATCH_BYTES = 200_000
_MOST_RECORDED = 100
_BIG_FILE = "core.bigFileThreshold=1m"
"""Larger files are listed as binary: a patch of that size is not read."""
_CONFIG = """[core]
	repositoryformatversion = 1
	bare = true
	attributesFile = /dev/null
[attr]
	tree = refs/heads/none
[extensions]
	objectFormat = {format}
"""
_NO_ATTRIBUTES = {"GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")


@dataclass(frozen=True, slots=True)
class Changed:
    """One path. ``added`` and ``deleted`` count lines; None where that makes no sense (binary, huge)."""

    path: str
    added: int | None
    deleted: int | None

    @property
    def binary(self) -> bool:
        return self.added is None


@dataclass(frozen=True, slots=True)
class Changes:
    """How one commit or tree differs from an earlier one."""

    paths: tuple[Changed, ...]
    patch: str
    """As git shows it, with one line for a binary file; ends with a line that says so where it was cut."""
    cut: bool
    left_out: tuple[str, ...] = ()
    """Changed paths that are in neither, each with the reason."""

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The first hundred paths as records."""
        return tuple(
            {"path": path.path, "added": path.added, "deleted": path.deleted}
            for path in self.paths[:_MOST_RECORDED]
        )

    @property
    def added(self) -> int:
        return sum(path.added or 0 for path in self.paths)

    @property
    def deleted(self) -> int:
        return sum(path.deleted or 0 for path in self.paths)

    @property
    def summary(self) -> str:
        """One line, as git words it."""
        beyond = f"; not kept or shown: {', '.join(self.left_out)}" if self.left_out else ""
        if not self.paths:
            return f"no changes{beyond}"
        files = f"{len(self.paths)} file{'s' if len(self.paths) > 1 else ''} changed"
        binary = sum(path.binary for path in self.paths)
        return (
            f"{files}, {self.added} insertions(+), {self.deleted} deletions(-)"
            + (f", {binary} binary or very large" if binary else "")
            + beyond
        )


def changes_between(git: Git, before: str, after: str, *, max_patch_bytes: int = MAX_PATCH_BYTES) -> Changes:
    """From *before* to *after*, each a commit or a tree (see ``tree_or_empty``, ``snapshot_now``).

    What is text is decided from the content: attributes could hide a file, and an agent can write them.
    """
    numbers = ("diff-tree", "-r", "-z", "--no-renames", "--numstat", *_PLAIN)
    git.read("-c", _BIG_FILE, *numbers, before, after)  # a partial clone gets here what it lacks
    with _objects_alone(git) as apart:
        patch, cut = _patch(apart, before, after, max_patch_bytes)
        fields = apart.read("-c", _BIG_FILE, *numbers, before, after).fields
    return Changes(tuple(map(_changed, fields)), patch, cut)


@contextmanager
def _objects_alone(git: Git) -> Generator[Git, None, None]:
    """Git with the objects of the repository, and neither its configuration nor attributes from anywhere."""
    where = paths_of(git)
    with tempfile.TemporaryDirectory(prefix="task-queue-look-") as folder:
        place = Path(folder)
        (place / "refs").mkdir()
        (place / "objects/info").mkdir(parents=True)
        (place / "objects/info/alternates").write_bytes(os.fsencode(f"{where.objects}\n"))
        (place / "HEAD").write_text("ref: refs/heads/none\n")
        (place / "config").write_text(_CONFIG.format(format=where.object_format))
        yield Git(place, git.environment, timeout_s=git.timeout_s, extra=_NO_ATTRIBUTES, git_dir=place)


def _changed(line: str) -> Changed:
    added, deleted, path = line.split("\t", 2)
    return Changed(path, _count(added), _count(deleted))


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)


def _patch(git: Git, before: str, after: str, limit: int) -> tuple[str, bool]:
    answer = git.ask("-c", _BIG_FILE, "diff-tree", "-r", "-p", "-M", *_PLAIN, before, after, limit=limit)
    text = answer.out.decode(errors="replace")
    if not answer.cut:
        return text, False
    whole_lines = text[: text.rfind("\n") + 1]
    return f"{whole_lines}[cut here: only the first {limit:,} bytes of the patch are shown]\n", True
