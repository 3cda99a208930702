"""Which commands an auditor may have run."""

from __future__ import annotations

import pytest

from task_queue.domain.permission.audit_commands import AuditCommands, why_no_audit_rule

COMMANDS = AuditCommands(
    verify=("pytest -q", "cd web && npm test", 'test "$(cat x)" = y'),
    rules=("Bash(git diff:*)", "Bash(make lint)", "Edit", "Bash(a; b:*)"),
    denied=("Bash(git diff --output:*)",),
)


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q",
        "  pytest -q\n",
        "cd web && npm test",
        'test "$(cat x)" = y',
        "pytest -q 2>&1",
        "pytest -q && git diff --stat",
        "git diff 'a;b' | git diff",
        "git diff\nmake lint;",
        "git 'diff' \"x y\"",
    ],
)
def test_what_verifies_or_was_allowed_may_run(command: str) -> None:
    assert COMMANDS.allows(command)


@pytest.mark.parametrize(
    "command",
    [
        *("", ";", "&& git diff", "pytest", "pytest -q -x", "npm test", "make lint all", "gitdiff", "Edit"),
        *(
            "pytest -q; rm -rf x",
            "rm x && pytest -q",
            "pytest -q\nrm x",
            "git diff | sh",
            "cd web && npm test; ls",
        ),
        *("FOO=1 pytest -q", "env pytest -q", "timeout 9 pytest -q", "/tmp/pytest -q", "sh -c 'pytest -q'"),
        *(
            "pytest -q > x",
            "git diff 2> x",
            "git diff >> x",
            "git diff < x",
            "git diff 2>&1x",
            "git diff &> x",
        ),
        *("git diff $(rm x)", 'git diff "$(rm x)"', "git diff `rm x`", 'git diff "`rm x`"', "git diff $X"),
        *(
            "git diff & rm x",
            "(git diff)",
            "{ git diff; }",
            "git diff |& sh",
            "git diff <(rm x)",
            "! git diff",
        ),
        *("git diff # '\nrm x # '", "git diff \\\n; rm x", "git diff 'x", 'git diff "x', "git diff \0"),
        *("git -C . diff", "git diff --output=x", "a; b", "a"),
    ],
)
def test_everything_else_may_not(command: str) -> None:
    """Not by what is joined to it, put in front of it, or written into it."""
    assert not COMMANDS.allows(command)


def test_the_owner_may_allow_every_command_but_what_is_denied() -> None:
    commands = AuditCommands(rules=("Bash",), denied=("Bash(git push:*)",))

    assert commands.allows("ls $(pwd) > x")
    assert not commands.allows("ls; git -C . push")


@pytest.mark.parametrize("rule", ["Bash", "Bash(*)", "Bash(make *)", "Bash(make:*)", "Bash(ma* lint)"])
def test_a_deny_rule_wins_in_whatever_way_it_is_spelled(rule: str) -> None:
    """But not over what the queue itself runs as ``verify``."""
    commands = AuditCommands(
        verify=("make test",), rules=("Bash(make:*)", "Bash(ls:*)"), denied=(rule, "Edit")
    )

    assert commands.allows("make test")
    assert not commands.allows("ls && make lint")


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        *(("Bash", True), ("Bash(npm test:*)", True), ("Bash(npm test *)", True), ("Bash(make 'a b')", True)),
        *(("Edit", False), ("npm test", False), ("Bash(git * main)", False), ("Bash(a && b:*)", False)),
    ],
)
def test_a_rule_that_would_not_be_understood_is_refused(rule: str, good: bool) -> None:
    assert (why_no_audit_rule(rule) is None) is good
