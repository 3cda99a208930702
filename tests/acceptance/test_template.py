"""The process that runners are forked from: who waits for the SDK, and what is told if it cannot be imported."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.acceptance.rig import ROOT, Rig
from tests.waiting import eventually, within


@pytest.fixture
def sdk(rig: Rig) -> Path:
    """In place of the SDK, a module that a test can write."""
    module = rig.home / "modules" / "claude_agent_sdk" / "__init__.py"
    module.parent.mkdir(parents=True)
    # What the queue starts looks where the queue itself is, and nowhere else.
    (module.parents[1] / "task_queue").symlink_to(ROOT / "task_queue")
    rig.environment["PYTHONPATH"] = str(module.parents[1])
    return module


def test_a_broken_sdk_is_told_by_its_own_words(rig: Rig, sdk: Path) -> None:
    """In status and in the log: what was wrong, not that a connection was reset. Nothing is lost or counted."""
    sdk.write_text("raise ImportError('libfoo.so.7: cannot open shared object file')\n")
    rig.start()
    rig.drop("task-agent", "# Do it\n")

    eventually(lambda: rig.json("status")["sources"][0]["why"], timeout=60, what="the source says why")

    status = rig.cli("status")
    assert status.returncode == 3
    assert "libfoo.so.7: cannot open shared object file" in status.stdout
    assert "libfoo.so.7: cannot open shared object file" in rig.cli("logs").stdout
    assert (rig.pending() / "task-agent.md").exists()


def test_commands_need_no_sdk(rig: Rig, sdk: Path) -> None:
    """A machine whose agent is broken still carries out commands, one after the other."""
    sdk.write_text("raise ImportError('broken')\n")
    rig.start()
    rig.drop_command("task-one", "true")
    rig.drop_command("task-two", "true")

    assert rig.result("task-one")["outcome"] == "succeeded"
    assert rig.result("task-two")["outcome"] == "succeeded"


def test_a_command_that_waits_at_the_start_does_not_wait_for_the_sdk(rig: Rig, sdk: Path) -> None:
    """Its import begins when nobody waits; here it would never end.

    Should the order come too late for the first template, it is there before the second one.
    """
    gate = rig.home / "gate"
    os.mkfifo(gate)
    sdk.write_text(f"open({str(gate)!r}).read()\nraise ImportError('not the real one')\n")
    rig.drop_command("task-early", "true")
    rig.start()

    assert rig.result("task-early", timeout=150)["outcome"] == "succeeded"
    gate_opened = os.open(gate, os.O_RDWR)  # whoever reads goes on
    os.close(gate_opened)


DIES_AFTER_ITS_FORK = """\
import os, signal, sys, time
if "task_queue.runner.template" in sys.orig_argv and not os.path.exists({died!r}):
    fork = os.fork

    def once():
        pid = fork()
        if pid:
            while not os.path.exists({acted!r}):
                time.sleep(0.01)
            open({died!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return pid

    os.fork = once
"""


def test_a_template_killed_before_it_answers_disturbs_nothing(rig: Rig) -> None:
    """The runner that it had forked already is the one that is waited for; it is not started again."""
    modules = rig.home / "modules"
    shutil.copytree(ROOT / "task_queue", modules / "task_queue")
    places = {"died": str(rig.home / "died"), "acted": str(rig.workspace / "log")}
    with (modules / "task_queue" / "platform" / "forking.py").open("a") as of_the_template:
        of_the_template.write(DIES_AFTER_ITS_FORK.format(**places))
    rig.environment["PYTHONPATH"] = str(modules)
    rig.start()
    rig.drop_command("task-a", "echo ran >> log; while [ ! -e go ]; do sleep 0.05; done")
    eventually((rig.home / "died").exists, what="the template has died")
    within(3, (rig.queue() / "results" / "task-a.json").exists)  # it must not end before it is told to
    (rig.workspace / "go").touch()
    rig.drop_command("task-b", "true")

    result = rig.result("task-a")
    assert (result["outcome"], len(result["attempts"])) == ("succeeded", 1)
    assert rig.side_effects("log") == ["ran"]
    assert rig.result("task-b")["outcome"] == "succeeded"
