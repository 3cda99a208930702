"""Which branches of tasks a person has merged or given up since their results were written."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from task_queue.domain.errors import GitError

_BRANCHES = "refs/heads/task-queue/"
_TIMEOUT_S = 5.0
_PASSED_ON = ("PATH", "HOME")


class MergedBranches:
    """Asks each repository once, and only where a result says that a branch was left."""

    def __init__(self) -> None:
        self._left: dict[str, frozenset[str] | None] = {}
        """Of each repository, the branches of tasks that are not in what is checked out; None: git cannot say."""

    def has_settled(self, command: str) -> bool:
        """Whether the merge *command* has nothing to do: its branch is in what is checked out there, or gone."""
        try:
            words = shlex.split(command)
        except ValueError:
            return False
        match words:
            case ["git", "-C", repository, "merge", branch]:
                if repository not in self._left:
                    self._left[repository] = _left_in(Path(repository))
                left = self._left[repository]
                return left is not None and branch not in left
            case _:
                return False


def _left_in(repository: Path) -> frozenset[str] | None:
    from task_queue.git.program import Git  # only where a branch was left

    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    git = Git(repository, environment, timeout_s=_TIMEOUT_S, extra={"GIT_NO_LAZY_FETCH": "1"})
    try:
        answer = git.ask("for-each-ref", "--no-merged=HEAD", "--format=%(refname:lstrip=2)", _BRANCHES)
    except (OSError, GitError):
        return None
    return frozenset(answer.text.splitlines()) if answer.code == 0 else None
