"""Brings what the agent committed in its checkout's own repository to the task's branch in the owner's.

It is looked at where HEAD is and which commits are new, wherever the agent made them. The branch follows where
the agent's commits continue what the task began on; other new commits are kept on refs and named.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.git.large_files import bring_large_files
from task_queue.git.made import dirty_work
from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, head_of, is_ancestor
from task_queue.git.untrusted import fetch_from_view, isolated_view
from task_queue.platform import durable

_PREFIX = "refs/heads/"
_STASH = "stash"
_INDEX_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class _Tip:
    """Where a ref of the agent's repository is."""

    name: str
    """``HEAD``, or the ref without ``refs/`` and ``heads/``."""
    commit: str


def collect(git: Git, task_id: TaskId, *, base: str, branch: str, late: bool = False) -> tuple[str, ...]:
    """Bring new commits here; what a person should know of those that are not on *branch* now.

    *git* sees the checkout as the queue does, *base* is the commit that the task began on. Idempotent. Files
    change only where the agent went back to a branch without its commits. A repository that cannot be read is
    a sentence, no error: the files are there, and are committed as they are. *late*: the work was judged before,
    so new commits are kept and named, and the branch stays.
    """
    own = git.directory / ".git"
    if own.is_file():
        return ()
    try:
        with isolated_view(git, own) as apart:
            head = commit_of(apart, "HEAD")
            bring_large_files(own, paths_of(git).common_dir)
            notes = _head_brought(git, apart, task_id, head, base=base, branch=branch, late=late)
            notes += _others_brought(git, apart, task_id, head, branch=branch, late=late)
        if not late:
            _forced_noticed(git, own)
        return notes
    except GitError as error:
        return (f"commits in the repository of the checkout could not be read: {error}",)


def take_back(git: Git, task_id: TaskId, *, branch: str, to: str) -> str:
    """Let *branch* be at *to* again, where it was judged; what to say of what came after. Raises GitError."""
    here = head_of(git)
    assert here is not None
    ref = ref_of(task_id, "elsewhere/after-the-verdict")
    git.change("update-ref", "--no-deref", ref, here)
    _move(git, branch, new=to, old=here)
    return f"commits that came after the verdict are not in {branch}: they are kept on {ref}"


def hand_over(git: Git, branch: str) -> None:
    """Let the checkout's own repository have *branch* checked out as the queue left it, for who looks there next.

    Raises GitError.
    """
    own, head = git.directory / ".git", head_of(git)
    if head is None or own.is_file() or not own.is_dir():
        return
    assert git.git_dir is not None
    with isolated_view(git, own) as apart:
        apart.change("update-ref", "--no-deref", f"{_PREFIX}{branch}", head)
    try:
        durable.replace(own / "HEAD", f"ref: {_PREFIX}{branch}\n".encode())
        durable.replace(own / "index", (git.git_dir / "index").read_bytes())
    except OSError as error:
        raise GitError(f"{own}: {error.strerror}") from error


def _head_brought(
    git: Git, apart: Git, task_id: TaskId, head: str | None, *, base: str, branch: str, late: bool
) -> tuple[str, ...]:
    """The files are as HEAD has them, but for what is uncommitted: so the branch goes where HEAD is."""
    here = head_of(git)
    if head is None or here is None or is_ancestor(apart, head, of=here):
        if head is not None and not is_ancestor(apart, base, of=head):
            return (
                f"the agent took the history of the checkout back to {head[:12]}, before what it began on",
            )
        return ()
    if not is_ancestor(apart, base, of=head):
        kept = _kept(git, apart, task_id, _Tip("HEAD", head))
        began_on = f"{base[:12]}, which the task began on"
        note = f"the agent committed on a history without {began_on}: its commits are kept on {kept}"
        return (f"{note}, and only its files are in {branch}",)
    if late:
        kept = _kept(git, apart, task_id, _Tip("HEAD", head))
        return (f"commits that came after the verdict are not in {branch}: they are kept on {kept}",)
    fetch_from_view(git, apart, head, ref_of(task_id, "fetched"))
    _move(git, branch, new=head, old=here)
    git.change("update-ref", "-d", ref_of(task_id, "fetched"))
    git.change("read-tree", "-i", "-m", head)
    git.attempt("update-index", "-q", "--refresh")
    return ()


def _forced_noticed(git: Git, own: Path) -> None:
    """Ignored files that the agent has added anyway are its work: the queue's index names them, too."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        with contextlib.suppress(OSError):
            index.write_bytes(durable.read_regular(own / "index", limit=_INDEX_LIMIT)[0])
        if not index.exists():
            return
        listing = git.with_index(index).ask("ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
    known = set(git.read("ls-files", "-z", "--cached", "--ignored", "--exclude-standard").fields)
    new = [path for path in listing.fields if path not in known and (git.directory / path).is_file()]
    if listing.code == 0 and new:
        given = b"".join(os.fsencode(path) + b"\0" for path in new)
        git.change("update-index", "--add", "-z", "--stdin", stdin=given)


def _others_brought(
    git: Git, apart: Git, task_id: TaskId, head: str | None, *, branch: str, late: bool
) -> tuple[str, ...]:
    """New commits that HEAD does not have."""
    here = head_of(git)
    if here is None:
        return ()
    new = [tip for tip in _new_tips(git, apart, here) if tip.commit != head]
    ahead = [tip for tip in new if tip.name != _STASH and is_ancestor(apart, here, of=tip.commit)]
    if not late and len(new) == len(ahead) == 1 and not dirty_work(git, paths_of(git).git_dir):
        (tip,) = ahead
        fetch_from_view(git, apart, tip.commit, ref_of(task_id, "fetched"))
        git.change("read-tree", "-m", "-u", here, tip.commit)
        _move(git, branch, new=tip.commit, old=here)
        git.change("update-ref", "-d", ref_of(task_id, "fetched"))
        hand_over(git, branch)
        return (f"the agent's commits on {tip.name} were brought to {branch}",)
    return tuple(
        f"commits on {tip.name} of the checkout are not in {branch}: they are kept on"
        f" {_kept(git, apart, task_id, tip)}"
        for tip in new
    )


def _new_tips(git: Git, apart: Git, here: str) -> list[_Tip]:
    """Branches and the stash of the agent's repository with commits that the owner's has on no ref."""
    known = f"^{here}\n" + git.read("for-each-ref", "--format=^%(objectname)", *_known_refs(git)).text + "\n"
    refs = apart.read("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/stash").text
    found: list[_Tip] = []
    for line in refs.splitlines():
        commit, _, ref = line.partition(" ")
        given = f"{commit}\n{known}".encode()
        answer = apart.ask("rev-list", "--max-count=1", "--ignore-missing", "--stdin", stdin=given)
        if answer.code == 0 and answer.text:
            found.append(_Tip(ref.removeprefix(_PREFIX).removeprefix("refs/"), commit))
    return found


def _known_refs(git: Git) -> Iterable[str]:
    """Not those that were kept for the agent's commits: a second call returns them again."""
    names = git.read("for-each-ref", "--format=%(refname)").text.splitlines()
    return [name for name in names if not _is_kept_for_agent(name)] or ["refs/none"]


def _is_kept_for_agent(ref: str) -> bool:
    return ref.startswith("refs/task-queue/") and "/elsewhere/" in ref


def _kept(git: Git, apart: Git, task_id: TaskId, tip: _Tip) -> str:
    ref = ref_of(task_id, f"elsewhere/{tip.name}")
    if commit_of(git, ref) != tip.commit:
        fetch_from_view(git, apart, tip.commit, ref)
    return ref


def _move(git: Git, branch: str, *, new: str, old: str) -> None:
    """Raises GitError if another process moved it meanwhile."""
    git.change("update-ref", "-m", "commits of the agent", f"{_PREFIX}{branch}", new, old)
