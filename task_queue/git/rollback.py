"""Takes back a fast-forward that was cut off, as far as the files there are provably its own.

It begins only where every file that it is to change is as the old commit has it. Git then updates the files
one by one, then the index, then the branch. So a file is its own where it is as the new commit has it,
begins like that, or is missing; what another process made of a file since stays. A lock file is
its own where it came after the step was announced and no process holds it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from task_queue.git.program import Git
from task_queue.git.repository import holder_of
from task_queue.git.snapshot import (
    Entry,
    PathChange,
    entries_in_index,
    entries_of_files,
    paths_git_skips,
    put_into_index,
    steps_between,
)

_LINK = "120000"
_SUBMODULE = "160000"


def holder_of_locks(git: Git, place: Path | None, target: str) -> str | None:
    """Which live process may hold a lock that the step needed; None if none can be seen."""
    root = place or git.directory
    holders = (holder_of(lock, root) for lock in _locks(git, place, target) if lock.exists())
    return next((holder for holder in holders if holder is not None), None)


def remove_locks(git: Git, place: Path | None, target: str, *, since_ns: int) -> None:
    """Remove the lock files that the step left: those that no process holds and that came after it was announced."""
    for lock in _locks(git, place, target):
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_mtime_ns >= since_ns:
                lock.unlink()


def why_not_ready(git: Git, *, old: str, new: str) -> str | None:
    """Why the working tree must not be brought from *old* to *new*; None if no other owner's file is in the way."""
    steps = steps_between(git, old, new)
    now = _CurrentState(git, steps)
    changed = next((step.path for step in steps if not now.is_untouched(step)), None)
    return None if changed is None else f"a file that is not the queue's would be overwritten: {changed}"


def roll_back(git: Git, *, old: str, new: str) -> tuple[str, ...]:
    """Bring the working tree back to *old*, which its branch still has; what was left of the way to *new*.

    That is: the paths that another process has changed since. Idempotent; raises GitError.
    """
    there, place = git, git.directory
    steps = steps_between(there, old, new)
    now = _CurrentState(there, steps)
    ours = [step for step in steps if now.is_ours(step)]
    staged = {step.path: step.before for step in steps if now.is_staged(step)}
    if staged:
        put_into_index(there, staged)
    for step in ours:
        if now.is_new(step):
            _remove(place, step.path)
    missing = [step.path for step in ours if now.is_missing(step) and not step.before.absent]
    for path in missing:
        _remove_empty_folders(place / path)
    blocked = {path for path in missing if _is_blocked(place, path)}
    paths = b"".join(os.fsencode(path) + b"\0" for path in missing if path not in blocked)
    if paths:
        # Without --force: what has come there meanwhile is not overwritten.
        there.change("checkout-index", "--index", "-z", "--stdin", stdin=paths)
    there.attempt("update-index", "-q", "--refresh")
    return tuple(sorted({step.path for step in steps} - {step.path for step in ours} | blocked))


class _CurrentState:
    """Files and index as they are, at the paths of some steps."""

    def __init__(self, git: Git, steps: Sequence[PathChange]) -> None:
        self._git = git
        self._root = git.directory
        self._skipped = paths_git_skips(git)
        files = [step.path for step in steps if self._has_file(step)]
        self._odd = frozenset(path for path in files if _is_odd(self._root, path))
        readable = [path for path in files if path not in self._odd and _is_file(self._root, path)]
        self._files = entries_of_files(git, readable)
        self._staged = entries_in_index(git)

    def is_ours(self, step: PathChange) -> bool:
        """Whether index and file are as git leaves them before, in, or after the fast-forward."""
        staged = self._staged.get(step.path)
        if not (_is(staged, step.before) or _is(staged, step.after)):
            return False
        if not self._has_file(step):
            return True
        return step.path not in self._odd and (
            self.is_missing(step) or self.is_old(step) or self.is_new(step)
        )

    def is_untouched(self, step: PathChange) -> bool:
        """Whether index and file are as git leaves them before it."""
        if not _is(self._staged.get(step.path), step.before) or step.path in self._odd:
            return False
        if not self._has_file(step):
            return True
        return self.is_missing(step) if step.before.absent else self.is_old(step)

    def is_staged(self, step: PathChange) -> bool:
        staged = self._staged.get(step.path)
        return _is(staged, step.after) and not _is(staged, step.before)

    def is_missing(self, step: PathChange) -> bool:
        """Also where there is a folder: then one of the two commits has files in it."""
        return self._has_file(step) and not _is_file(self._root, step.path)

    def is_old(self, step: PathChange) -> bool:
        file = self._files.get(step.path)
        if file is None:
            return False
        only_mode = step.before.oid == step.after.oid
        return _is(file, step.before) if only_mode else _has_content_of(file, step.before)

    def is_new(self, step: PathChange) -> bool:
        """The whole file, or what git had written of it."""
        file = self._files.get(step.path)
        if file is None or step.after.absent or self.is_old(step):
            return False
        return _has_content_of(file, step.after) or self._is_beginning(step)

    def _has_file(self, step: PathChange) -> bool:
        """Not of a submodule, nor of a sparse checkout's rest: git leaves those as they are."""
        is_submodule = _SUBMODULE in (step.before.mode, step.after.mode)
        return not is_submodule and step.path not in self._skipped

    def _is_beginning(self, step: PathChange) -> bool:
        if _LINK in (step.after.mode, self._files[step.path].mode):
            return False
        written = (self._root / step.path).read_bytes()
        whole = self._git.ask(
            "cat-file", "--filters", f"--path={step.path}", step.after.oid, limit=len(written)
        )
        return whole.code == 0 and whole.out == written


def _is(entry: Entry | None, wanted: Entry) -> bool:
    return wanted.absent if entry is None else entry == wanted


def _has_content_of(file: Entry, wanted: Entry) -> bool:
    """Who may execute it does not count: not every file system can say."""
    return file.oid == wanted.oid and (file.mode == _LINK) == (wanted.mode == _LINK)


def _is_file(root: Path, path: str) -> bool:
    try:
        mode = (root / path).lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISDIR(mode)


def _is_odd(root: Path, path: str) -> bool:
    """What git did not put there: behind a link in place of a folder, or neither file nor link."""
    if any((root / folder).is_symlink() for folder in Path(path).parents):
        return True
    return _is_file(root, path) and not ((root / path).is_symlink() or (root / path).is_file())


def _is_blocked(root: Path, path: str) -> bool:
    """Whether another owner's file is where a file, or one of its folders, has to be."""
    folders = [root / folder for folder in Path(path).parents if folder != Path()]
    return os.path.lexists(root / path) or any(
        os.path.lexists(folder) and not folder.is_dir() for folder in folders
    )


def _remove(root: Path, path: str) -> None:
    """A file that git has written, and the folders that this leaves empty."""
    file = root / path
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == root or any(folder.iterdir()):
            return
        folder.rmdir()


def _remove_empty_folders(top: Path) -> None:
    """Which git made before it wrote the first file into them."""
    for folder, _, _ in os.walk(top, topdown=False):
        if not os.listdir(folder):  # noqa: PTH208 - names are all that is needed
            Path(folder).rmdir()


def _locks(git: Git, place: Path | None, target: str) -> tuple[Path, ...]:
    common = Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir").text)
    branch = common / "refs/heads" / f"{target}.lock"
    if place is None:
        return (branch,)
    own = Path(git.at(place).read("rev-parse", "--path-format=absolute", "--git-dir").text)
    return (branch, *(own / f"{name}.lock" for name in ("index", "HEAD", "ORIG_HEAD")))
