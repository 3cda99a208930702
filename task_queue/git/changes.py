"""What changed, for the auditor and for people: paths, figures, and a patch of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from task_queue.git.program import Git
from task_queue.git.snapshot import steps_between

MAX_PATCH_BYTES = 200_000
_MOST_RECORDED = 100
_BIG_FILE = "core.bigFileThreshold=1m"
"""Larger files are listed as binary: a patch of that size is not read."""
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")


def taken_back(git: Git, *, since: str, tree: str) -> tuple[str, ...]:
    """Paths that commits after *since* changed, and that are in *tree*, what the task comes to, as before."""
    mine = {step.path for step in steps_between(git, since, tree)}
    return tuple(step.path for step in steps_between(git, "HEAD", tree) if step.path not in mine)


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
    """From *before* to *after*, each a commit or a tree (see ``tree_or_empty``, ``snapshot_now``)."""
    patch, cut = _patch(git, before, after, max_patch_bytes)
    numbers = git.read(
        "-c", _BIG_FILE, "diff-tree", "-r", "-z", "--no-renames", "--numstat", *_PLAIN, before, after
    )
    return Changes(tuple(map(_changed, numbers.fields)), patch, cut)


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
