"""Verify commands as they really run: their results, their time, and that nothing of them is left."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from task_queue.domain.work.verification import (
    ChangedJudge,
    Check,
    changed_judges,
    is_judge,
    judges_for,
    passed,
)
from task_queue.platform.identity import bearers
from task_queue.runner.verification import Verification, hashes_of
from tests.waiting import eventually

ENV = {"PATH": os.environ["PATH"]}


def run(directory: Path, *commands: str, timeout_s: float = 60, overall_s: float = 60) -> tuple[Check, ...]:
    return Verification().run(
        commands,
        directory=directory,
        environment=ENV,
        marker=f"verify:{directory}",
        timeout_s=timeout_s,
        overall_s=overall_s,
    )


def test_all_commands_run_and_all_must_pass(tmp_path: Path) -> None:
    """In the directory, as shell lines; a failure does not hide what comes after it."""
    (tmp_path / "a b.txt").touch()

    checks = run(tmp_path, "ls && echo err >&2", "exit 3", "test -e 'a b.txt'")

    assert [check.exit_code for check in checks] == [0, 3, 0]
    assert checks[0].tail == "a b.txt\nerr\n"
    assert (passed(checks), passed(checks[:1]), passed(())) == (False, True, False)


def test_the_environment_is_what_was_given_and_the_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")

    (check,) = run(tmp_path, "env")

    names = {line.partition("=")[0] for line in check.tail.splitlines()}
    assert names <= {"PATH", "PWD", "TASK_QUEUE_ATTEMPT", "_", "SHLVL", "OLDPWD"}
    assert f"TASK_QUEUE_ATTEMPT=verify:{tmp_path}" in check.tail


@pytest.mark.parametrize("command", ["no-such-program --now", "./missing.sh"])
def test_a_command_that_is_not_there(tmp_path: Path, command: str) -> None:
    (check,) = run(tmp_path, command)

    assert (check.not_found, check.passed) == (True, False)
    assert "not found" in check.tail
    assert "not found" in check.verdict


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (check,) = run(tmp_path / "gone", "true")

    assert (check.not_found, check.exit_code) == (True, None)
    assert str(tmp_path / "gone") in check.tail


def test_a_command_that_never_ends_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Also what ignores TERM; its last words are kept."""
    (check,) = run(
        tmp_path, "trap '' TERM; echo waiting; sleep 61 & while :; do sleep 1; done", timeout_s=0.3
    )

    assert (check.timed_out, check.exit_code, check.tail) == (True, None, "waiting\n")
    assert bearers(f"verify:{tmp_path}") == []


def test_what_a_command_leaves_in_the_background_does_not_keep_us(tmp_path: Path) -> None:
    began = time.monotonic()

    (check,) = run(tmp_path, "sleep 60 & echo done")

    assert (check.exit_code, check.tail) == (0, "done\n")
    assert time.monotonic() - began < 10
    eventually(lambda: not bearers(f"verify:{tmp_path}"))


def test_time_for_all_is_limited(tmp_path: Path) -> None:
    """What was not started says so, and has not passed."""
    checks = run(tmp_path, "sleep 60", "true", overall_s=0.3)

    assert [check.timed_out for check in checks] == [True, True]
    assert checks[1].tail.startswith("not started")


def test_only_the_end_of_the_output_is_kept(tmp_path: Path) -> None:
    (check,) = run(tmp_path, "yes ünicode | head -c 3000000; printf '\\033[31mlast'")

    assert len(check.tail.encode()) <= 4096
    assert check.tail.endswith("\x1b[31mlast")
    assert "�" not in check.tail.removeprefix(check.tail[:2])[:-20]


def test_a_stop_ends_what_runs(tmp_path: Path) -> None:
    """It says nothing about the work."""
    verification = Verification()
    started = tmp_path / "started"

    def stop() -> None:
        eventually(started.exists)
        verification.stop()

    threading.Thread(target=stop).start()

    checks = verification.run(
        ["touch started; sleep 60", "true"], directory=tmp_path, environment=ENV, marker=f"verify:{tmp_path}"
    )

    assert [check.interrupted for check in checks] == [True, True]
    assert not any(check.timed_out or check.passed for check in checks)


def test_changes_of_what_judges_are_found(tmp_path: Path) -> None:
    """Tests, CI and the command's own script; by content, execute bit and link target, not by time."""
    for name in ("tests/test_a.py", "src/a.py", "check.sh", "pkg/tests/data.json", "node_modules/x/tests/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    (tmp_path / "Makefile").symlink_to("check.sh")
    patterns = judges_for(["./check.sh --fast"])
    before = hashes_of(tmp_path, patterns)
    assert set(before) == {"tests/test_a.py", "check.sh", "pkg/tests/data.json", "Makefile"}

    os.utime(tmp_path / "tests/test_a.py")
    (tmp_path / "src/a.py").write_text("two")
    (tmp_path / "check.sh").chmod(0o755)
    (tmp_path / "pkg/tests/data.json").unlink()
    (tmp_path / "conftest.py").write_text("new")

    assert changed_judges(before, hashes_of(tmp_path, patterns)) == (
        ChangedJudge("check.sh", "changed"),
        ChangedJudge("conftest.py", "added"),
        ChangedJudge("pkg/tests/data.json", "removed"),
    )


@pytest.mark.parametrize(
    ("path", "commands", "expected"),
    [
        ("tests/a/b.py", [], True),
        ("src/tests/b.py", [], True),
        ("src/latests/b.py", [], False),
        ("src/button.test.tsx", [], True),
        (".github/workflows/ci.yml", [], True),
        (".claude/skills/task-worker/SKILL.md", [], True),
        ("pyproject.toml", [], False),
        ("pyproject.toml", ["python -m pytest -q"], True),
        ("package.json", ["CI=1 npm test"], True),
        ("scripts/check [1].sh", ["sh 'scripts/check [1].sh'"], True),
        ("scripts/check 1.sh", ["sh 'scripts/check [1].sh'"], False),
        ("a.py", ["unbalanced ' quote a.py"], True),
    ],
)
def test_which_files_judge(path: str, commands: list[str], *, expected: bool) -> None:
    assert is_judge(path, judges_for(commands)) is expected


def test_each_command_is_announced_before_it_starts(tmp_path: Path) -> None:
    """So that ``status`` can say which one runs; one that never starts is not."""
    seen: list[tuple[str, bool]] = []

    def announce(command: str) -> None:
        seen.append((command, (tmp_path / "one").exists()))

    Verification().run(
        ["touch one", "sleep 60", "true"],
        directory=tmp_path,
        environment=ENV,
        marker=f"verify:{tmp_path}",
        overall_s=0.5,
        announce=announce,
    )

    assert seen == [("touch one", False), ("sleep 60", True)]
