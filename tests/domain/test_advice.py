"""Who denied a call, and the rules that let it pass or why none does; ``tests/agents`` tries them through the CLI."""

from __future__ import annotations

from typing import Any

import pytest

from task_queue.domain.document.choices import Profile
from task_queue.domain.permission.advice import Advice, advice_on, explained
from task_queue.domain.permission.profiles import (
    DeniedBy,
    Permissions,
    note_of,
    permissions_for,
    permissions_in,
)
from task_queue.domain.permission.rules import covers

OWN_LIST = permissions_for(Profile.GUARDED, allow=["Read", "Bash(git status:*)"], allow_only=True)
GUARDED = permissions_for(
    Profile.GUARDED,
    deny=["Bash(make:*)", "WebFetch", "Edit(gen/**)"],
    task_deny=["Edit(gen/**)"],
    queue_dirs=["/q"],
)
READONLY = permissions_for(Profile.READONLY, queue_dirs=["/q"])


def advice(
    tool: str, given: dict[str, Any], permissions: Permissions | None, *, reason: str | None = "mode"
) -> Advice:
    denial = {"tool_name": tool, "tool_input": given, "decision_reason_type": reason}
    return advice_on(denial, permissions)


@pytest.mark.parametrize(
    ("command", "rules"),
    [
        ("npm test -- --watch", ("Bash(npm test:*)",)),
        ("ls -l", ("Bash(ls:*)",)),
        ("git -C x log", ("Bash(git:*)",)),
        ("npm test && rm -f a | wc -l", ("Bash(npm test:*)", "Bash(rm:*)", "Bash(wc:*)")),
        ("git status && ls", ("Bash(ls:*)",)),
        ("pytest -q 2>&1 | tail -3", ("Bash(pytest:*)", "Bash(tail:*)")),
        ("find . -name '*.py'", ("Bash(find:*)",)),
        ("git commit -m 'a (b) $c'", ("Bash(git commit:*)",)),
        ("find . -name '*.py' -delete", ("Bash",)),
        ("rm $(cat list)", ("Bash",)),
        ("rm *.tmp", ("Bash",)),
        ("sort a > b", ("Bash",)),
        ("A=1 make", ("Bash",)),
        ("cd src && ls", ("Bash",)),
        ("cat /etc/hostname", ("Bash",)),
        ("./script.sh", ("Bash",)),
        ("npm run dev &", ("Bash",)),
        ("echo 'unfinished", ("Bash",)),
        ("", ("Bash",)),
    ],
)
def test_the_smallest_rules_are_told(command: str, rules: tuple[str, ...]) -> None:
    """Each part needs one; what a rule for a program does not speak for needs the one for all."""
    assert advice("Bash", {"command": command}, OWN_LIST) == Advice(DeniedBy.TASK, rules)


@pytest.mark.parametrize(
    ("tool", "given", "rules"),
    [
        ("WebFetch", {"url": "https://docs.example.com/a?b"}, ("WebFetch(domain:docs.example.com)",)),
        ("WebFetch", {"url": "?"}, ("WebFetch",)),
        ("Write", {"file_path": "/w/a*b/x.txt"}, (r"Edit(//w/a\*b/**)",)),
        ("Edit", {"file_path": "x.txt"}, ("Edit",)),
        ("mcp__github__get_issue", {"id": 1}, ("mcp__github__get_issue",)),
    ],
)
def test_rules_for_other_tools(tool: str, given: dict[str, Any], rules: tuple[str, ...]) -> None:
    assert advice(tool, given, OWN_LIST).rules == rules


@pytest.mark.parametrize(
    ("permissions", "tool", "given", "reason", "by", "says"),
    [
        (GUARDED, "Bash", {"command": "git push"}, "rule", "profile", "permissions: trusted"),
        (GUARDED, "Bash", {"command": "git -C . push"}, None, "profile", "permissions: trusted"),
        (GUARDED, "Bash", {"command": "sudo ls"}, "rule", "profile", "permissions: bypass"),
        (GUARDED, "Bash", {"command": "cat .env"}, "subcommandResults", "profile", "Read(**/.env)"),
        (GUARDED, "Read", {"file_path": "/w/a/.env.local"}, None, "profile", "Read(**/.env.*)"),
        (GUARDED, "Write", {"file_path": "/home/me/.ssh/config"}, None, "profile", "Edit(~/.ssh/**)"),
        (GUARDED, "Bash", {"command": "cat ~/.ssh/id"}, "rule", "profile", "Read(~/.ssh/**)"),
        (GUARDED, "Bash", {"command": "env make x"}, None, "owner", "deny of the configuration"),
        (GUARDED, "WebFetch", {"url": "https://x.org"}, "disabled", "owner", "WebFetch"),
        (GUARDED, "Write", {"file_path": "/w/gen/a"}, None, "task", "deny of the task"),
        (GUARDED, "Write", {"file_path": "/q/pending/a.md"}, None, "queue", "in every profile"),
        (GUARDED, "Bash", {"command": "ls /q"}, "rule", "queue", "in every profile"),
        (GUARDED, "Write", {"file_path": "/w/.vscode/a"}, "mode", "cli", "permissions: trusted"),
        (GUARDED, "Bash", {"command": "touch .git/x"}, "mode", "cli", "permissions: bypass"),
        (GUARDED, "Bash", {"command": "rm -rf *"}, "mode", "cli", "no rule or profile"),
        (GUARDED, "AskUserQuestion", {}, "disabled", "queue", "the queue removes this tool"),
        (GUARDED, "NoSuchTool", {}, "disabled", "cli", "no such tool"),
        (GUARDED, "Bash", {"command": "x=git; $x push"}, "subcommandResults", None, "a deny rule"),
        (OWN_LIST, "Write", {"file_path": "/w/.vscode/a"}, "mode", "cli", "no rule opens it"),
        (OWN_LIST, "Bash", {"command": "cp a .mcp.json"}, "mode", "cli", "no rule opens it"),
        (READONLY, "Write", {"file_path": "/w/a"}, "disabled", "profile", "sandboxed or guarded"),
        (READONLY, "Bash", {"command": "git push"}, "disabled", "profile", "git push"),
        (READONLY, "Bash", {"command": "cat /q/x"}, "disabled", "queue", "in every profile"),
        (READONLY, "Bash", {"command": "$x y"}, "disabled", "profile", "name the program"),
        (permissions_for(Profile.GUARDED, audits=True), "Bash", {}, "disabled", "queue", "an auditor"),
        (
            permissions_for(Profile.TRUSTED),
            "Bash",
            {"command": "cp a ~/.bashrc"},
            "safetyCheck",
            "cli",
            "guards",
        ),
        (
            permissions_for(Profile.TRUSTED),
            "Bash",
            {"command": "a > .x; b"},
            "subcommandResults",
            "cli",
            "guards",
        ),
        (None, "Bash", {"command": "git push"}, "rule", None, "not known"),
    ],
)
def test_where_no_rule_helps_it_says_who_denied_it_and_what_does(
    permissions: Permissions | None,
    tool: str,
    *,
    given: dict[str, Any],
    reason: str | None,
    by: str | None,
    says: str,
) -> None:
    found = advice(tool, given, permissions, reason=reason)

    assert found.by == by
    assert found.rules == ()
    assert says in (found.why_none or "")


def test_a_reader_gets_a_shell_by_a_rule_of_the_owner() -> None:
    found = advice("Bash", {"command": "git log -1"}, READONLY, reason="disabled")

    assert found == Advice(DeniedBy.PROFILE, ("Bash(git log:*)",))


def test_a_denial_keeps_what_the_cli_said() -> None:
    told = explained(
        {"tool_name": "Bash", "tool_input": {"command": "ls"}, "decision_reason_type": "mode"}, OWN_LIST
    )

    assert told["tool_input"] == {"command": "ls"}
    assert (told["denied_by"], told["rule"], told["rules"]) == ("task", "Bash(ls:*)", ["Bash(ls:*)"])
    assert told["why_no_rule"] is None


@pytest.mark.parametrize("permissions", [GUARDED, OWN_LIST, READONLY, permissions_for(Profile.TRUSTED)])
def test_the_rules_in_force_survive_the_transcript(permissions: Permissions) -> None:
    """All that advice is made from."""
    read = permissions_in(note_of(permissions))

    assert read is not None
    assert note_of(read) == note_of(permissions)
    assert read.opens_guarded == permissions.opens_guarded
    assert permissions_in({**note_of(permissions), "profile": "unknown"}) is None


def test_a_proposed_rule_covers_what_it_was_proposed_for() -> None:
    """The owner who adds it has allowed at least that call."""
    for command in ("npm test -- --watch", "ls -l", "git log"):
        (rule,) = advice("Bash", {"command": command}, OWN_LIST).rules

        assert covers(rule, f"Bash({command})")
