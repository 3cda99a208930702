"""Which calls a rehearsal makes for which rules, and that none of them does anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from task_queue.domain.permission.tried_calls import UNDONE, tried_calls


def commands(*, allow: tuple[str, ...] = (), verify: tuple[str, ...] = ()) -> list[str]:
    return [call.input["command"] for call in tried_calls(allow, verify) if call.tool == "Bash"]


@pytest.mark.parametrize(
    ("rule", "command"),
    [
        ("Bash(npm test:*)", "npm test"),
        ("Bash(npm run *)", "npm run"),
        ("Bash(make deploy)", "make deploy"),
    ],
)
def test_the_command_of_a_rule_is_asked_for(rule: str, command: str) -> None:
    assert commands(allow=(rule,)) == [UNDONE + command]


@pytest.mark.parametrize(
    "rule", ["Bash", "Bash(*)", "Bash(git * main)", "WebFetch(domain:example.org)", "mcp__x__y"]
)
def test_what_cannot_be_tried_without_doing_it_is_left_out(rule: str) -> None:
    """A pattern of many commands, the network, servers."""
    assert tried_calls((rule,), ()) == ()


def test_each_command_of_verify_is_asked_for_by_itself() -> None:
    found = commands(verify=("cd web && npm test; FOO=1 make check",))

    assert found == [UNDONE + each for each in ("cd web", "npm test", "make check")]


@pytest.mark.parametrize(
    "verify",
    [
        "touch {0}; touch {0}",
        "true && touch {0} & touch {0}",
        "sh -c 'touch {0}' || touch {0}",
        "a\ntouch {0}",
        "$(touch {0})",
    ],
)
def test_a_command_is_never_run(tmp_path: Path, verify: str) -> None:
    made = tmp_path / "made"

    for command in commands(verify=(verify.format(made),), allow=(f"Bash(touch {made}:*)",)):
        subprocess.run(["bash", "-c", command], check=True, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("Edit", "task-queue-rehearsal.txt"),
        ("Edit(src/**)", "src/task-queue-rehearsal.txt"),
        ("Edit(/src/**)", "src/task-queue-rehearsal.txt"),
        ("Edit(//etc/**)", None),
        ("Edit(~/notes/**)", None),
        ("Edit(../**)", None),
        ("Edit(src/*.py)", None),
    ],
)
def test_only_new_files_of_the_workspace_are_written(rule: str, path: str | None) -> None:
    assert [call.input["file_path"] for call in tried_calls((rule,), ())] == ([] if path is None else [path])
