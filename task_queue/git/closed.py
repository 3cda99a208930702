"""What of a repository stays as it is while a sandboxed command of git may write the rest of it.

It leads git to programs, to other repositories or to other working trees. A folder that is not there is made, because
only what is there can be closed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.platform.sandbox import Sandbox

_FOLDERS = ("hooks", "info", "modules", "worktrees")
_FILES = ("commondir", "config", "config.worktree")
_OF_A_WORKING_TREE = ("commondir", "config.worktree", "gitdir")


def with_repository(sandbox: Sandbox, common_dir: Path) -> Sandbox:
    """*sandbox*, in which git can write objects, refs and index of the repository at *common_dir*. Raises GitError."""
    for name in _FOLDERS:
        try:
            (common_dir / name).mkdir(exist_ok=True)
        except FileExistsError:
            pass  # a file is closed as well
        except OSError as error:
            raise GitError(f"{error.filename}: {error.strerror}", hint="make it writable for you") from error
    fixed = tuple(common_dir / name for name in (*_FOLDERS, *_FILES))
    return replace(sandbox, writable=(*sandbox.writable, common_dir), fixed=(*sandbox.fixed, *fixed))


def with_working_tree(sandbox: Sandbox, git_dir: Path) -> Sandbox:
    """The same for HEAD and index of the linked working tree that has *git_dir*."""
    fixed = tuple(git_dir / name for name in _OF_A_WORKING_TREE)
    return replace(sandbox, writable=(*sandbox.writable, git_dir), fixed=(*sandbox.fixed, *fixed))
