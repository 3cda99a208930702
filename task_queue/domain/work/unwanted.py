"""Which changed files a commit should not hold: secrets, large files, far more files than a task needs. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from task_queue.domain.work.verification import is_judge

NEVER_COMMIT = (".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519")
PRIVATE_KEY = b"PRIVATE KEY-----"
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class CommitRules:
    """What the owner's configuration says under ``git``."""

    never_commit: tuple[str, ...] = NEVER_COMMIT
    """Patterns; one without a slash applies in every folder."""
    max_new_file_bytes: int = 2 * _MIB
    max_new_files: int = 100
    included: tuple[str, ...] = ()
    """Paths of files that came from the owner's checkout and that git does not track there."""

    def why_not(self, path: str, *, is_new: bool, size: int, content: Callable[[], bytes]) -> str | None:
        """Why the changed file at *path* stays out of a commit; None if it may be in one.

        *content* is asked only for a new file that is within the limit.
        """
        if path in self.included:
            return ".worktreeinclude copied it from your checkout"
        if self.names(path):
            return "git.never_commit names it"
        if is_new and size > self.max_new_file_bytes:
            return f"a new file larger than git.max_new_file_mb ({self.max_new_file_bytes / _MIB:g} MiB)"
        if is_new and PRIVATE_KEY in content():
            return "it contains a private key"
        return None

    def names(self, path: str) -> bool:
        """Whether the path alone keeps it out."""
        if path in self.included:
            return True
        patterns = (pattern.lower() for pattern in self.never_commit)
        return is_judge(
            path.lower(), [pattern if "/" in pattern else f"**/{pattern}" for pattern in patterns]
        )

    def too_many(self, new_files: int) -> str | None:
        """What to say where a task adds far more files than most need."""
        if new_files <= self.max_new_files:
            return None
        return f"it adds {new_files} files, more than git.max_new_files ({self.max_new_files})"
