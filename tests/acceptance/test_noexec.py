"""File systems from which no program may be started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from task_queue.demo.scripted_model import Say, in_turn
from tests.acceptance.agents import AgentRig, bash
from tests.disks import memory_disk
from tests.waiting import eventually

NO_LIMIT = {"min_free_mb": 0}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def runs_a_task(rig: AgentRig) -> None:
    """And stops, so that the disk can be unmounted."""
    rig.start()
    rig.ask("task-a", "Begin.")
    assert rig.result("task-a", timeout=60)["outcome"] == "succeeded"
    assert rig.side_effects("log") == ["done"]
    rig.stop(rig.daemons[-1])


def test_a_queue_from_which_nothing_can_be_started(tmp_path: Path) -> None:
    """Nothing of ours is started from there."""
    rig = AgentRig(tmp_path / "home", in_turn(bash("echo done >> log"), Say("Done.")), limits=NO_LIMIT)
    try:
        shutil.rmtree(rig.queue())
        rig.queue().mkdir(mode=0o700)
        with memory_disk(rig.queue(), "size=64m,noexec"):
            rig.pending().mkdir(mode=0o700)
            runs_a_task(rig)
    finally:
        rig.close()


def test_state_and_temporary_files_from_which_nothing_can_be_started(tmp_path: Path) -> None:
    rig = AgentRig(tmp_path / "home", in_turn(bash("echo done >> log"), Say("Done.")), limits=NO_LIMIT)
    try:
        state = rig.home / ".local"
        state.mkdir(mode=0o700)
        with memory_disk(state, "size=256m,noexec"):
            runs_a_task(rig)
    finally:
        rig.close()


def test_an_agents_program_that_cannot_be_started(tmp_path: Path) -> None:
    """Its place is named; no attempt is counted."""
    place = tmp_path / "programs"
    place.mkdir()
    with memory_disk(place, "size=1m,noexec"):
        program = place / "claude"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        rig = AgentRig(tmp_path / "home", in_turn(Say("Done.")), agent={"cli_path": str(program)})
        try:
            rig.start()
            rig.ask("task-a", "Begin.")
            why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the reason")
            assert "noexec" in why
            assert not list(rig.queue().glob("results/*"))
            rig.stop(rig.daemons[-1])
        finally:
            rig.close()
