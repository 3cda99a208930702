"""Whether signed commits can be made now: a program that asks for a passphrase would wait until its time is over."""

from __future__ import annotations

from task_queue.domain.errors import GitError, GitTookTooLong
from task_queue.git.program import Git, said_by
from task_queue.git.snapshot import tree_or_empty

_WITHIN_S = 15.0
_HINT = (
    "unlock the key: sign anything once, so that its agent has the passphrase; or set commit.gpgSign to false"
)


def signs(git: Git) -> bool:
    """Whether the repository wants its commits signed."""
    return git.ask("config", "--type=bool", "--get", "commit.gpgSign").text == "true"


def require_signing(git: Git, *, within_s: float = _WITHIN_S) -> None:
    """Sign a commit that nothing refers to, where commits are signed. Raises GitError, with what to do."""
    if not signs(git):
        return
    tree = tree_or_empty(git, None)
    try:
        answer = git.within(within_s).attempt("commit-tree", "-S", tree, "-m", "Can commits be signed?")
    except GitTookTooLong:
        raise GitError(
            f"{git.directory}: commits are to be signed, and signing did not end within {within_s:g} s",
            hint=_HINT,
        ) from None
    if answer.code != 0:
        raise GitError(
            f"{git.directory}: commits are to be signed, and that failed: {said_by(answer)}", hint=_HINT
        )
