"""The audited workflow with the real daemon, SDK, CLI and git; implementer and auditor are scripted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from task_queue.agents.claude.checks_tool import CALLED
from task_queue.demo.scripted_model import Hang, Reply, Request, Say, UseTool
from tests.acceptance.agents import bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.sampling import short_and_long
from tests.waiting import eventually


def test_work_that_passes_its_audit_is_committed(make_agent_rig: MakeAgentRig) -> None:
    """One round, one commit with trailers, a report beside it."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line\n\nInto work.txt.")

    result = rig.result("task-a", timeout=SLOW)
    message = git(repository, "log", "-1", "--format=%B")
    report = (rig.queue() / "reports/task-a.md").read_text()

    assert (result["outcome"], result["audit"]["verdict"]) == ("succeeded", "pass")
    assert result["commits"] == [git(repository, "rev-parse", "HEAD")]
    assert message.startswith("Write a line")
    assert "Task-Id: task-a" in message
    assert git(repository, "status", "--porcelain") == ""
    assert "Into work.txt." in script.audits[0]
    assert "+round" in script.audits[0]
    assert "I say pass" in report
    assert set(result["cost_by_phase"]) == {"implement 1", "audit 1"}
    assert set(result["seconds_by_phase"]) == {"prepare", "implement 1", "verify 1", "audit 1", "commit"}
    assert "- `work.txt` +1 -0\n" in report
    assert f"- `{result['commits'][0][:12]}` Write a line\n" in report
    assert result["total_cost_usd"] == pytest.approx(sum(result["cost_by_phase"].values()))
    by_model = sum(used["costUSD"] for used in result["model_usage"].values())
    assert by_model == pytest.approx(result["total_cost_usd"])
    assert git(repository, "for-each-ref", "refs/task-queue") == ""
    assert not list((repository / ".git").glob("task-queue-at-work/*"))


@pytest.mark.long
def test_findings_go_back_to_the_same_session(make_agent_rig: MakeAgentRig) -> None:
    """The second round hears what the auditor found, and is audited anew."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write lines")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "succeeded"
    assert [each["verdict"] for each in result["audit"]["rounds"]] == ["fail", "pass"]
    assert "a line is missing" in script.told[1]
    assert (repository / "work.txt").read_text() == "round\nround\n"
    assert len(result["commits"]) == 1
    assert script.turns == [1, 3]


@pytest.mark.long
def test_three_rejections_fail_with_everything_kept(make_agent_rig: MakeAgentRig) -> None:
    """Nothing is committed; what was left lies on a ref and in the files."""
    rig = make_agent_rig(TwoAgents(*[verdict("fail", "no good")] * 3), **audited())
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write lines")

    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["state"], result["commits"]) == ("audit_rejected", "failed", [])
    assert (repository / "work.txt").read_text() == "round\n" * 3
    assert "refs/task-queue/task-a/leftovers" in git(repository, "for-each-ref")
    assert any("leftovers" in note for note in result["notes"])
    assert "- `work.txt` +3 -0\n" in (rig.queue() / "reports/task-a.md").read_text()


@pytest.mark.parametrize("isolation", short_and_long(["worktree"], ["none"]))
def test_a_retried_task_goes_on_with_what_it_left(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    """A person's retry: the earlier attempt's files are audited and committed as the task's own."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig = make_agent_rig(script, **audited(max_iterations=1, isolation=isolation, landing="merge"))
    repository = a_repository(rig)
    if isolation == "none":
        (repository / "mine.txt").write_text("a person's\n")
    rig.start()
    rig.ask("task-a", "# Write lines")
    failed = rig.result("task-a", timeout=SLOW)
    rig.cli("tasks", "retry", "task-a", check=True)
    eventually((rig.queue() / "completed/task-a.md").exists, timeout=SLOW, what="the retried task is done")

    result = rig.result("task-a", timeout=SLOW)
    assert (failed["outcome"], result["outcome"]) == ("audit_rejected", "succeeded")
    assert (repository / "work.txt").read_text() == "round\nround\n"
    assert git(repository, "show", "--name-only", "--format=", "HEAD") == "work.txt"
    assert git(repository, "status", "--porcelain") == ("?? mine.txt" if isolation == "none" else "")
    assert "left these files changed" in script.told[1]
    assert "`work.txt`" in script.told[1]
    assert "+round\n+round\n" in script.audits[1]
    assert not any("left uncommitted" in note for note in result["notes"])


def test_verification_decides_whatever_the_agent_says(make_agent_rig: MakeAgentRig) -> None:
    """A failing command sends its output back; one that never passes fails the task, unaudited."""
    script = TwoAgents()
    rig = make_agent_rig(script, **audited(max_iterations=2))
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line", verify="echo it is red; exit 3")

    result = rig.result("task-a", timeout=SLOW)

    assert result["outcome"] == "verify_failed"
    assert (result["verification"][0]["exit_code"], script.audits) == (3, [])
    assert "it is red" in script.told[1]


@pytest.mark.long
def test_an_auditor_who_would_pass_it_does_not_outweigh_verification(make_agent_rig: MakeAgentRig) -> None:
    """What verified once has to verify in every round; the pass that the auditor has ready is not asked for."""
    script = TwoAgents(verdict("fail", "a line is missing"), verdict("pass"))
    rig = make_agent_rig(script, **audited(max_iterations=2))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write one line", verify="test $(wc -l < work.txt) = 1")

    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["state"], result["commits"]) == ("verify_failed", "failed", [])
    assert [each["verdict"] for each in result["audit"]["rounds"]] == ["fail"]
    assert (len(script.audits), len(script.verdicts)) == (1, 1)
    assert git(repository, "rev-list", "--count", "HEAD") == "1"


def test_an_auditor_that_edits_files_is_void(make_agent_rig: MakeAgentRig) -> None:
    """And one that gives no verdict counts for nothing: twice void is a rejection."""

    def script(request: Request) -> Reply:
        if audits(request):
            with (rig.workspace / "sneaky.txt").open("a") as file:
                file.write("edited\n")
            return verdict("pass") if request.turn == 1 else Say("done")
        return Say("I did nothing")

    rig = make_agent_rig(script, **audited())
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "audit_rejected"
    assert "changed while the auditor" in result["audit"]["summary"]


def test_an_auditor_can_only_read(make_agent_rig: MakeAgentRig) -> None:
    """In place. It begins with nothing of the implementer's conversation; what it tries to write is denied."""
    seen: list[Request] = []

    def script(request: Request) -> Reply:
        if not audits(request):
            return Say("I am sure of it") if just_ran(request) else bash("echo round >> work.txt")
        seen.append(request)
        tries = (
            bash("touch by-bash.txt"),
            UseTool("Write", {"file_path": str(rig.workspace / "by-write.txt"), "content": "x"}),
            UseTool("Read", {"file_path": "work.txt"}),
            verdict("pass"),
        )
        return tries[request.turn - 1] if request.turn <= len(tries) else Say("done")

    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert (result["outcome"], result["permission_denials"]) == ("succeeded", [])
    (audit,) = result["audit"]["rounds"]
    assert (audit["could_run"], [call["tool_name"] for call in audit["denials"]]) == (None, ["Bash", "Write"])
    assert CALLED not in seen[0].tool_names
    assert "it could only read" in (rig.queue() / "reports/task-a.md").read_text()
    assert not list(repository.glob("by-*.txt"))
    assert "assistant" not in {message["role"] for message in seen[0].body["messages"]}
    assert "disabled" in seen[1].tool_results[-1]
    assert "round" in seen[3].tool_results[-1]
    assert git(repository, "show", "--name-only", "--format=", "HEAD") == "work.txt"


def test_a_persons_uncommitted_changes_stay_theirs(make_agent_rig: MakeAgentRig) -> None:
    """They are in no commit of ours, lie where they lay, and are kept on a ref besides."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited())
    repository = a_repository(rig)
    (repository / "first.txt").write_text("mine\n")
    (repository / "new.txt").write_text("mine too\n")
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert git(repository, "show", "--name-only", "--format=", "HEAD") == "work.txt"
    assert git(repository, "status", "--porcelain") == "M first.txt\n?? new.txt"
    assert git(repository, "show", "refs/task-queue/task-a/checkpoint:new.txt") == "mine too"
    assert any("checkpoint" in note for note in result["notes"])


def test_without_git_the_work_is_audited_and_not_committed(make_agent_rig: MakeAgentRig) -> None:
    """And the result says so; it, its report and the auditor's prompt name the files that changed."""
    script = TwoAgents(verdict("pass"), work="echo round >> work.txt; rm old.txt")
    rig = make_agent_rig(script, **audited())
    (rig.workspace / "old.txt").write_text("old")
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)
    assert (result["outcome"], result["commits"]) == ("succeeded", [])
    assert "not a git repository" in result["notes"][0]
    assert result["files"] == [
        {"path": "old.txt", "change": "deleted"},
        {"path": "work.txt", "change": "new"},
    ]
    assert "- `work.txt` new" in (rig.queue() / "reports/task-a.md").read_text()
    assert "deleted: old.txt\nnew: work.txt" in script.audits[0]


@pytest.mark.long
def test_a_conflict_leaves_the_branch(make_agent_rig: MakeAgentRig) -> None:
    """The task is done, its branch is kept, and the result names the file."""

    def script(request: Request) -> Reply:
        if audits(request):
            if request.turn == 1:
                (repository / "first.txt").write_text("theirs\n")
                git(repository, "commit", "-qam", "Theirs")
            return verdict("pass") if request.turn == 1 else Say("done")
        return Say("done") if just_ran(request) else bash("echo ours > first.txt")

    rig = make_agent_rig(script, **audited(isolation="worktree", landing="merge"))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Change the first line")

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "succeeded"
    assert "first.txt" in result["landed"]
    assert git(repository, "show", "task-queue/task-a:first.txt") == "ours"
    assert (repository / "first.txt").read_text() == "theirs\n"


@pytest.mark.parametrize(
    ("phase", "both"), short_and_long([("audit", False)], [("implement", False), ("audit", True)])
)
def test_a_killed_runner_goes_on_at_its_phase(make_agent_rig: MakeAgentRig, phase: str, both: bool) -> None:
    """No work is done twice, no commit made twice; nor where its daemon dies together with it."""
    hung: list[str] = []
    asked_again: list[str] = []

    def script(request: Request) -> Reply:
        auditing = audits(request)
        if hung and not auditing:
            asked_again.append(request.first_text)
        if auditing == (phase == "audit") and not hung and (auditing or just_ran(request)):
            hung.append(phase)
            return Hang(seconds=60)
        if auditing:
            return verdict("pass") if request.turn == 1 else Say("done")
        return Say("done") if just_ran(request) or hung else bash("echo round | tee -a work.txt")

    rig = make_agent_rig(script, **audited(retry_delay="1s"))
    repository = a_repository(rig)
    daemon = rig.start()
    rig.ask("task-a", "# Write a line")
    eventually(lambda: hung, timeout=SLOW, what=f"the {phase} hangs; {rig.errors()}")
    if both:
        rig.stop(daemon, signal.SIGKILL)
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    if both:
        rig.start()

    result = rig.result("task-a", timeout=SLOW)
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert bool(asked_again) == (phase == "implement")
    assert (repository / "work.txt").read_text() == "round\n"
    assert git(repository, "rev-list", "--count", "HEAD") == "2"
    assert len(result["commits"]) == 1


@pytest.mark.long
def test_what_a_runner_killed_in_its_last_attempt_left_is_kept(make_agent_rig: MakeAgentRig) -> None:
    """On a ref, before the next one begins, whose report tells of it."""
    hung: list[str] = []

    def script(request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("done")
        if "Write half" in request.first_text and just_ran(request):
            hung.append("half")
            return Hang(seconds=60)
        name = "half" if "Write half" in request.first_text else "next"
        return Say("done") if just_ran(request) else bash(f"echo {name} > {name}.txt")

    rig = make_agent_rig(script, **audited(max_attempts=1))
    repository = a_repository(rig)
    (repository / "mine.txt").write_text("mine\n")
    rig.start()
    rig.ask("task-half", "# Write half")
    eventually(lambda: hung, timeout=SLOW, what=f"the agent hangs; {rig.errors()}")
    os.kill(rig.run_record("task-half")["pid"], signal.SIGKILL)
    crashed = rig.result("task-half", timeout=SLOW)
    rig.ask("task-next", "# Write more")
    result = rig.result("task-next", timeout=SLOW)

    assert (crashed["outcome"], crashed["dead_letter"], result["outcome"]) == ("crashed", True, "succeeded")
    assert (crashed["workspace"], crashed["base_commit"]) == (str(repository), result["base_commit"])
    assert set(crashed["seconds_by_phase"]) == {"prepare", "implement 1"}
    assert git(repository, "show", "refs/task-queue/task-half/leftovers:half.txt") == "half"
    (said,) = [note for note in result["notes"] if "whose runner died" in note]
    assert "task-half, whose runner died, had left changes here: half.txt; they are kept on" in said
    assert "whose runner died" in (rig.queue() / "reports/task-next.md").read_text()
    assert git(repository, "show", "--name-only", "--format=", "HEAD") == "next.txt"
    assert git(repository, "status", "--porcelain") == "?? half.txt\n?? mine.txt"


@pytest.mark.long
def test_a_runner_killed_while_it_verifies_verifies_again(make_agent_rig: MakeAgentRig) -> None:
    """The implementer is not asked again."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited(retry_delay="1s"))
    repository = a_repository(rig)
    rig.start()
    rig.ask(
        "task-a", "# Write a line", verify="echo v >> ../verified; while [ ! -e ../go ]; do sleep 0.05; done"
    )
    eventually((rig.home / "verified").exists, timeout=SLOW, what="the verification runs")
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    (rig.home / "go").touch()

    result = rig.result("task-a", timeout=SLOW)
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert (repository / "work.txt").read_text() == "round\n"
    assert (rig.home / "verified").read_text() == "v\nv\n"
    assert len(script.told) == 1


def test_a_runner_killed_while_it_commits_commits_once(make_agent_rig: MakeAgentRig) -> None:
    """Killed in the repository's own hook: neither agent is asked again, and there is one commit."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited(retry_delay="1s"))
    repository = a_repository(rig)
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text(
        f"#!/bin/sh\necho h >> {rig.home}/hooked\nwhile [ ! -e {rig.home}/go ]; do sleep 0.05; done\n"
    )
    hook.chmod(0o700)
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "hooked").exists, timeout=SLOW, what="the hook runs")
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    (rig.home / "go").touch()

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "succeeded"
    assert git(repository, "rev-list", "--count", "HEAD") == "2"
    assert (len(script.told), len(script.audits)) == (1, 1)


@pytest.mark.long
def test_a_runner_killed_while_it_prepares_prepares_again(make_agent_rig: MakeAgentRig) -> None:
    """Killed in the set-up of the task's working tree, before any agent was started."""
    script = TwoAgents(verdict("pass"))
    rig = make_agent_rig(script, **audited(retry_delay="1s", isolation="worktree", landing="merge"))
    repository = a_repository(rig)
    document = json.loads(rig.config.read_text())
    until_told = f"echo s >> {rig.home}/set-up; while [ ! -e {rig.home}/go ]; do sleep 0.05; done"
    document["task_source_directories"][0]["setup"] = [until_told]
    rig.config.write_text(json.dumps(document))
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "set-up").exists, timeout=SLOW, what="the set-up runs")
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    (rig.home / "go").touch()

    result = rig.result("task-a", timeout=SLOW)
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert (rig.home / "set-up").read_text() == "s\ns\n"
    assert (repository / "work.txt").read_text() == "round\n"
    assert len(script.told) == 1


def test_a_fresh_checkout_is_made_ready_and_verified(make_agent_rig: MakeAgentRig) -> None:
    """Set-up commands run in the task's tree and in the checkout that is verified; neither is the workspace."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited(isolation="worktree", landing="merge"))
    repository = a_repository(rig)
    document = json.loads(rig.config.read_text())
    document["task_source_directories"][0]["setup"] = [f"pwd >> {rig.home}/made-ready"]
    rig.config.write_text(json.dumps(document))
    rig.start()
    rig.ask("task-a", "# Write a line", verify=f"pwd >> {rig.home}/verified; grep round work.txt")

    result = rig.result("task-a", timeout=SLOW)
    ready = (rig.home / "made-ready").read_text().split()
    assert result["outcome"] == "succeeded"
    assert (rig.home / "verified").read_text().split() == [ready[1]]
    assert len(set(ready)) == 2
    assert str(repository) not in ready
    assert not Path(ready[1]).exists()


@pytest.mark.long
def test_without_a_git_identity_the_commit_is_in_our_name(make_agent_rig: MakeAgentRig) -> None:
    """Better than work that was paid for and not committed."""
    rig = make_agent_rig(TwoAgents(verdict("pass")), **audited())
    repository = a_repository(rig)
    (rig.home / ".gitconfig").unlink()
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)
    assert len(result["commits"]) == 1
    assert git(repository, "log", "-1", "--format=%an") == "task-queue"


@pytest.mark.parametrize("workflow", short_and_long(["single"], ["audited"]))
def test_changed_judging_files_are_flagged(make_agent_rig: MakeAgentRig, workflow: str) -> None:
    """To the auditor, in the result and in a section of the report, also without verification commands."""
    script = TwoAgents(verdict("pass"), work="mkdir -p tests; echo 'def test(): pass' > tests/test_it.py")
    rig = make_agent_rig(script, **audited(workflow=workflow))
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a test")

    result = rig.result("task-a", timeout=SLOW)
    report = (rig.queue() / "reports/task-a.md").read_text()

    assert (result["outcome"], result["verification"]) == ("succeeded", [])
    assert result["changed_judges"] == ["tests/test_it.py (added)"]
    assert "## Files that judge the work, changed by it\n\n- `tests/test_it.py (added)`\n" in report
    assert all("tests/test_it.py (added)" in audit for audit in script.audits)
    assert len(script.audits) == (1 if workflow == "audited" else 0)
    assert "judge tests/test_it.py (added)" in " ".join(rig.cli("tasks", "show", "task-a").stdout.split())


def test_an_auditor_does_not_load_what_its_implementer_planted(make_agent_rig: MakeAgentRig) -> None:
    """A hook that appears while a task works runs in none of its later sessions, and the result says so."""
    hook = {"hooks": [{"type": "command", "command": "echo ran >> hooked"}]}
    planted = json.dumps({"hooks": {"UserPromptSubmit": [hook], "SessionStart": [hook]}})
    rig = make_agent_rig(TwoAgents(verdict("pass"), work="sh plant.sh"), **audited())
    # In a script of its own: the CLI itself refuses to write its settings.
    (rig.workspace / "plant.sh").write_text(
        f"mkdir -p .claude; printf %s '{planted}' > .claude/settings.json"
    )
    rig.start()
    rig.ask("task-plants", "plant it")

    result = rig.result("task-plants", timeout=SLOW)

    assert result["audit"]["verdict"] == "pass", result
    assert not rig.side_effects("hooked")
    assert any("settings, which are not as they were accepted" in note for note in result["notes"])
