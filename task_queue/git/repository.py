"""What is to be known of a repository before anything is done in it. Reads only, and takes no locks."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from task_queue.git.location import is_in_none
from task_queue.git.nested import STATUS, checked_out_submodules, is_changed_inside
from task_queue.git.program import Git

Change = Literal["added", "deleted", "changed", "untracked", "unmerged"]

_OPERATIONS = (
    ("merge", ("MERGE_HEAD",)),
    ("rebase", ("rebase-merge", "rebase-apply")),
    ("cherry-pick", ("CHERRY_PICK_HEAD",)),
    ("revert", ("REVERT_HEAD",)),
    ("bisect", ("BISECT_LOG",)),
    ("sequence of picks", ("sequencer",)),
)
INDEX_PREFIX = "task-queue-index-"
"""Of a folder in the repository's, for a temporary index; the process's number follows."""
_NOT_A_REPOSITORY = "not a git repository"
_PROC = Path("/proc")
_ONLY_READ = frozenset({b"cat-file", b"fsmonitor--daemon"})
"""What editors and git itself keep running, and takes no lock."""


@dataclass(frozen=True, slots=True)
class Dirty:
    """One path that differs from the last commit, or is not in it (ignored files are never listed)."""

    path: str
    change: Change
    staged: bool
    unstaged: bool
    in_submodule: bool = False
    """Uncommitted changes inside a submodule, which no commit of this repository can hold."""

    @property
    def is_repository(self) -> bool:
        """An untracked directory that is a repository of its own."""
        return self.path.endswith("/")


@dataclass(frozen=True, slots=True)
class Repository:
    """One working tree of a repository, as it stands."""

    root: Path
    """Of the working tree; of the repository itself where it is bare."""
    git_dir: Path
    common_dir: Path
    """Where refs and objects are; differs from *git_dir* in a linked worktree."""
    head: str | None
    """None: no commits yet."""
    branch: str | None
    """None: HEAD is detached."""
    bare: bool = False
    operation: str | None = None
    """What a person or a process is in the middle of: a merge, a rebase."""
    locked: str | None = None
    """Who holds the index, or since when a lock that no process holds has been there."""
    dirty: tuple[Dirty, ...] = ()

    @property
    def why_not(self) -> str | None:
        """Why no task may work here now; None if it may."""
        if self.bare:
            return f"{self.root} is a bare repository: there is nothing to work on"
        if self.operation is not None:
            return f"{self.root} is in the middle of a {self.operation}: finish or abort it first"
        if any(dirty.change == "unmerged" for dirty in self.dirty):
            return f"{self.root} has unmerged paths: resolve them first"
        if self.locked is not None:
            return f"the index of {self.root} is locked {self.locked}"
        return None


def facts(git: Git) -> Repository | None:
    """The repository that holds ``git.directory``; None if there is none. Raises GitError."""
    inside = git.ask("rev-parse", "--is-inside-work-tree")
    if inside.code != 0 and _NOT_A_REPOSITORY in inside.said:
        return None
    bare = git.read("rev-parse", "--is-inside-work-tree").text != "true"
    # One question per call: a directory's name may hold a newline.
    git_dir, common_dir = (
        Path(git.read("rev-parse", "--path-format=absolute", what).text)
        for what in ("--git-dir", "--git-common-dir")
    )
    head, branch = head_of(git), branch_at(git)
    if bare:
        return Repository(git_dir, git_dir, common_dir, head, branch, bare=True)
    root = Path(git.read("rev-parse", "--path-format=absolute", "--show-toplevel").text)
    lock = git_dir / "index.lock"
    return Repository(
        root=root,
        git_dir=git_dir,
        common_dir=common_dir,
        head=head,
        branch=branch,
        operation=_operation_in(git_dir),
        locked=_who_holds(lock, root) if lock.exists() else None,
        dirty=dirty_paths(git.at(root)),
    )


def root_of(git: Git) -> Path | None:
    """The top of the working tree that holds ``git.directory``; None where there is none, or git will not look."""
    if git.git_dir is None and is_in_none(git.directory):
        return None
    answer = git.ask("rev-parse", "--path-format=absolute", "--show-toplevel")
    return Path(answer.text) if answer.code == 0 else None


def head_of(git: Git) -> str | None:
    """The commit that is checked out; None before the first one."""
    return commit_of(git, "HEAD")


def commit_of(git: Git, revision: str) -> str | None:
    """The full name of a commit; None if there is none of that name."""
    answer = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return answer.text if answer.code == 0 else None


def tree_of(git: Git, commit: str) -> str:
    """The files of a commit. Raises GitError."""
    return git.read("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").text


def branch_at(git: Git) -> str | None:
    """The branch that is checked out, without ``refs/heads/``; None where HEAD is detached."""
    answer = git.ask("symbolic-ref", "--quiet", "HEAD")
    return answer.text.removeprefix("refs/heads/") if answer.code == 0 else None


def dirty_paths(git: Git) -> tuple[Dirty, ...]:
    """Everything uncommitted below ``git.directory``, the root of a working tree.

    What is inside submodules is looked at in another way: git would read configuration there that an agent may
    have written. In a task's checkout it is not asked for (see ``submodules``).
    """
    with _shown(git) as there:
        found = dirty_in(there.read(*STATUS, "--untracked-files=all").fields)
    if git.work_tree is not None:
        return found
    known = {entry.path: entry for entry in found}
    for path, git_dir in checked_out_submodules(git):
        if is_changed_inside(git, path, git_dir):
            entry = known.get(path, Dirty(path, "changed", staged=False, unstaged=True))
            known[path] = replace(entry, unstaged=True, in_submodule=True)
    return tuple(known.values())


@contextlib.contextmanager
def _shown(git: Git) -> Generator[Git, None, None]:
    """Git with an index in which no file is hidden."""
    index = Path(git.read("rev-parse", "--path-format=absolute", "--git-path", "index").text)
    if not hidden_in(git) or not index.exists():
        yield git
        return
    with tempfile.TemporaryDirectory(prefix=f"{INDEX_PREFIX}{os.getpid()}-", dir=index.parent) as folder:
        ours = git.with_index(Path(shutil.copy2(index, folder)))
        show_hidden(ours)
        yield ours


def hidden_in(git: Git) -> frozenset[str]:
    """Files that git skips, because its index says so (``--assume-unchanged``, ``--skip-worktree``).

    An agent can write that, too. What is outside of a sparse checkout is not there, and stays hidden.
    """
    lines = git.read("ls-files", "-z", "-v", "--full-name").fields
    found = [line[2:] for line in lines if line[:1] == "S" or line[:1].islower()]
    if not found:
        return frozenset()
    is_sparse = git.ask("config", "--type=bool", "--get", "core.sparseCheckout").text == "true"
    root = git.work_tree or git.directory
    return frozenset(path for path in found if not is_sparse or os.path.lexists(root / path))


def show_hidden(ours: Git) -> None:
    """Let the index of *ours*, which is a copy, hide nothing. Raises GitError."""
    hidden = b"".join(os.fsencode(path) + b"\0" for path in hidden_in(ours))
    for flag in ("--no-skip-worktree", "--no-assume-unchanged") if hidden else ():
        ours.change("update-index", flag, "-z", "--stdin", stdin=hidden)


def dirty_in(lines: Iterable[str]) -> tuple[Dirty, ...]:
    """What the lines of git-status(1), porcelain format version 2, say."""
    return tuple(dirty for line in lines if (dirty := _dirty(line)) is not None)


def continues(git: Git, old: str, tip: str) -> bool:
    """Whether *tip* follows from *old* along first parents; a branch that has merged *old* in does not.

    A fast-forward there would make the merged branch the first parent of what it was merged into.
    """
    newer = git.read("rev-list", "--first-parent", tip, f"^{old}").text.split()
    return not newer or git.ask("rev-parse", "--verify", "--quiet", f"{newer[-1]}^1").text == old


def without_merges(git: Git, commits: Sequence[str]) -> tuple[str, ...]:
    """Those of *commits* with at most one parent, in their order. Raises GitError."""
    if not commits:
        return ()
    plain = git.read("rev-list", "--no-walk=unsorted", "--no-merges", *commits).text.split()
    return tuple(commit for commit in commits if commit in plain)


def is_ancestor(git: Git, older: str, *, of: str) -> bool:
    return git.ask("merge-base", "--is-ancestor", older, of).code == 0


def merge_base(git: Git, one: str, other: str) -> str | None:
    """A newest commit that both have; None if they have none together."""
    answer = git.ask("merge-base", one, other)
    return answer.text.partition("\n")[0] if answer.code == 0 else None


def holder_of(lock: Path, root: Path) -> str | None:
    """Which process may hold a lock file of the working tree at *root*; None if none that can be seen.

    Any git that runs there: it does not keep every lock open that it holds.
    """
    for name in os.listdir(_PROC):  # noqa: PTH208 - names are all that is needed
        # A process may end while we look at it, and those of others cannot be looked at.
        with contextlib.suppress(OSError):
            process = _PROC / name
            if name.isdigit() and _may_hold(process, lock, root):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"process {name} ({words.strip()[:80]})"
    return None


def _dirty(line: str) -> Dirty | None:
    """One entry of git-status(1), porcelain format version 2."""
    kind = line[:1]
    if kind == "?":
        return Dirty(line[2:], "untracked", staged=False, unstaged=True)
    if kind == "u":
        return Dirty(line.split(" ", 10)[10], "unmerged", staged=True, unstaged=True)
    if kind != "1":
        return None
    _, states, submodule, *_, path = line.split(" ", 8)
    change: Change = "deleted" if "D" in states else "added" if "A" in states else "changed"
    inside = submodule[0] == "S" and submodule[2:] != ".."
    return Dirty(path, change, states[0] != ".", states[1] != ".", inside)


def _operation_in(git_dir: Path) -> str | None:
    for name, marks in _OPERATIONS:
        if any((git_dir / mark).exists() for mark in marks):
            return name
    return None


def _who_holds(lock: Path, root: Path) -> str:
    holder = holder_of(lock, root)
    if holder is not None:
        return f"by {holder}"
    with contextlib.suppress(FileNotFoundError):
        since = datetime.fromtimestamp(lock.stat().st_mtime).astimezone()
        return (
            f"since {since:%Y-%m-%d %H:%M:%S}, by no process that can be seen: remove {lock} once no git runs"
        )
    return "by a process that has just ended"


def _may_hold(process: Path, lock: Path, root: Path) -> bool:
    if (process / "comm").read_text().strip() == "git":
        words = (process / "cmdline").read_bytes().split(b"\0")
        return (process / "cwd").readlink().is_relative_to(root) and not _ONLY_READ.intersection(words)
    return any(descriptor.readlink() == lock for descriptor in (process / "fd").iterdir())
