"""`permissions: sandboxed`: what the queue itself runs of the agent's files is confined, too, or does not run."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import Any

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import TwoAgents, a_repository, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_sandbox import WHY_NOT
from tests.sampling import short_and_long

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
SLOW = 120
SECRET = "a-word-of-the-configuration"
ISOLATIONS = pytest.mark.parametrize("isolation", short_and_long(["worktree"], ["none"]))


class Sandboxed:
    """A repository whose sandboxed agent writes a script; what the queue starts runs the script."""

    def __init__(self, make: MakeAgentRig, isolation: str, name: str, *, workflow: str = "single") -> None:
        self.script = TwoAgents(verdict("pass"))
        self.rig: AgentRig = make(self.script)
        self.document: dict[str, Any] = json.loads(self.rig.config.read_text())
        self.document["defaults"] = {
            "permissions": "sandboxed",
            "isolation": isolation,
            "workflow": workflow,
            "landing": "merge",
        }
        self.document["note"] = SECRET  # no variable, whose value would be redacted
        self.repository = a_repository(self.rig)
        self.of_submodule = self.repository / ".git" / "modules" / "sub" / "config"
        self.of_submodule.parent.mkdir(parents=True)
        self.of_submodule.write_text("[core]\n")
        shutil.rmtree(self.repository / ".git/hooks")  # as a template without hooks leaves it
        git(self.repository, "worktree", "add", "-q", "-b", "other", str(self.rig.home / "other"))
        home, inside = shlex.quote(str(self.rig.home)), shlex.quote(str(self.repository / ".git"))
        lines = [
            "echo ran >> seen.txt",
            f"echo out >> {home}/escaped",
            f"echo no > {home}/tasks/a/pending/task-forged.md",
            f"cat {home}/config.json {home}/tasks/a/logs/*/*/* {home}/.local/state/task-queue/*/* >> seen.txt",
            f"echo forged >> {inside}/config",
            f"mkdir {inside}/hooks; echo 'exit 0' > {inside}/hooks/post-commit",
            f"echo forged >> {shlex.quote(str(self.of_submodule))}",
            f"mkdir {inside}/modules/forged {inside}/worktrees/forged",
            f"for name in commondir config.worktree gitdir HEAD; do echo forged > {inside}/worktrees/other/$name; done",
            f"mv {inside}/worktrees {inside}/hooks {inside}/modules {home}",
            f"rm {inside}/worktrees/*/gitdir",
            "true",
        ]
        text = "\n".join(f"{line} 2>/dev/null" if "true" not in line else line for line in lines)
        self.script.work = f"echo work > work.txt; printf '%s\\n' {shlex.quote(text)} > {name}"

    def commit(self, name: str, text: str, mode: int = 0o644) -> None:
        """The owner's own file, as it was before the task."""
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        git(self.repository, "add", "--", name)
        git(self.repository, "commit", "-qm", f"Write {name}")

    def result(self, **keys: str) -> dict[str, Any]:
        self.rig.config.write_text(json.dumps(self.document))
        self.rig.start()
        self.rig.ask("task-a", "# Write a script", **keys)
        return self.rig.result("task-a", timeout=SLOW)

    def assert_confined(self) -> None:
        assert not (self.rig.home / "escaped").exists()
        assert "forged" not in self.of_submodule.read_text()
        of_other = self.repository / ".git/worktrees/other"
        for name in ("commondir", "gitdir", "HEAD"):
            assert "forged" not in (of_other / name).read_text()
        assert not (of_other / "config.worktree").exists()
        assert {path.name for path in (self.repository / ".git/worktrees").iterdir()} <= {"other", "task-a"}
        assert {path.name for path in (self.repository / ".git/modules").iterdir()} == {"sub"}
        assert not (self.rig.pending() / "task-forged.md").exists()
        assert "forged" not in (self.repository / ".git/config").read_text()
        assert not (self.repository / ".git/hooks/post-commit").exists()


@ISOLATIONS
def test_what_verify_starts_is_confined(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    """A Makefile of the owner's, and in it a script that the agent wrote."""
    task = Sandboxed(make_agent_rig, isolation, "check.sh")
    task.commit("Makefile", "test:\n\tsh ./check.sh\n\tcat seen.txt\n\ttest -e work.txt\n")

    result = task.result(verify="make test")

    assert result["outcome"] == "succeeded", result
    assert "ran" in result["verification"][0]["tail"]
    assert SECRET not in result["verification"][0]["tail"]
    task.assert_confined()


@pytest.mark.long
def test_what_set_up_starts_in_verification_is_confined(make_agent_rig: MakeAgentRig) -> None:
    """Before the agent it can do what its owner can: the files are the owner's."""
    task = Sandboxed(make_agent_rig, "worktree", "setup.sh")
    by_owner = task.rig.home / "set-up-by-owner"
    task.commit("setup.sh", f"echo once >> {shlex.quote(str(by_owner))}\n")
    task.document["task_source_directories"][0]["setup"] = ["sh ./setup.sh"]

    result = task.result(verify="grep -q ran seen.txt && cat seen.txt")

    assert result["outcome"] == "succeeded", result
    assert by_owner.read_text() == "once\n"
    assert SECRET not in result["verification"][0]["tail"]
    task.assert_confined()


@ISOLATIONS
def test_what_a_hook_starts_is_confined(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    """A tracked hook of the owner's runs a script that the agent wrote; what it adds is judged, and in the commit."""
    task = Sandboxed(make_agent_rig, isolation, "lint.sh")
    task.commit("lint.sh", "true\n")
    task.commit(".husky/pre-commit", "#!/bin/sh\nsh ./lint.sh\ngit add seen.txt\n", mode=0o755)
    git(task.repository, "config", "core.hooksPath", ".husky")

    result = task.result()

    assert result["outcome"] == "succeeded", result
    assert len(result["commits"]) == 1, result["notes"]
    seen = git(task.repository, "show", f"{result['commits'][0]}:seen.txt")
    assert "ran" in seen
    assert SECRET not in seen
    task.assert_confined()


@pytest.mark.long
@ISOLATIONS
def test_what_a_filter_starts_is_confined(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    task = Sandboxed(make_agent_rig, isolation, "clean.sh")
    task.commit("clean.sh", "true\n")
    task.commit(".gitattributes", "*.txt filter=own\n")
    git(task.repository, "config", "filter.own.clean", "sh ./clean.sh; cat")

    result = task.result()

    assert result["outcome"] == "succeeded", result
    assert "work" in git(task.repository, "show", f"{result['commits'][0]}:work.txt")
    task.assert_confined()


@ISOLATIONS
def test_hooks_of_the_cli_do_not_run(make_agent_rig: MakeAgentRig, isolation: str) -> None:
    """Their scripts are among the agent's files, and the CLI would start them outside of its sandbox."""
    task = Sandboxed(make_agent_rig, isolation, "hook.sh", workflow="audited")
    command = {"hooks": [{"type": "command", "command": "sh ./hook.sh"}]}
    task.commit(
        ".claude/settings.json",
        json.dumps({"hooks": {"SessionStart": [command], "UserPromptSubmit": [command], "Stop": [command]}}),
    )
    task.commit("hook.sh", "true\n")

    result = task.result()

    assert result["outcome"] == "succeeded", result
    task.assert_confined()


@pytest.mark.long
def test_a_program_in_the_projects_settings_is_not_started(make_agent_rig: MakeAgentRig) -> None:
    """The CLI would ask it for a key before each session."""
    task = Sandboxed(make_agent_rig, "worktree", "key.sh", workflow="audited")
    task.commit(".claude/settings.json", json.dumps({"apiKeyHelper": "sh ./key.sh"}))
    task.commit("key.sh", "echo dummy\n")

    result = task.result()

    assert result["outcome"] == "succeeded", result
    assert any("apiKeyHelper" in note for note in result["notes"])
    task.assert_confined()
