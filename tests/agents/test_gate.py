"""What the queue answers when the CLI asks before a call: by itself, and through the real CLI."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.claude.gate import hooks_for
from task_queue.demo.scripted_model import Say, UseTool, in_turn
from task_queue.domain.document.choices import Profile
from task_queue.domain.permission.profiles import permissions_for
from tests.agents.bench import MakeBench


def asked(profile: Profile, workspace: Path, call: Mapping[str, Any], *, event: Any) -> Any:
    """The decision on *call*, None where the CLI decides."""
    permissions = permissions_for(profile, deny=["Bash(make deploy:*)"])
    (matcher,) = hooks_for(permissions, workspace)[event]
    (hook,) = matcher.hooks
    answer: Any = asyncio.run(hook(call, None, {"signal": None}))  # type: ignore[arg-type]  # a call as the CLI sends it
    said = answer.get("hookSpecificOutput", {})
    return said.get("permissionDecision") or said.get("decision", {}).get("behavior")


@pytest.mark.parametrize(
    ("profile", "command", "decision"),
    [
        (Profile.GUARDED, "git -C . push", "deny"),
        (Profile.GUARDED, "git commit -m push", None),
        (Profile.TRUSTED, "git -C . push", None),
        (Profile.TRUSTED, "sh -c 'sudo ls'", "deny"),
        (Profile.BYPASS, "sudo ls", None),
        (Profile.BYPASS, "FOO=1 make deploy", "deny"),
    ],
)
def test_deny_rules_hold_behind_prefixes(
    tmp_path: Path, profile: Profile, command: str, decision: str | None
) -> None:
    call = {"tool_input": {"command": command}}

    assert asked(profile, tmp_path, call, event="PreToolUse") == decision


def test_only_trusted_has_the_cli_ask(tmp_path: Path) -> None:
    asking = [
        profile for profile in Profile if "PermissionRequest" in hooks_for(permissions_for(profile), tmp_path)
    ]

    assert asking == [Profile.TRUSTED]


@pytest.mark.parametrize(
    ("given", "folders", "decision"),
    [
        ({"file_path": ".vscode/a.json"}, [], "allow"),
        ({"file_path": "../.npmrc"}, [], None),
        ({"file_path": "out/.bashrc"}, [], None),
        ({"file_path": ".vscode/a.json"}, [".."], None),
        ({"notebook_path": ".claude/a.ipynb"}, [], "allow"),
        ({"command": "echo x > .vscode/a"}, [".vscode"], "allow"),
        ({"command": "rm -rf *"}, [], None),
        ({"command": "echo x > .a; echo x > ../.b"}, [".", ".."], None),
        ({}, [], None),
    ],
)
def test_a_guarded_place_is_opened_in_the_workspace_only(
    tmp_path: Path, given: dict[str, str], folders: list[str], decision: str | None
) -> None:
    """Wherever links lead; and not where the CLI does not say which place it is."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "out").symlink_to(tmp_path)
    call = {
        "tool_input": given,
        "permission_suggestions": [{"type": "setMode"}, {"type": "addDirectories", "directories": folders}],
    }

    assert asked(Profile.TRUSTED, workspace, call, event="PermissionRequest") == decision


def test_a_trusted_agent_writes_guarded_places_of_its_workspace(bench: MakeBench, tmp_path: Path) -> None:
    """The real CLI; what leads out of it, and the queue, stay closed."""
    outside, workspace, pending = (
        tmp_path / "outside",
        tmp_path / "0/workspace",
        tmp_path / "0/tasks/adhoc/pending",
    )
    outside.mkdir()
    run = bench(
        in_turn(
            UseTool("Write", {"file_path": f"{workspace}/.vscode/settings.json", "content": "{}"}),
            UseTool("Bash", {"command": "mkdir .claude"}),
            UseTool("Bash", {"command": "echo made > .claude/notes.md"}),
            UseTool("Write", {"file_path": f"{outside}/.npmrc", "content": "x"}),
            UseTool("Write", {"file_path": f"{pending}/task-planted.md", "content": "x"}),
            UseTool("Bash", {"command": "sh -c 'sudo ls'"}),
            Say("done"),
        )
    )
    run.given(permissions=Profile.TRUSTED)

    _, work = run.run()

    assert (run.workspace / ".vscode" / "settings.json").exists()
    assert (run.workspace / ".claude" / "notes.md").read_text() == "made\n"
    assert not list(outside.iterdir())
    assert not list((run.queue / "pending").iterdir())
    assert len(work.permission_denials) == 3
