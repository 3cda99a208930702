"""Which directories a task may name as its workspace: those under the owner's ``roots``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from task_queue.domain.errors import NotConfiguredError


def directory_named(workspace: str, *, base: str | Path | None) -> Path:
    """The directory that a document calls *workspace*, links followed; *base* is where its source's tasks work."""
    return Path(os.path.realpath(Path(base or "/") / os.path.expanduser(workspace)))  # noqa: PTH111 - no error for an unknown user


def demand_allowed(workspace: Path, roots: Iterable[str | Path]) -> None:
    """Raises NotConfiguredError if *workspace* (links followed) is not under one of *roots*."""
    allowed = [Path(os.path.realpath(root)) for root in roots]
    if not any(workspace.is_relative_to(root) for root in allowed):
        listed = ", ".join(str(root) for root in allowed) or "none is configured"
        raise NotConfiguredError(
            f"the workspace {workspace} is outside the directories that a task may name ({listed})",
            hint="add its directory to roots in the configuration",
            keys=("workspace",),
        )
