"""What an auditor may have run, in a checkout that is thrown away; with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.claude.checks_tool import CALLED
from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from tests.acceptance.agents import bash
from tests.acceptance.audits import SLOW, a_repository, audited, audits, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_sandbox import WHY_NOT
from tests.waiting import eventually

LANDING = {"isolation": "worktree", "landing": "merge"}


def run_check(command: str) -> UseTool:
    return UseTool(CALLED, {"command": command})


class Agents:
    """The implementer does its *work*, a call each turn; each auditor makes *calls*, then gives its verdict."""

    def __init__(self, *calls: UseTool, work: tuple[str, ...] = ("echo work > work.txt",)) -> None:
        self.calls = calls
        self.work = work
        self.decision = "pass"
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            self.seen.append(request)
            if request.turn <= len(self.calls):
                return self.calls[request.turn - 1]
            is_last = request.turn == len(self.calls) + 1
            return (
                verdict(self.decision, *([] if self.decision == "pass" else ["no"]))
                if is_last
                else Say("done")
            )
        return bash(self.work[request.turn - 1]) if request.turn <= len(self.work) else Say("done")

    @property
    def answers(self) -> list[str]:
        """To the calls of the last audit."""
        return self.seen[-1].tool_results


def round_of(result: dict[str, Any], number: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = result["audit"]["rounds"][number]
    return found


def of_owner(repository: Path) -> tuple[object, ...]:
    """What a task may not change there, besides the branch that it lands on."""
    common = repository / ".git"
    return (
        git(repository, "for-each-ref", "refs/tags", "refs/stash", "refs/heads/evil"),
        (common / "config").read_bytes(),
        sorted((common / "hooks").iterdir()),
        git(repository, "status", "--porcelain"),
    )


def test_an_auditor_has_the_checks_run_and_changes_nothing(make_agent_rig: MakeAgentRig) -> None:
    """Of what it makes in its checkout (files, commits, hooks, refs) nothing is in the result or the repository.

    It sees the output, after set-up, which may change files of the result. Other commands are denied, whatever the
    project's settings allow. Its runs and denials are in result and report; what the implementer was denied is
    attention, although the audit passed.
    """
    spoil = "echo evil > work.txt; touch by-auditor.txt; git add -A; git commit -qm Evil; git tag evil"
    hooks = (
        "echo 'exit 1' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; git config core.editor evil"
    )
    check = "cat deps work.txt first.txt; pwd >> $HOME/places; exit 0"
    agents = Agents(
        run_check(check),
        run_check(f"sh -c '{spoil}'"),
        run_check(f"""sh -c "{hooks}" && sh -c 'exit 3'"""),
        UseTool("Read", {"file_path": "work.txt"}),
        run_check(f"{check}; rm -rf work.txt"),
        run_check("FOO=1 sh -c true"),
        run_check("sh -c true > by-auditor.txt"),
        run_check(check),
        bash("cat work.txt"),
        work=("git push origin main", "echo work > work.txt"),
    )
    rig = make_agent_rig(agents, **audited(**LANDING), audit={"allow": ["Bash(sh:*)"]})
    settings = rig.workspace / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"permissions": {"allow": ["Bash", "mcp__queue__run_check(*)", "Write"]}}))
    document = json.loads(rig.config.read_text())
    document["task_source_directories"][0]["setup"] = ["echo made > deps; echo set >> first.txt"]
    rig.config.write_text(json.dumps(document))
    repository = a_repository(rig)
    before = of_owner(repository)
    rig.start()
    rig.ask("task-a", "# Write a line", verify=json.dumps(check))

    result = rig.result("task-a", timeout=SLOW)

    found, report = round_of(result), (rig.queue() / "reports/task-a.md").read_text()
    assert (result["outcome"], result["landing"]["state"]) == ("succeeded", "landed"), result
    assert git(repository, "show", "--name-only", "--format=%s", "HEAD").split("\n") == [
        "Write a line",
        "",
        "work.txt",
    ]
    assert (git(repository, "show", "HEAD:work.txt"), of_owner(repository)) == ("work", before)
    assert CALLED in agents.seen[0].tool_names
    assert [run["exit_code"] for run in found["runs"]] == [0, 0, 3, 0]
    assert [found["runs"][number]["tail"] for number in (0, 3)] == ["made\nwork\nfirst\nset\n"] * 2
    assert "made\nwork" in agents.answers[0]
    assert "were put back: first.txt, work.txt" in agents.answers[1]
    assert "work" in agents.answers[3]
    assert "evil" not in agents.answers[3]
    assert [call["tool_input"]["command"] for call in found["denials"]] == [
        "cat work.txt",
        f"{check}; rm -rf work.txt",
        "FOO=1 sh -c true",
        "sh -c true > by-auditor.txt",
    ]
    assert f"- ran `{check}`: passed" in report
    assert "- was denied `run_check FOO=1 sh -c true;" in report
    assert [(need["kind"], need["sentence"]) for need in result["attention"]] == [
        ("denied", "the agent was denied: Bash"),
        ("changed_judges", "it changed files that judge the work: work.txt (added)"),
    ]
    verified, audits_own, _ = (rig.home / "places").read_text().split()
    assert (Path(verified).suffix, Path(audits_own).suffix) == (".verify", ".audit")
    assert not Path(audits_own).exists()


def test_an_audit_that_is_done_again_runs_them_too(make_agent_rig: MakeAgentRig) -> None:
    """After its runner was killed in the middle of a run, and with ``--from audit``; what was denied is still said."""
    agents = Agents(work=("git push origin main", "echo work > work.txt"))
    agents.decision = "fail"
    rig = make_agent_rig(agents, **audited(**LANDING, max_iterations=1), audit={"allow": ["Bash(sh:*)"]})
    script = rig.home / "check.sh"
    script.write_text("echo ran >> $HOME/ran; while [ ! -e $HOME/go ]; do sleep 0.05; done")
    agents.calls = (run_check(f"sh {script}"),)
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line", retry_delay="1s")
    eventually((rig.home / "ran").exists, what="the auditor's command runs", timeout=SLOW)
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)

    (rig.home / "go").touch()
    failed = rig.result("task-a", timeout=SLOW)
    agents.decision = "pass"
    rig.cli("tasks", "retry", "task-a", "--from", "audit", check=True)
    done = rig.result("task-a", timeout=SLOW)

    assert [failed["outcome"], done["outcome"]] == ["audit_rejected", "succeeded"]
    assert [run["exit_code"] for result in (failed, done) for run in round_of(result)["runs"]] == [0, 0]
    assert len((rig.home / "ran").read_text().split()) == 3
    assert [need["kind"] for need in done["attention"]] == ["denied"]
    assert not list((rig.home / ".local/share/task-queue/worktrees").rglob("*.audit"))


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_what_an_auditor_has_run_is_in_the_sandbox_of_verification(make_agent_rig: MakeAgentRig) -> None:
    """It writes its checkout alone, sees no file of the queue's, and does not get the login."""
    escape = "echo out > $HOME/escaped; cat $HOME/config.json; echo in > inside; cat inside; env"
    agents = Agents(run_check(f"sh -c '{escape}'"))
    rig = make_agent_rig(
        agents, **audited(**LANDING, permissions="sandboxed"), audit={"allow": ["Bash(sh:*)"]}
    )
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    (ran,) = round_of(result)["runs"]
    assert result["outcome"] == "succeeded", result
    assert not (rig.home / "escaped").exists()
    assert "in\n" in agents.answers[0]
    assert "task_source_directories" not in agents.answers[0]
    assert "ANTHROPIC_API_KEY" not in agents.answers[0]
    assert ran["exit_code"] == 0


@pytest.mark.long
def test_a_cancel_ends_what_an_auditor_has_run(make_agent_rig: MakeAgentRig) -> None:
    agents = Agents()
    rig = make_agent_rig(agents, **audited(**LANDING), audit={"allow": ["Bash(sh:*)"]})
    agents.calls = (run_check(f"sh -c 'echo > {rig.home}/runs; exec sleep 600'"),)
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    eventually((rig.home / "runs").exists, what="the auditor's command runs", timeout=SLOW)

    rig.cli("tasks", "cancel", "task-a", check=True)

    assert rig.result("task-a", timeout=SLOW)["outcome"] == "cancelled"
    assert rig.marked() == []
