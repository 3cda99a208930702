"""``plan --rehearse``: what would fail tonight is found now, by the real queue and agent, and nothing is left of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.audits import a_repository, git
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.acceptance.test_plan import files_of

WORKTREE = "isolation: worktree\n"


def problems_in(view: Mapping[str, Any]) -> dict[str, list[tuple[str, str, str]]]:
    return {
        task["task_id"]: [(each["kind"], each["sentence"], each["detail"]) for each in task["problems"]]
        for task in view["tasks"]
    }


def with_source(rig: Rig, source: str, **keys: object) -> None:
    content = json.loads(rig.config.read_text())
    (entry,) = [each for each in content["task_source_directories"] if each["id"] == source]
    entry.update(keys)
    rig.config.write_text(json.dumps(content))


@pytest.mark.timeout(180)
def test_what_would_fail_tonight_is_found_now(make_rig: MakeRig, tmp_path: Path) -> None:
    """The set-up with the end of what it said, checks that fail before any work, denied calls, a missing workspace."""
    rig = make_rig(sources=("a", "b"))
    rig.environment["TMPDIR"] = str(tmp_path)
    repository = a_repository(rig)
    with_source(rig, "b", setup=["echo cannot reach the registry >&2; exit 7"])
    denied = "allow: ['Bash(git push:*)', 'Bash(true:*)']\ndeny: ['Bash(make:*)']\nverify: ['true']\n"
    rig.drop(
        "task-1-checks", f"---\n{WORKTREE}verify: ['test -e first.txt', 'echo lacks it; exit 3']\n---\n# A\n"
    )
    rig.drop("task-2-denied", f"---\n{WORKTREE}{denied}---\n# B\n")
    rig.drop("task-3-in-place", "---\nverify: ['make check']\ndeny: ['Bash(make:*)']\n---\n# C\n")
    rig.drop("task-4-setup", f"---\n{WORKTREE}---\n# D\n", source="b")
    rig.drop("task-5-gone", f"---\nworkspace: {rig.workspace}/gone\n---\n# E\n")
    rig.drop("task-6-bad", "---\ntimeout: soon\n---\n# F\n")
    rig.drop(
        "task-7-waits", f"---\n{WORKTREE}depends_on: [task-1-checks]\nnot_before: 2099-01-01\n---\n# G\n"
    )
    rig.drop_command("task-8-acts", "touch acted", verify="test -e uncommitted")
    (repository / "Makefile").write_text("check:\n\ttouch checked\n")
    (repository / "uncommitted").write_text("x")
    git(repository, "remote", "add", "origin", "https://example.invalid/x")
    before = files_of(rig), git(repository, "for-each-ref"), git(repository, "status", "--porcelain")

    done = rig.cli("plan", "--rehearse", "--json")

    assert done.returncode == 1, done.stderr
    found = problems_in(json.loads(done.stdout))
    assert found["task-1-checks"] == [
        ("verify", "verify failed with exit code 3 before any work: echo lacks it; exit 3", "lacks it")
    ]
    ((kind, sentence, why),) = found["task-2-denied"]
    assert (kind, sentence) == (
        "denied",
        "the agent would be denied: Bash git push (allow: Bash(git push:*))",
    )
    assert "the profile denies Bash(git push:*)" in why
    ((kind, sentence, why),) = found["task-3-in-place"]
    assert (kind, sentence) == ("denied", "the agent would be denied: Bash make check (verify: make check)")
    assert "deny of the task's document has Bash(make:*)" in why
    ((kind, sentence, why),) = found["task-4-setup"]
    assert kind == "setup"
    assert "exit code 7" in sentence
    assert why.endswith("cannot reach the registry")
    ((kind, sentence, _),) = found["task-5-gone"]
    assert kind == "start"
    assert "does not exist" in sentence
    ((kind, sentence, _),) = found["task-6-bad"]
    assert kind == "document"
    assert found["task-7-waits"] == found["task-8-acts"] == []
    assert (
        files_of(rig),
        git(repository, "for-each-ref"),
        git(repository, "status", "--porcelain"),
    ) == before
    assert list(tmp_path.glob("task-queue-*")) == []


@pytest.mark.timeout(120)
def test_one_task_is_rehearsed_beside_the_daemon(make_rig: MakeRig) -> None:
    """Only the named one, while another runs; keys and settings of the owner's agent stay out of it."""
    rig = make_rig(
        agent={"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "sk-ant-owners"}},
        notifications={"me": {"command": ["/bin/false"], "on": ["settled"]}},
    )
    a_repository(rig)
    rig.drop_command("task-1-runs", "touch runs; while [ ! -e go ]; do sleep 0.05; done", workspace=".")
    rig.start()
    rig.run_record("task-1-runs")
    keyless = 'test -z "$ANTHROPIC_API_KEY$ANTHROPIC_AUTH_TOKEN"'
    rig.drop("task-2-waits", f"---\n{WORKTREE}verify: ['{keyless}']\n---\n# B\n")
    rig.drop("task-3-waits", "# C\n")

    view = rig.json("plan", "--rehearse", "task-2")

    (task,) = view["tasks"]
    assert (task["task_id"], task["problems"], task["checks"]) == ("task-2-waits", [], 1)
    assert rig.locks() == rig.locks(task_id="task-1-runs") != []
    (rig.workspace / "go").touch()
    assert rig.result("task-1-runs")["outcome"] == "succeeded"


def test_a_name_without_a_waiting_task_is_an_error(rig: Rig) -> None:
    assert rig.cli("plan", "--rehearse", "task-none").returncode == 1
    assert rig.cli("plan", "task-none").returncode == 2
    done = rig.cli("plan", "--rehearse")
    assert (done.returncode, done.stdout) == (0, "Nothing waits.\n")
