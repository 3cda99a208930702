"""All users of a machine see the arguments of every process: what a task says is in none of them."""

from __future__ import annotations

import json
import os
import shutil

from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig

TITLE = "A title out of sight"
BODY = "A body out of sight"
CHECK = "A check out of sight"


def test_what_a_task_says_is_in_no_argument(make_agent_rig: MakeAgentRig) -> None:
    """Title, text and ``verify`` command, as far as its commit and the merge of its branch; the merge has the title."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited(isolation="worktree", landing="merge"))
    repository = a_repository(rig)
    seen = rig.home / "seen"
    look = f"for each in /proc/[0-9]*; do tr '\\0' '\\n' < $each/cmdline >> {seen}; done 2> /dev/null"
    # The target moves meanwhile, so that a merge is made.
    script.work = f"{look}; echo round >> work.txt; git -C {repository} commit -q --allow-empty -m Meanwhile"
    programs = rig.home / "programs"
    programs.mkdir()
    wrapper = programs / "git"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" git "$@" >> {seen}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    rig.start(environment={"PATH": f"{programs}:{os.environ['PATH']}"})
    rig.ask("task-a", f"# {TITLE}\n\n{BODY}", verify=json.dumps(f": {CHECK}; {look}"))

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded", result
    assert f"Merge task-queue/task-a: {TITLE}" in git(repository, "log", "-1", "--format=%s")
    arguments = seen.read_text()
    assert "merge-tree" in arguments
    assert "--append-system-prompt" in arguments
    for words in (TITLE, BODY, CHECK):
        assert words not in arguments
