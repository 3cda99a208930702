"""Which rule covers which."""

from __future__ import annotations

import pytest

from task_queue.domain.permission.rules import covers


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
