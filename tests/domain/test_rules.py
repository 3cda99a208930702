"""Which rule covers which, and which would have let a denied call pass."""

from __future__ import annotations

from typing import Any

import pytest

from task_queue.domain.permission.rules import covers, explained, remedy_for


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        ("Bash", "Bash"),
        ("Bash", "Bash(git diff:*)"),
        ("Bash(*)", "Bash(rm -rf:*)"),
        ("Bash(git diff:*)", "Bash(git diff *)"),
        ("Bash(git:*)", "Bash(git diff --stat)"),
        ("Bash(npm run *)", "Bash(npm run test:*)"),
        ("Edit(//w/src/**)", "Edit(//w/src/a/b.py)"),
        ("Edit(//w/**)", "Write(//w/x)"),
        ("Read(~/notes/**)", "Read(~/notes/2026/**)"),
        ("WebFetch(domain:*.example.com)", "WebFetch(domain:docs.example.com)"),
        ("mcp__github", "mcp__github__get_issue"),
        ("mcp__github__*", "mcp__github__get_issue"),
        ("Skill(review)", "Skill(review)"),
    ],
)
def test_a_narrower_rule_is_covered(wider: str, narrower: str) -> None:
    assert covers(wider, narrower)


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        ("Bash(git diff:*)", "Bash"),
        ("Bash(git diff:*)", "Bash(*)"),
        ("Bash(git diff:*)", "Bash(git difftool:*)"),
        ("Bash(git diff:*)", "Bash(git diff; rm -rf /)"),
        ("Bash(git diff:*)", "Bash(git diff $(rm x):*)"),
        ("Bash(git diff:*)", "Bash(git *)"),
        ("Bash(git diff)", "Bash(git diff HEAD)"),
        ("Bash(git * main)", "Bash(git push main)"),
        ("Edit(//w/src/**)", "Edit(//w/src/../../etc/passwd)"),
        ("Edit(//w/src/**)", "Edit(//w/srcs/a)"),
        ("Edit(/**)", "Edit(//etc/passwd)"),
        ("Edit(//w/**)", "Read(//w/a)"),
        ("Edit", "Write"),
        ("Read", "Edit"),
        ("WebFetch(domain:example.com)", "WebFetch(domain:evil-example.com)"),
        ("WebFetch(domain:*.example.com)", "WebFetch(domain:evilexample.com)"),
        ("mcp__git", "mcp__github__get_issue"),
        ("Bash(git diff:*)", "Read"),
    ],
)
def test_a_rule_that_might_allow_more_is_not_covered(wider: str, narrower: str) -> None:
    assert not covers(wider, narrower)


@pytest.mark.parametrize(
    ("tool", "given", "rules"),
    [
        ("Bash", {"command": "npm test -- --watch"}, ("Bash(npm test:*)",)),
        ("Bash", {"command": "ls -l"}, ("Bash(ls:*)",)),
        ("Bash", {"command": "git -C x status"}, ("Bash(git:*)",)),
        (
            "Bash",
            {"command": "npm test && rm -f a | wc -l"},
            ("Bash(npm test:*)", "Bash(rm:*)", "Bash(wc:*)"),
        ),
        ("Bash", {"command": "rm $(cat list)"}, ("Bash",)),
        ("Bash", {"command": "sort a > b"}, ("Bash",)),
        ("Bash", {"command": "echo 'unfinished"}, ("Bash",)),
        ("Bash", {}, ("Bash",)),
        ("WebFetch", {"url": "https://docs.example.com/a?b"}, ("WebFetch(domain:docs.example.com)",)),
        ("Write", {"file_path": "/w/a*b/x.txt"}, (r"Edit(//w/a\*b/**)",)),
        ("Read", {"file_path": "/etc/hostname"}, ("Read(//etc/**)",)),
        ("mcp__github__get_issue", {"id": 1}, ("mcp__github__get_issue",)),
    ],
)
def test_the_smallest_rule_is_told(tool: str, given: dict[str, Any], rules: tuple[str, ...]) -> None:
    """As measured: a part needs a rule each, and only Edit speaks for paths that are written."""
    denial = {"tool_name": tool, "tool_input": given, "decision_reason_type": "mode"}

    assert remedy_for(denial).rules == rules


def test_what_a_deny_rule_stopped_has_no_remedy() -> None:
    """An allow rule would not help: deny wins."""
    denial = {
        "tool_name": "Bash",
        "tool_input": {"command": "git push"},
        "decision_reason_type": "subcommandResults",
    }

    told = explained(denial)

    assert told["rule"] is None
    assert "deny rule" in str(told["why_no_rule"])


def test_a_proposed_rule_covers_what_it_was_proposed_for() -> None:
    """The owner who adds it has allowed at least that call."""
    for command in ("npm test -- --watch", "ls -l", "git status"):
        (rule,) = remedy_for({"tool_name": "Bash", "tool_input": {"command": command}}).rules

        assert covers(rule, f"Bash({command})")
