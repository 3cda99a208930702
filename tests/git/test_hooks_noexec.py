"""The owner's hooks, where what starts them would be on a disk from which nothing can be started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.git.guarding import begin_guarding
from task_queue.git.repository import facts
from tests.disks import memory_disk
from tests.git.conftest import Scratch


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_they_are_not_left_out_in_silence(scratch: Scratch, tmp_path: Path) -> None:
    """An agent added one, so that only those of the owner may run; git itself would skip them with a hint."""
    hooks = scratch.root / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    own, other = hooks / "pre-commit", hooks / "post-commit"
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with memory_disk(state, "size=4m,noexec"):
        git = begin_guarding(scratch.git, state)
        other.write_text("#!/bin/sh\n")
        other.chmod(0o755)

        with pytest.raises(GitError, match="mounted noexec"):
            facts(git)
