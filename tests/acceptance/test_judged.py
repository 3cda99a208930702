"""What lands is what was judged: what an agent hides from its auditor, or does after the verdict, is in no commit."""

from __future__ import annotations

import os
import shlex
import signal
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.processes import runs
from tests.sampling import short_and_long
from tests.waiting import eventually

OURS = "Mine\n\nTask-Id: task-a\nTask-Queue-Attempt: 1\nTask-Queue-Cost: 0.0000 USD"
COMMIT = f"git add --all; git -c user.name=A -c user.email=a@example.org commit -qm {shlex.quote(OURS)}"
HOOK = "printf '#!/bin/sh\\ntouch .git/ran; echo planted > evil.txt; git add evil.txt\\n' > .git/hooks/pre-commit"
_PLANTING = f"mkdir -p .git/hooks; {HOOK}; chmod +x .git/hooks/pre-commit"


def spelled(command: str) -> str:
    """So that the CLI, which looks at a command's words, lets it run."""
    return f"echo {b64encode(command.encode()).decode()} | base64 -d | sh"


PLANT = spelled(_PLANTING)
OWN = {"isolation": "worktree", "landing": "merge"}
PLACES = pytest.mark.parametrize("place", short_and_long([OWN], [{}]), ids=["a checkout", "in place"])


def carried_out(
    make_agent_rig: MakeAgentRig, script: TwoAgents, **settings: Any
) -> tuple[AgentRig, Path, dict[str, Any]]:
    """One task, and its result."""
    rig = make_agent_rig(script, **audited(**settings))
    repository = a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    return rig, repository, rig.result("task-a", timeout=SLOW)


def files_of(repository: Path) -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", "main").split()


@PLACES
def test_what_was_committed_and_removed_again_does_not_land(
    make_agent_rig: MakeAgentRig, place: dict[str, Any]
) -> None:
    """With the queue's own trailers, which are the agent's word."""
    script = TwoAgents(
        verdict("pass"), work=f"echo planted > evil.txt; {COMMIT}; rm evil.txt; echo x > work.txt"
    )

    _, repository, result = carried_out(make_agent_rig, script, **place)

    assert (result["outcome"], files_of(repository)) == ("succeeded", ["first.txt", "work.txt"])
    assert "planted" not in script.audits[0]
    assert result["commits"][-1] == git(repository, "rev-parse", "main")


@PLACES
def test_a_process_that_waits_for_the_verdict_is_ended_before_it(
    make_agent_rig: MakeAgentRig, place: dict[str, Any], tmp_path: Path
) -> None:
    """It has left the agent's session and its environment; it would write, and commit, once the audit is over."""
    told, wait = tmp_path / "pid", f"while [ ! -e {tmp_path}/audited ]; do sleep 0.05; done"
    evil = shlex.quote(f"echo $$ > {told}; {wait}; echo planted > evil.txt; {COMMIT}")
    here = f'PATH="$PATH" HOME="$HOME" setsid sh -c {evil} >/dev/null 2>&1 </dev/null &'
    work = f"echo x > work.txt; env -i {here} while [ ! -s {told} ]; do sleep 0.05; done"
    alive: list[bool] = []

    class Watching(TwoAgents):
        def __call__(self, request: Request) -> Reply:
            if audits(request):
                alive.append(runs(int(told.read_text())))
                (tmp_path / "audited").touch()
            return super().__call__(request)

    script = Watching(verdict("pass"), work=work)
    _, repository, result = carried_out(make_agent_rig, script, **place)

    assert (result["outcome"], files_of(repository)) == ("succeeded", ["first.txt", "work.txt"])
    assert set(alive) == {False}
    assert result["commits"] == [git(repository, "rev-parse", "main")]


@PLACES
def test_a_hook_that_the_agent_planted_does_not_run(
    make_agent_rig: MakeAgentRig, place: dict[str, Any]
) -> None:
    """It would: the control lets it."""
    script = TwoAgents(verdict("pass"), work=f"{PLANT}; echo x > work.txt")

    _, repository, result = carried_out(make_agent_rig, script, **place)
    worked_in = Path(result["workspace"])

    assert (result["outcome"], files_of(repository)) == ("succeeded", ["first.txt", "work.txt"])
    assert not (worked_in / ".git/ran").exists()
    assert git(worked_in, "hook", "run", "pre-commit") == ""
    assert (worked_in / ".git/ran").exists()


def test_what_a_hook_of_the_owner_makes_of_it_is_verified_and_audited_again(
    make_agent_rig: MakeAgentRig,
) -> None:
    """In place, where nothing is proven by a landing. What it adds at every commit is left out in the end."""
    script = TwoAgents(verdict("pass"), verdict("pass"))
    rig = make_agent_rig(script, **audited(verify=["cat work.txt >> ../verified"]))
    repository = a_repository(rig)
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho formatted > work.txt\necho x >> count\ngit add work.txt count\n")
    hook.chmod(0o755)
    rig.start()
    rig.ask("task-a", "# Write a line")

    result = rig.result("task-a", timeout=SLOW)

    assert (git(repository, "show", "main:work.txt"), git(repository, "show", "main:count")) == (
        "formatted",
        "x",
    )
    assert (repository.parent / "verified").read_text() == "round\nformatted\n"
    assert ["+formatted" in diff for diff in script.audits] == [False, True]
    assert {
        "changed by the repository's hooks, and judged again with that: count, work.txt",
        "not in the commit, because the repository's hooks changed it and nothing judged it: count",
    } <= set(result["notes"])


@pytest.mark.long
@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
def test_a_change_that_git_was_told_to_skip_is_judged(make_agent_rig: MakeAgentRig, how: str) -> None:
    script = TwoAgents(verdict("pass"), work=f"git update-index {how} first.txt; echo planted > first.txt")

    _, repository, _ = carried_out(make_agent_rig, script)

    assert "+planted" in script.audits[0]
    assert git(repository, "show", "main:first.txt") == "planted"


@PLACES
def test_attributes_and_replacements_do_not_hide_it_from_the_auditor(
    make_agent_rig: MakeAgentRig, place: dict[str, Any]
) -> None:
    harmless = "git replace $(git hash-object -w evil.txt) $(echo harmless | git hash-object -w --stdin)"
    attributes = "mkdir -p .git/info; echo '*.txt -diff' | tee .gitattributes > .git/info/attributes"
    script = TwoAgents(verdict("pass"), work=f"echo planted > evil.txt; {harmless}; {attributes}")

    carried_out(make_agent_rig, script, **place)

    assert "+planted" in script.audits[0]


@pytest.mark.parametrize(
    ("place", "rules"),
    short_and_long(
        [({}, ".git/info/exclude")],
        [({}, ".gitignore"), (OWN, ".gitignore"), (OWN, ".git/info/exclude")],
    ),
)
def test_what_a_task_hides_from_git_is_named_to_its_auditor(
    make_agent_rig: MakeAgentRig, place: dict[str, Any], rules: str
) -> None:
    """By rules that no diff shows; in the repository of a checkout they hide nothing from the queue."""
    hide = spelled(f"mkdir -p .git/info; printf '.gitignore\\nevil.txt\\n' > {rules}")
    script = TwoAgents(verdict("pass"), work=f"echo planted > evil.txt; echo x > work.txt; {hide}")

    _, repository, result = carried_out(make_agent_rig, script, **place)

    if place and rules != ".gitignore":
        assert "+planted" in script.audits[0]
        return
    assert "evil.txt (hidden from git by " in script.audits[0]
    assert any("not in the commit: evil.txt (hidden from git by " in note for note in result["notes"])
    assert files_of(repository) == ["first.txt", "work.txt"]


class Retried:
    """Commits something in its first attempt, which ends there; its next one does no harm."""

    def __init__(self, first: str) -> None:
        self.first: str | None = first
        self.audits: list[str] = []

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            if request.turn > 1:
                return Say("that is my verdict")
            self.audits.append(request.last_text)
            return (
                verdict("pass") if self.first is None and len(self.audits) > 1 else verdict("blocked", "no")
            )
        if just_ran(request):
            return Say("done")
        work, self.first = self.first or "echo x > work.txt", None
        return bash(work)


@pytest.mark.long
def test_what_an_earlier_attempt_committed_is_judged_by_the_next(make_agent_rig: MakeAgentRig) -> None:
    """It lands with the branch, though the attempt that made it was rejected."""
    script = Retried(f"echo planted > evil.txt; {COMMIT}")
    rig = make_agent_rig(script, **audited(**OWN))
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line")
    assert rig.result("task-a", timeout=SLOW)["outcome"] == "audit_rejected"

    rig.cli("tasks", "retry", "task-a", check=True)
    eventually(lambda: len(script.audits) == 2, timeout=SLOW, what="the second attempt is audited")

    assert "+planted" in script.audits[1]


FORGED_CHECKPOINT = (
    "r=refs/task-queue/task-a/checkpoint; echo planted > evil.txt; git add evil.txt;"
    " git show -s --format=%B $r > ../message; set -- $(git show -s --format=%P $r);"
    " git update-ref $r $(git commit-tree $(git write-tree) -p $1 -p $2 -F ../message); git reset -q"
)


@pytest.mark.parametrize(
    "moved",
    short_and_long(
        [FORGED_CHECKPOINT],
        ["echo planted > evil.txt; git update-ref -d refs/task-queue/task-a/checkpoint"],
    ),
)
def test_a_checkpoint_that_was_moved_hides_nothing(make_agent_rig: MakeAgentRig, moved: str) -> None:
    """The runner is killed, and the next attempt goes on in the same session."""
    rigs: list[AgentRig] = []
    seen: list[str] = []
    killed: list[int] = []

    def script(request: Request) -> Reply:
        if audits(request):
            seen.append(request.last_text)
            return verdict("pass") if request.turn == 1 else Say("that is my verdict")
        if not killed and not just_ran(request):
            return bash(moved)
        if not killed:
            killed.append(rigs[0].run_record("task-a")["pid"])
            os.kill(killed[0], signal.SIGKILL)
        return Say("done")

    rig = make_agent_rig(script, **audited())
    rigs.append(rig)
    a_repository(rig)
    rig.start()
    rig.ask("task-a", "# Write a line", retry_delay="0.1s")

    result = rig.result("task-a", timeout=SLOW)

    assert [attempt["outcome"] for attempt in result["attempts"]] == ["crashed", "succeeded"]
    assert "+planted" in seen[0]
