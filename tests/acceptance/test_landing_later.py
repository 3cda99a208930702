"""A branch that could not land when its task ended lands when what was in the way is gone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.processes import environments
from tests.waiting import eventually


def appends_to_first(request: Request) -> Reply:
    if audits(request):
        return verdict("pass") if request.turn == 1 else Say("done")
    return Say("done") if just_ran(request) else bash("echo work >> first.txt")


def blocked(
    make_agent_rig: MakeAgentRig, *, sweep_s: float = 1, **more: Any
) -> tuple[AgentRig, Path, dict[str, Any]]:
    """A task is done, and a person's uncommitted line is in the way of its branch."""
    settings = audited(isolation="worktree", landing="merge", **more)
    rig = make_agent_rig(appends_to_first, sweep_seconds=sweep_s, **settings)
    repository = a_repository(rig)
    (repository / "first.txt").write_text("mine\n")
    rig.start()
    rig.ask("task-a", "# Write a line")
    return rig, repository, rig.result("task-a", timeout=SLOW)


def now(rig: AgentRig) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((rig.queue() / "results/task-a.json").read_text())
    return result


def attention(rig: AgentRig) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(rig.cli("status", "--json").stdout)["attention"]
    return [each for each in listed if each["kind"] == "not_landed"]


def test_a_branch_that_was_in_the_way_lands_by_itself(make_agent_rig: MakeAgentRig) -> None:
    """Until then it is attention; then result, report and attention say where it is."""
    rig, repository, result = blocked(make_agent_rig)
    (told,) = attention(rig)
    assert result["outcome"] == "succeeded"
    assert (result["landing"]["state"], result["landing"]["target"]) == ("waiting", "main")
    assert "uncommitted changes: first.txt" in told["sentence"]
    assert told["command"] == "task-queue tasks land task-a"
    assert rig.cli("status").returncode == 3

    git(repository, "restore", "first.txt")
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")

    after = now(rig)
    assert after["landed"] == "task-queue/task-a is in main (fast-forward)"
    assert (after["attention"], after["keep"]) == ([], [])
    assert (repository / "first.txt").read_text() == "first\nwork\n"
    assert attention(rig) == []
    assert rig.cli("status").returncode == 0
    assert "is in main" in (rig.queue() / "reports/task-a.md").read_text()
    assert '"type": "landed"' in rig.cli("events", "--json").stdout
    assert git(repository, "status", "--porcelain") == ""


def test_a_person_lands_it_at_once(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600)

    refused = rig.cli("tasks", "land", "task-a")
    git(repository, "restore", "first.txt")
    landed = rig.cli("tasks", "land", "task-a", "--json")
    again = rig.cli("tasks", "land", "task-a")

    assert (refused.returncode, "not landed: " in refused.stdout) == (1, True)
    assert "first.txt" in refused.stdout
    assert (landed.returncode, json.loads(landed.stdout)["landed"]) == (0, True)
    assert (again.returncode, "is in main" in again.stdout) == (0, True)
    assert now(rig)["attention"] == []


@pytest.mark.long
def test_a_settle_of_another_task_is_an_occasion(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600)
    git(repository, "restore", "first.txt")
    rig.drop_command("task-b", "true")
    rig.result("task-b")

    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")


@pytest.mark.long
def test_what_does_not_fit_any_more_does_not_land_later(make_agent_rig: MakeAgentRig) -> None:
    """The target moved meanwhile: the merge is checked, and once for the same files."""
    rig, repository, _ = blocked(
        make_agent_rig, verify=["echo ran >> $HOME/runs; test ! -e other.txt || { echo no fit; exit 1; }"]
    )
    git(repository, "restore", "first.txt")
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-qm", "Other")
    tip = git(repository, "rev-parse", "HEAD")
    eventually(lambda: "checks fail" in now(rig)["landed"], timeout=SLOW, what="the merge was checked")
    ran = len((rig.home / "runs").read_text().splitlines())
    rig.drop_command("task-b", "true", verify="[]")
    rig.result("task-b")

    assert "together with what is in main now" in now(rig)["landed"]
    assert git(repository, "rev-parse", "HEAD") == tip
    assert len(attention(rig)) == 1
    assert len((rig.home / "runs").read_text().splitlines()) == ran
    git(repository, "rm", "-q", "other.txt")
    git(repository, "commit", "-qm", "Without it")
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")


@pytest.mark.long
def test_a_daemon_killed_while_it_checks_a_landing_lands_it_later(make_agent_rig: MakeAgentRig) -> None:
    """With the process that checks, or without it."""
    wait = "test ! -e other.txt || { echo $$ >> $HOME/waits; while [ ! -e $HOME/go ]; do sleep 0.05; done; }"
    rig, repository, _ = blocked(make_agent_rig, verify=[wait])
    daemon = rig.daemons[-1]
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-qm", "Other", "other.txt")
    git(repository, "restore", "first.txt")
    eventually((rig.home / "waits").exists, timeout=SLOW, what="the merge is checked")
    daemon.kill()
    daemon.wait()
    os.kill(int((rig.home / "waits").read_text().split()[0]), signal.SIGKILL)
    (rig.home / "go").touch()
    rig.start()

    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")
    assert (
        git(repository, "log", "--format=%s", "--first-parent")
        .splitlines()[0]
        .startswith("Merge task-queue/task-a")
    )


def test_a_branch_that_a_person_deletes_is_given_up(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig)
    git(repository, "update-ref", "-d", "refs/heads/task-queue/task-a")
    eventually(lambda: now(rig)["landing"]["state"] == "given_up", timeout=SLOW, what="it is given up")

    assert (now(rig)["landed"], now(rig)["attention"]) == ("task-queue/task-a was deleted", [])
    assert attention(rig) == []


def test_what_has_no_branch_cannot_land(make_agent_rig: MakeAgentRig) -> None:
    rig, _, _ = blocked(make_agent_rig, sweep_s=600)
    rig.drop_command("task-b", "true")
    rig.result("task-b")

    answers = [rig.cli("tasks", "land", name) for name in ("task-b", "task-nothing")]

    assert [answer.returncode for answer in answers] == [1, 1]
    assert "has no branch that could land" in answers[0].stderr
    assert "there is no task task-nothing" in answers[1].stderr


UNTIL_GO = "test ! -e other.txt || { touch $HOME/proving; while [ ! -e $HOME/go ]; do sleep 0.05; done; }"
"""A check that takes its time once main has another commit."""


def with_another_commit(repository: Path, name: str = "other.txt") -> str:
    """main moves, and nothing is in the way of a merge any more. The commit."""
    (repository / name).write_text("other\n")
    git(repository, "add", name)
    git(repository, "commit", "-qm", "Other", name)
    git(repository, "restore", "first.txt")
    return git(repository, "rev-parse", "HEAD")


def tries_of(rig: AgentRig) -> list[int]:
    """The processes that land, or wait for the one that does."""

    def holds(process: Path) -> bool:
        with contextlib.suppress(OSError):
            return any(fd.readlink().name == ".landing" for fd in (process / "fd").iterdir())
        return False

    own = f"HOME={rig.home}".encode()
    return [pid for pid, lines in environments() if own in lines and holds(Path(f"/proc/{pid}"))]


def test_two_that_land_it_at_once_do_not_disturb_each_other(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600, verify=[UNTIL_GO])
    rig.stop(rig.daemons[-1])  # the daemon tries, too, once a task has ended
    with_another_commit(repository)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rig.cli, "tasks", "land", "task-a")
        eventually((rig.home / "proving").exists, timeout=SLOW, what="the merge is checked")
        second = pool.submit(rig.cli, "tasks", "land", "task-a")
        eventually(lambda: len(tries_of(rig)) == 2, timeout=SLOW, what="the second one waits")
        (rig.home / "go").touch()
        answers = [first.result(), second.result()]

    assert [(answer.returncode, "is in main" in answer.stdout) for answer in answers] == [(0, True)] * 2
    assert now(rig)["landing"]["state"] == "landed"
    assert len(git(repository, "log", "--merges", "--format=%H").split()) == 1
    assert tries_of(rig) == []


@pytest.mark.long
def test_what_a_check_leaves_running_is_ended_with_it(make_agent_rig: MakeAgentRig) -> None:
    leaves = "test ! -e other.txt || { setsid sleep 1000 > /dev/null 2>&1 & }"
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600, verify=[leaves])
    with_another_commit(repository)

    assert rig.cli("tasks", "land", "task-a").returncode == 0
    assert rig.marked() == []


@pytest.mark.long
def test_a_branch_that_a_person_merges_and_deletes_has_landed(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600)
    git(repository, "restore", "first.txt")
    git(repository, "merge", "-q", "--no-edit", "task-queue/task-a")
    git(repository, "update-ref", "-d", "refs/heads/task-queue/task-a")

    assert rig.cli("tasks", "land", "task-a").returncode == 0
    assert now(rig)["landed"] == "its commits are in main (already there)"
    assert (now(rig)["landing"]["state"], now(rig)["attention"]) == ("landed", [])


@pytest.mark.long
def test_what_came_after_a_merge_by_hand_does_not_count_as_checked(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600, verify=["test ! -e other.txt"])
    git(repository, "stash", "-q")
    git(repository, "merge", "-q", "--no-edit", "task-queue/task-a")
    tip = with_another_commit(repository)

    assert rig.cli("tasks", "land", "task-a").returncode == 0
    known = repository / ".git/task-queue-checks.json"
    assert not known.exists() or tip not in known.read_text()


@pytest.mark.long
def test_a_result_that_cannot_be_written_is_written_later(make_agent_rig: MakeAgentRig) -> None:
    """As on a full disk: until then the result says too little, and never the wrong thing."""
    rig, repository, _ = blocked(make_agent_rig)
    report = rig.queue() / "reports/task-a.md"
    report.unlink()
    (report / "in the way").mkdir(parents=True)
    git(repository, "restore", "first.txt")
    eventually(lambda: "work" in (repository / "first.txt").read_text(), timeout=SLOW, what="it lands")
    eventually(lambda: "not landed source=a task=task-a" in rig.daemon_log(), what="it is logged")
    assert now(rig)["landing"]["state"] == "waiting"

    shutil.rmtree(report)
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the result says so")
    assert "is in main" in report.read_text()


@pytest.mark.long
def test_a_result_that_a_person_has_edited_keeps_no_other_from_landing(make_agent_rig: MakeAgentRig) -> None:
    rig, repository, result = blocked(make_agent_rig)
    path = rig.queue() / "results/task-a.json"
    path.write_text(json.dumps({**result, "attempts": []}))
    eventually(lambda: "names no attempt" in rig.daemon_log(), timeout=SLOW, what="it is logged")
    refused = rig.cli("tasks", "land", "task-a")
    assert (refused.returncode, "names no attempt" in refused.stderr) == (1, True)
    path.write_text(json.dumps({**result, "landing": {**result["landing"], "target": "a\0b"}}))
    eventually(lambda: "embedded null byte" in rig.daemon_log(), timeout=SLOW, what="it is logged")

    path.write_text(json.dumps(result))
    git(repository, "restore", "first.txt")  # not sooner: a try that has read the result before would land it
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")


@pytest.mark.long
def test_a_daemon_that_stops_while_it_checks_ends_the_check(make_agent_rig: MakeAgentRig) -> None:
    """Also one that ignores SIGTERM; the branch lands with the next daemon."""
    rig, repository, _ = blocked(make_agent_rig, verify=[f"trap '' TERM; {UNTIL_GO}"])
    tip = with_another_commit(repository)
    eventually((rig.home / "proving").exists, timeout=SLOW, what="the merge is checked")
    rig.stop(rig.daemons[-1])

    eventually(lambda: tries_of(rig) == rig.marked() == [], what="nothing is left")
    assert git(repository, "rev-parse", "main") == tip
    assert now(rig)["landing"]["state"] == "waiting"
    (rig.home / "go").touch()
    rig.start()
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")


@pytest.mark.long
def test_a_target_that_has_another_name_meanwhile(make_agent_rig: MakeAgentRig) -> None:
    """It lands when the branch is there again."""
    rig, repository, _ = blocked(make_agent_rig, sweep_s=600)
    git(repository, "restore", "first.txt")
    git(repository, "branch", "-m", "main", "trunk")
    refused = rig.cli("tasks", "land", "task-a")
    assert (refused.returncode, "there is no branch main" in refused.stdout) == (1, True)
    assert now(rig)["landing"]["state"] == "waiting"

    git(repository, "branch", "-m", "trunk", "main")
    assert rig.cli("tasks", "land", "task-a").returncode == 0
    assert (repository / "first.txt").read_text() == "first\nwork\n"


@pytest.mark.long
def test_a_target_that_is_renamed_while_the_task_works(make_agent_rig: MakeAgentRig) -> None:
    """The result and attention say that it is gone; the branch lands by itself once it is back."""
    settings = audited(isolation="worktree", landing="merge")
    rig = make_agent_rig(appends_to_first, sweep_seconds=1, **settings)
    repository = a_repository(rig)
    rig.start()
    once = f"test -e {rig.home}/renamed || (touch {rig.home}/renamed && git -C {repository} branch -m main trunk)"
    rig.ask("task-a", "# Write a line", verify=once)
    result = rig.result("task-a", timeout=SLOW)
    (told,) = attention(rig)
    git(repository, "branch", "-m", "trunk", "main")
    eventually(lambda: now(rig)["landing"]["state"] == "landed", timeout=SLOW, what="the branch lands")

    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "waiting")
    assert "there is no branch main any more" in told["sentence"]
    assert (repository / "first.txt").read_text() == "first\nwork\n"
