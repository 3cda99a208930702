"""Profiles and rules become the CLI's options."""

from __future__ import annotations

import pytest

from task_queue.domain.permissions import PROFILES, permissions_for


@pytest.mark.parametrize("profile", PROFILES)
def test_the_queue_is_closed_in_every_profile(profile: str) -> None:
    """Writing anywhere in it, and reading what waits, is denied."""
    rules = permissions_for(profile, queue_dirs=["/t/adhoc"]).settings["permissions"]["deny"]

    assert {"Edit(//t/adhoc/**)", "Read(//t/adhoc/pending/**)"} <= set(rules)
    assert not any(rule.startswith("Read(//t/adhoc/**") for rule in rules)


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_ever_asks(profile: str) -> None:
    """Neither the mode nor a tool can wait for a person."""
    permissions = permissions_for(profile)

    assert permissions.mode in {"dontAsk", "bypassPermissions"}
    assert "AskUserQuestion" in permissions.disallowed_tools


def test_readonly_cannot_write() -> None:
    """The writing tools are gone, and Bash only looks."""
    permissions = permissions_for("readonly")

    assert {"Edit", "Write", "NotebookEdit"} <= set(permissions.disallowed_tools)
    assert "Bash" not in permissions.allowed_tools
    assert "Bash(git diff:*)" in permissions.allowed_tools


def test_sandboxed_fails_closed() -> None:
    """A missing sandbox is an error, not a licence."""
    sandbox = permissions_for("sandboxed").sandbox

    assert sandbox is not None
    assert sandbox["failIfUnavailable"] is True
    assert sandbox["allowUnsandboxedCommands"] is False


def test_a_tasks_rules_are_added() -> None:
    """Deny rules travel in the settings, which take any character."""
    permissions = permissions_for("guarded", allow=["Bash(make *)"], deny=["Bash(rm a, b)"])

    assert "Bash(make *)" in permissions.allowed_tools
    assert "Bash(rm a, b)" in permissions.settings["permissions"]["deny"]


def test_glob_characters_of_a_path_are_literal() -> None:
    """A folder called a*b closes itself and not its neighbours."""
    rules = permissions_for("guarded", queue_dirs=["/t/a*[b]"]).settings["permissions"]["deny"]

    assert r"Edit(//t/a\*\[b\]/**)" in rules
