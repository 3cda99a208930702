"""A working tree as a tree object, through an index of our own: files, branch and index stay untouched."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.git.program import Git
from task_queue.git.repository import INDEX_PREFIX, Dirty, Repository, show_hidden
from task_queue.platform.identity import identity_of

MAX_FILE_BYTES = 100 * 2**20
"""Larger uncommitted files are not copied into the repository; they are named instead."""

_OURS = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "task-queue"), ("EMAIL", "task-queue@localhost"))
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An uncommitted path that a snapshot does not hold."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class TreeSnapshot:
    tree: str
    """The files as they are, untracked ones included, ignored ones not."""
    staged: str
    """The index as it is."""
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree holds at one path."""

    mode: str
    oid: str

    @property
    def absent(self) -> bool:
        return self.mode == "000000"


@dataclass(frozen=True, slots=True)
class PathChange:
    """How one path differs between two trees."""

    path: str
    before: Entry
    after: Entry


def take_snapshot(
    git: Git, repository: Repository, *, dirty: Iterable[Dirty], max_file_bytes: int = MAX_FILE_BYTES
) -> TreeSnapshot:
    """*dirty* are the repository's uncommitted paths as they are now."""
    there = git.at(repository.root)
    left_out = {entry.path: why for entry in dirty if (why := _why_not_kept(entry, there, max_file_bytes))}
    kept = [entry.path for entry in dirty if entry.path not in left_out and entry.unstaged]
    with temporary_index(there, repository) as ours:
        staged = ours.change("write-tree").text
        show_hidden(ours)
        _add(ours, kept)
        tree = ours.change("write-tree").text
    return TreeSnapshot(tree, staged, tuple(LeftOut(path, why) for path, why in left_out.items()))


@contextmanager
def temporary_index(git: Git, repository: Repository, *, empty: bool = False) -> Generator[Git, None, None]:
    """Git with a copy of the repository's index, or with an empty one; gone afterwards.

    It is in the repository's own folder, where the next one removes what a killed process left.
    """
    original = repository.git_dir / "index"
    with _index_in(git, repository.git_dir) as ours:
        if not empty and original.exists():
            assert ours.index is not None
            shutil.copy2(original, ours.index)  # with its time: git believes an entry older than its index
        yield ours


@contextmanager
def _index_in(git: Git, git_dir: Path) -> Generator[Git, None, None]:
    """Git with an index of its own, which is not there yet."""
    _sweep_indexes(git_dir)
    with tempfile.TemporaryDirectory(prefix=f"{INDEX_PREFIX}{os.getpid()}-", dir=git_dir) as folder:
        yield git.with_index(Path(folder) / "index")


def _add(git: Git, paths: Iterable[str]) -> None:
    """Put files into the index of *git*, or take them out where they are gone."""
    given = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if given:
        # Not `git add`: it fails when a listed file vanishes meanwhile.
        git.change("update-index", "--add", "--remove", "--replace", "-z", "--stdin", stdin=given)


def _sweep_indexes(git_dir: Path) -> None:
    for folder in git_dir.glob(f"{INDEX_PREFIX}*"):
        pid = folder.name.removeprefix(INDEX_PREFIX).partition("-")[0]
        if pid.isdigit() and identity_of(int(pid)) is None:
            shutil.rmtree(folder, ignore_errors=True)


def commit_tree(git: Git, tree: str, *, parents: Iterable[str], message: str) -> str:
    """A commit that no branch knows of; git needs no configured author for it."""
    flags = [word for parent in parents for word in ("-p", parent)]
    ours = replace(git, extra=_OURS)
    return ours.change(
        "commit-tree", "--no-gpg-sign", tree, *flags, "-F", "-", stdin=os.fsencode(message)
    ).text


def steps_between(git: Git, before: str, after: str) -> tuple[PathChange, ...]:
    """Every path in which two trees (or commits) differ; a rename is a removal and an addition, as on disk."""
    how = ("-r", "-z", "--no-renames", "--no-commit-id", "--ignore-submodules=none")
    fields = iter(git.read("diff-tree", *how, before, after).fields)
    steps: list[PathChange] = []
    for about, path in zip(fields, fields, strict=True):
        old_mode, new_mode, old_oid, new_oid, _ = about.removeprefix(":").split(" ")
        steps.append(PathChange(path, Entry(old_mode, old_oid), Entry(new_mode, new_oid)))
    return tuple(steps)


def entries_in_index(git: Git) -> dict[str, Entry]:
    """What the index of *git* holds, by path; of a path in conflict, one of its versions."""
    found: dict[str, Entry] = {}
    for line in git.read("ls-files", "-z", "--stage", "--full-name").fields:
        about, _, path = line.partition("\t")
        mode, oid, _ = about.split(" ")
        found[path] = Entry(mode, oid)
    return found


def paths_git_skips(git: Git) -> frozenset[str]:
    """Paths whose files git does not look at: outside of a sparse checkout, or assumed unchanged."""
    lines = git.read("ls-files", "-z", "-v", "--full-name").fields
    return frozenset(line[2:] for line in lines if line[:1] == "S" or line[:1].islower())


def entries_of_files(git: Git, paths: Iterable[str]) -> dict[str, Entry]:
    """The files at *paths* as an index would hold them; one that is gone is left out."""
    git_dir = Path(git.read("rev-parse", "--path-format=absolute", "--git-dir").text)
    with _index_in(git, git_dir) as ours:
        _add(ours, paths)
        return entries_in_index(ours)


def put_into_index(git: Git, entries: Mapping[str, Entry]) -> None:
    """Set what the index of *git* holds at some paths; the files stay as they are."""
    # What is no longer there goes first: a file may have become a directory, or the other way round.
    in_order = sorted(entries.items(), key=lambda item: not item[1].absent)
    lines = (
        os.fsencode(f"{entry.mode if not entry.absent else '0'} {entry.oid}\t{path}") + b"\0"
        for path, entry in in_order
    )
    git.change("update-index", "-z", "--index-info", stdin=b"".join(lines))


def tree_with(ours: Git, tree: str, entries: Mapping[str, Entry]) -> str:
    """*tree* with *entries* in their places, made in the index of *ours*, which is a temporary one."""
    ours.change("read-tree", tree)
    put_into_index(ours, entries)
    return ours.change("write-tree").text


def tree_or_empty(git: Git, commit: str | None) -> str:
    """What to compare with: the commit, or the empty tree before the first one."""
    return commit or git.change("hash-object", "-t", "tree", "-w", "--stdin").text


def _why_not_kept(dirty: Dirty, git: Git, max_file_bytes: int) -> str | None:
    if dirty.is_repository:
        return "a repository of its own"
    if dirty.in_submodule:
        return "uncommitted changes inside a submodule"
    path = git.directory / dirty.path
    try:
        about = path.lstat()
    except OSError:
        return None  # deleted, which a tree can say
    if not stat.S_ISREG(about.st_mode):
        return None
    if about.st_size > max_file_bytes:
        return f"larger than {max_file_bytes / 2**20:g} MiB"
    return None if os.access(path, os.R_OK) else "cannot be read"
