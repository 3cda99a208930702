"""The owner's repository has its ways: hooks, an encoding, a key. And what a reboot or a long pause loses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.processes import kill, runs
from tests.waiting import eventually

SIGNS = (
    "#!/bin/sh\ncat > /dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; echo '-----BEGIN PGP SIGNATURE-----'\n"
    "echo '-----END PGP SIGNATURE-----'\n"
)
DAYS_S = 5 * 86400


def a_rig(
    make_agent_rig: MakeAgentRig, *, work: str = "echo round >> work.txt", **more: object
) -> tuple[AgentRig, Path]:
    settings = audited(
        isolation="worktree", landing="merge", workflow="single", retry_delay="1s", max_attempts=3, **more
    )
    rig = make_agent_rig(TwoAgents(verdict("pass"), work=work), sweep_seconds=1, **settings)
    return rig, a_repository(rig)


def a_hook(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_hooks_in_a_folder_that_no_fresh_checkout_has_apply(make_agent_rig: MakeAgentRig) -> None:
    """As husky keeps them: a commit that the hook would refuse in place is not made."""
    rig, repository = a_rig(make_agent_rig)
    (repository / ".gitignore").write_text(".husky/_\n")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "-qm", "Second")
    tip = git(repository, "rev-parse", "HEAD")
    git(repository, "config", "core.hooksPath", ".husky/_")
    a_hook(
        repository / ".husky/_", "pre-commit", "grep -q round work.txt && { echo no rounds; exit 1; }; exit 0"
    )
    rig.start()
    rig.ask("task-a", "# Write a line")
    result = rig.result("task-a", timeout=SLOW)

    assert (result["commits"], result["landing"]) == ([], None)
    assert any("git refused it: no rounds" in note for note in result["notes"])
    assert git(repository, "rev-parse", "main") == tip
    assert "uncommitted" in {each["kind"] for each in result["attention"]}


def test_messages_can_be_read_whatever_the_repositorys_encoding(make_agent_rig: MakeAgentRig) -> None:
    """The task's commit, and the merge."""
    rig, repository = a_rig(
        make_agent_rig, work="touch there; while [ ! -e $HOME/go ]; do sleep 0.05; done; echo a > work.txt"
    )
    git(repository, "config", "i18n.commitEncoding", "ISO-8859-1")
    rig.start()
    rig.ask("task-a", "# Grün ✓")
    eventually(
        lambda: list(rig.home.glob(".local/share/task-queue/worktrees/*/*/task-a/there")),
        timeout=SLOW,
        what="the task works",
    )
    (repository / "mine.txt").write_text("mine\n")
    git(repository, "add", "mine.txt")
    git(repository, "commit", "-qm", "By hand")
    (rig.home / "go").touch()
    assert rig.result("task-a", timeout=SLOW)["landing"]["state"] == "landed"

    shown = git(repository, "-c", "i18n.logOutputEncoding=UTF-8", "log", "-3", "--format=%s").splitlines()
    assert sorted(shown) == ["By hand", "Grün ✓", "Merge task-queue/task-a: Grün ✓"]


@pytest.mark.long
def test_a_key_that_waits_for_its_passphrase_is_told_before_the_agent_works(
    make_agent_rig: MakeAgentRig,
) -> None:
    rig, repository = a_rig(make_agent_rig)
    program = rig.home / "gpg"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    git(repository, "config", "gpg.program", str(program))
    git(repository, "config", "commit.gpgSign", "true")
    rig.start()
    rig.ask("task-a", "# Write a line")

    def says_it() -> bool:
        shown = " ".join(rig.cli("tasks", "show", "task-a").stdout.split())
        return "signing did not end within 15 s" in shown and "unlock the key" in shown

    eventually(says_it, timeout=SLOW, what="it says what to do")
    assert rig.model.requests == []
    program.with_name("gpg.new").write_text(SIGNS)
    program.with_name("gpg.new").chmod(0o755)
    program.with_name("gpg.new").rename(program)
    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "landed")
    assert sum(attempt["counted"] for attempt in result["attempts"]) == 1
    assert "BEGIN PGP SIGNATURE" in git(repository, "cat-file", "commit", "main")


def test_a_hook_that_fails_after_the_checkout_costs_no_attempt(make_agent_rig: MakeAgentRig) -> None:
    rig, repository = a_rig(make_agent_rig)
    a_hook(repository / ".git/hooks", "post-checkout", "echo no network; exit 1")
    rig.start()
    rig.ask("task-a", "# Write a line")
    result = rig.result("task-a", timeout=SLOW)

    assert [attempt["outcome"] for attempt in result["attempts"]] == ["succeeded"]
    assert "the hook post-checkout failed: no network" in result["notes"]
    assert git(repository, "show", "main:work.txt") == "round"


@pytest.mark.long
@pytest.mark.parametrize("how", ["reboot", "pause"])
def test_work_that_is_gone_is_done_again(make_agent_rig: MakeAgentRig, how: str) -> None:
    """While it was verified the machine went down, or the queue was stopped for days; then the checkout was gone.

    Another boot id in the records stands for the reboot, and earlier file times for the days.
    """
    waits = "touch $HOME/verifying; while [ ! -e $HOME/go ]; do sleep 0.05; done"
    rig, repository = a_rig(make_agent_rig, verify=[waits])
    daemon = rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "verifying").exists, timeout=SLOW, what="the work is verified")
    if how == "reboot":
        daemon.kill()
        daemon.wait()
        os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
        for pid in rig.marked():
            kill(pid)
        _of_another_boot(rig)
    else:
        rig.stop(daemon)
    (tree,) = rig.home.glob(".local/share/task-queue/worktrees/*/a/task-a")
    shutil.rmtree(tree)
    if how == "pause":
        _long_ago(rig.home / "tasks")
        _long_ago(repository / ".git")
    (rig.home / "go").touch()
    rig.start()
    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "landed")
    assert git(repository, "show", "main:work.txt") == "round"
    assert (
        "the files are not those that the earlier attempt finished with: the work was done again"
        in result["notes"]
    )


def _of_another_boot(rig: AgentRig) -> None:
    """Its records name a live process of these very start ticks, which began after the boot."""
    stranger = os.getpid()
    assert runs(stranger)
    ticks = int(Path(f"/proc/{stranger}/stat").read_text().rpartition(")")[2].split()[19])
    path = rig.queue() / "logs/task-a/attempt-1/run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"pid": stranger, "pid_start_ticks": ticks, "boot_id": "0" * 36}))
    (lock,) = rig.locks(task_id="task-a")
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"boot_id": "0" * 36}))


def _long_ago(folder: Path) -> None:
    then = time.time() - DAYS_S
    for path in folder.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)
