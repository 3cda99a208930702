"""What a shell command runs, as far as its text shows it, and which deny rules stand against it."""

from __future__ import annotations

import random

import pytest

from task_queue.domain.permission.commands import simple_commands
from task_queue.domain.permission.rules import stops

PUSH = "Bash(git push:*)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ls -l", [("ls", "-l")]),
        ("a && b || c; d & e | f\ng", [(name,) for name in "abcdefg"]),
        ("echo 'a; b' \"c && d\" e\\ f", [("echo", "a; b", "c && d", "e f")]),
        ("sort < in > out 2>&1 | wc", [("sort",), ("wc",)]),
        ("make &> log; ls >| x", [("make",), ("ls",)]),
        ("cat <<'END' > f\ngit push\nEND\nls", [("cat",), ("ls",)]),
        ("cat <<-A <<B\ngit push\n\tA\nrm x\nB\nls", [("cat",), ("ls",)]),
        ("cat <<< 'git push'", [("cat",)]),
        ("ls # git push", [("ls",)]),
        ("echo a#b", [("echo", "a#b")]),
        ("(cd a; make)", [("cd", "a"), ("make",)]),
        (
            "echo $(git (x) push) `rm y`",
            [("git",), ("x",), ("push",), ("rm", "y"), ("echo", "$(...)", "$(...)")],
        ),
        ('echo "$(date)"', [("date",), ("echo", "$(...)")]),
        ("diff <(sort a) b", [("diff",), ("sort", "a"), ("b",)]),
        ("if true; then ls; fi", [("true",), ("ls",), ("fi",)]),
        ("A=1 B='x y' make all", [("make", "all")]),
        ("export A=1", [("export", "A=1")]),
        ("find . -name x -exec rm -f {} + -exec wc {} \\;", None),
        ("echo 'unfinished", [("echo", "unfinished")]),
        ("", []),
    ],
)
def test_the_commands_of_a_text(text: str, expected: list[tuple[str, ...]] | None) -> None:
    found = simple_commands(text)

    if expected is None:
        assert found[1:] == (("rm", "-f", "{}"), ("wc", "{}"))
    else:
        assert list(found) == expected


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git  push origin main",
        "git -C . push",
        "git -C 'a b' push --tags",
        "git -c user.name=x -c a=b push",
        "git --no-pager push",
        "git --git-dir=.git --work-tree . push",
        "git --git-dir .git push",
        "FOO=1 git push",
        "env FOO=1 git -C . push",
        "env -u HOME -C /x git push",
        "env -S 'git push'",
        "command git push",
        "command -p git push",
        "exec -a x git push",
        "nohup nice -n 5 git push &",
        "timeout -k 5 60 git push",
        "time git push",
        "sudo -u me git push",
        "echo main | xargs -n 1 git push origin",
        "/usr/bin/git push",
        "~/bin/git push",
        "\"git\" pu'sh'",
        "\\git push",
        "git \\\n  push",
        "sh -c 'git push'",
        "bash -lc 'cd src && git push'",
        "bash -o pipefail -e -c 'git push' x",
        '/bin/sh -ec "git -C . push"',
        "sh -c \"bash -c 'git push'\"",
        "eval 'git push'",
        "eval git push",
        "(git push)",
        "{ git push; }",
        "! git push",
        "if git push; then ls; fi",
        "for r in a b; do git push $r; done",
        "ls && git -C . push 2>&1 | tail -1",
        "x=$(git -C . push)",
        'echo "`git -C . push`"',
        "find . -exec git -C {} push \\;",
        "f() { git -C . push; }; f",
        "diff <(git -C . push) x",
        "cat <<E; git -C . push\nx\nE",
        "git -C . push <<E\nx\nE",
    ],
)
def test_a_push_is_found_behind_whatever_stands_before_it(command: str) -> None:
    assert stops(PUSH, command)


@pytest.mark.parametrize(
    "command",
    [
        "git status",
        "git log --grep push",
        "git commit -m 'do not git push now'",
        "git -C . commit -m push",
        "echo git push",
        "echo 'sh -c \"git push\"'",
        "grep -rn 'git push' .",
        "git stash push",
        "git checkout push",
        "git config push.default simple",
        "cat <<E\ngit push\nE",
        "sh push.sh",
        "sh -x git push",
        "# git push",
        "docker push x",
        "find . -name git -o -name push",
        "git",
        "git -C",
        "sh -c",
        "timeout",
        "env",
    ],
)
def test_what_only_speaks_of_a_push_passes(command: str) -> None:
    assert not stops(PUSH, command)


@pytest.mark.parametrize(
    ("rule", "command", "expected"),
    [
        ("Bash(git reset --hard:*)", "git reset -q --hard HEAD~1", True),
        ("Bash(git reset --hard:*)", "git reset HEAD~1 --hard", True),
        ("Bash(git reset --hard *)", "git -C . reset --hard", True),
        ("Bash(git reset --hard:*)", "git reset --soft", False),
        ("Bash(rm -rf:*)", "rm -r -f x", True),
        ("Bash(rm -rf:*)", "rm -fr x", True),
        ("Bash(rm -rf:*)", "rm -f x", False),
        ("Bash(find -delete:*)", "find . -type d -empty", False),
        ("Bash(npm --prefix x run:*)", "npm --prefix x run build", True),
        ("Bash(npm --prefix x run:*)", "npm run x --prefix y", False),
        ("Bash(make deploy)", "FOO=1 make deploy", True),
        ("Bash(make deploy)", "make deploy all", False),
        ("Bash(sudo:*)", "env sudo ls", True),
        ("Bash(git * main)", "git push main", False),
        ("Bash", "ls", False),
        ("Bash(git 'x:*)", "git 'x", False),
        ("Read(**/.env)", "cat .env", False),
    ],
)
def test_other_rules(rule: str, command: str, expected: bool) -> None:
    assert stops(rule, command) is expected


def test_any_text_is_read_to_its_end_in_time() -> None:
    """Deep, unbalanced or random: it never raises, and a rule still finds what comes first."""
    pieces = [
        "$(",
        ")",
        "`",
        '"',
        "'",
        "<<E",
        "\n",
        "\\",
        "find -exec ",
        "sh -c ",
        "git push ",
        "<(",
        "{",
        "#",
        "&>",
    ]
    chosen = random.Random(5)
    for _ in range(3000):
        simple_commands("".join(chosen.choices(pieces, k=12)))
    for piece in pieces:
        assert stops(PUSH, "git push; " + piece * 3000)
